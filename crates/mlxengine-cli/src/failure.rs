//! How the program ends when it does not end well.

use std::{io, path::PathBuf, process::ExitCode};

use mlxengine::{ChatError, Error, StoreError, downloader, hub::HubError};

/// A file of messages, in short.
const MESSAGES: &str = r#"[{"role": "user", "content": "Hello"}]"#;

/// Why a command ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The model can't be loaded.
    Load(Error),
    /// The model's files can't be had.
    Open(StoreError),
    /// The store can't do what it was asked to.
    Store(StoreError),
    /// Files of models are not what they should be, as was said in full.
    Damaged { repaired: bool },
    /// The request was refused, or failed while running.
    Run(Error),
    /// The command line asks for something that can't be.
    Usage { message: String, hint: &'static str },
    /// A file or stdin can't be read.
    Read { what: String, source: io::Error },
    /// A file of messages is not what it should be.
    Messages {
        path: PathBuf,
        source: serde_json::Error,
    },
    /// The chat can't do what it was asked to.
    Chat(ChatError),
    /// A file can't be written.
    Write { path: PathBuf, source: io::Error },
    /// stdout can't be written to.
    Output(io::Error),
    /// The program could not set itself up.
    Setup {
        what: &'static str,
        source: io::Error,
    },
    /// Ctrl-C.
    Interrupted,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Run(error)
    }
}

impl From<ChatError> for Failure {
    fn from(error: ChatError) -> Self {
        match error {
            ChatError::Engine(error) => Self::Run(error),
            other => Self::Chat(other),
        }
    }
}

impl Failure {
    /// The exit code, as `--help` lists them.
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            // Whoever reads our output has read enough.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Usage { .. } | Self::Read { .. } | Self::Messages { .. } | Self::Chat(_) => 2,
            Self::Load(error) | Self::Run(error) if is_refusal(error) => 4,
            Self::Load(_) | Self::Open(_) => 3,
            Self::Store(error) if is_about_the_command_line(error) => 2,
            Self::Store(_)
            | Self::Damaged { .. }
            | Self::Run(_)
            | Self::Output(_)
            | Self::Write { .. }
            | Self::Setup { .. } => 1,
            Self::Interrupted => 130,
        })
    }

    /// Says on stderr what happened, why, and what to do.
    pub(crate) fn report(&self) {
        let mut stderr = io::stderr().lock();
        // With stderr gone there is nobody left to tell.
        let _ = self.write(&mut stderr);
    }

    fn write(&self, to: &mut impl io::Write) -> io::Result<()> {
        match self {
            Self::Interrupted => Ok(()),
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Self::Load(error) | Self::Run(error) => explain(to, error, &error.suggestion()),
            Self::Chat(error) => explain(to, error, &error.suggestion()),
            Self::Open(error) | Self::Store(error) => explain(to, error, &error.suggestion()),
            Self::Damaged { repaired: false } => writeln!(
                to,
                "error: some files are damaged\nhint: delete them with --repair, then fetch the model again with `mlxengine pull`"
            ),
            Self::Damaged { repaired: true } => writeln!(
                to,
                "error: some files were damaged and have been deleted\nhint: fetch the model again with `mlxengine pull`"
            ),
            Self::Usage { message, hint } => writeln!(to, "error: {message}\nhint: {hint}"),
            Self::Read { what, source } => writeln!(
                to,
                "error: can't read {what}: {source}\nhint: check that it exists, may be read and is UTF-8 text"
            ),
            Self::Messages { path, source } => writeln!(
                to,
                "error: {} holds no chat: {source}\nhint: it must look like {MESSAGES}",
                path.display()
            ),
            Self::Write { path, source } => writeln!(
                to,
                "error: can't write {}: {source}\nhint: choose a place that you may write to",
                path.display()
            ),
            Self::Output(source) => writeln!(
                to,
                "error: can't write to stdout: {source}\nhint: check where the output goes and whether the disk is full"
            ),
            Self::Setup { what, source } => writeln!(
                to,
                "error: can't {what}: {source}\nhint: free some of this system's resources and try again"
            ),
        }
    }
}

/// The error, its causes, and what to do.
fn explain(to: &mut impl io::Write, error: &dyn std::error::Error, hint: &str) -> io::Result<()> {
    writeln!(to, "error: {error}")?;
    let mut cause = error.source();
    while let Some(error) = cause {
        writeln!(to, "  because: {error}")?;
        cause = error.source();
    }
    writeln!(to, "hint: {hint}")
}

/// Whether a name or a setting can't be used, as opposed to something that failed.
fn is_about_the_command_line(error: &StoreError) -> bool {
    match error {
        // A list of models is a file that the user named.
        StoreError::Registry(_)
        | StoreError::Local { .. }
        | StoreError::Engine(Error::ModelNotFound { .. }) => true,
        StoreError::Hub(error) => matches!(
            error,
            HubError::InvalidName(_)
                | HubError::InvalidUrl { .. }
                | HubError::InvalidVariable { .. }
        ),
        StoreError::Download(error) => matches!(
            error,
            downloader::Error::InvalidName(_) | downloader::Error::InvalidPattern { .. }
        ),
        _ => false,
    }
}

fn is_refusal(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidParameter { .. }
            | Error::InvalidConstraint { .. }
            | Error::Unsupported { .. }
            | Error::UnsupportedByModel { .. }
            | Error::ContextOverflow { .. }
            | Error::InvalidToken { .. }
    )
}
