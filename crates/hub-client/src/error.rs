//! What can go wrong, in words for a person, each with what to do about it.

use std::{borrow::Cow, fmt, io, path::PathBuf, time::Duration};

use serde::Serialize;

use crate::{InvalidName, RepoId, RepoPath, Revision};

/// A cause from another library, with its type erased.
pub type Source = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Everything this crate reports.
///
/// `Display` says what happened in one sentence; [`HubError::suggestion`] says what to do. No
/// variant holds a token or the query of an address, which may be a signature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// A text is not a valid name, be it the caller's or the server's.
    #[error(transparent)]
    InvalidName(#[from] InvalidName),

    /// An address can't be used.
    #[error("the address {url} can't be used: {reason}")]
    InvalidUrl {
        /// The address, without what may be secret.
        url: String,
        /// What is wrong with it.
        reason: String,
    },

    /// An environment variable has a value that can't be used.
    #[error("the environment variable {name} can't be used: {reason}")]
    InvalidVariable {
        /// Its name.
        name: &'static str,
        /// What is wrong with its value, without quoting it.
        reason: String,
    },

    /// The HTTP client could not be set up.
    #[error("the HTTP client could not be set up")]
    Setup {
        /// What its library said.
        #[source]
        source: Source,
    },

    /// The client is offline, so nothing was sent.
    #[error("can't {operation} while offline")]
    Offline {
        /// What was asked for, as a verb phrase.
        operation: String,
    },

    /// The connection could not be made, or broke.
    #[error("the network failed while trying to {operation}")]
    Network {
        /// What was asked for.
        operation: String,
        /// What its library said, without the address.
        #[source]
        source: Source,
    },

    /// Nothing came for too long.
    #[error("the server took too long to answer while trying to {operation}")]
    Timeout {
        /// What was asked for.
        operation: String,
        /// What its library said, without the address.
        #[source]
        source: Source,
    },

    /// The answer is not what it should be.
    #[error("the server's answer can't be understood while trying to {operation}: {reason}")]
    Decode {
        /// What was asked for.
        operation: String,
        /// What is wrong with the answer.
        reason: String,
    },

    /// A redirect or a link leads somewhere it must not.
    #[error("a redirect to {target} was refused while trying to {operation}: {reason}")]
    RefusedRedirect {
        /// What was asked for.
        operation: String,
        /// Where it leads, without its query.
        target: String,
        /// Why it was refused.
        reason: &'static str,
    },

    /// The server is not a Hub: its answer lacks what every Hub says.
    #[error("{host} does not answer as a Hub: {reason}")]
    NotAHub {
        /// The server's name.
        host: String,
        /// What is missing.
        reason: &'static str,
    },

    /// Nobody is logged in, and the answer is for users only.
    #[error("one must be logged in to {operation}")]
    AuthenticationRequired {
        /// What was asked for.
        operation: String,
    },

    /// The server does not know the token. That closes public models too.
    #[error("the server does not accept the access token")]
    InvalidToken {
        /// What the server said.
        reply: Box<Reply>,
    },

    /// The token is known, but may not do this.
    #[error("this account or token may not {operation}{}", reply.in_words())]
    Forbidden {
        /// What was asked for.
        operation: String,
        /// What the server said.
        reply: Box<Reply>,
    },

    /// The model's owner wants each user to ask for access first.
    #[error("access to {repo} is gated{}", reply.in_words())]
    Gated {
        /// The repository.
        repo: RepoId,
        /// What the server said.
        reply: Box<Reply>,
    },

    /// The Hub has closed the repository.
    #[error("access to {repo} has been disabled by the Hub")]
    Disabled {
        /// The repository.
        repo: RepoId,
        /// What the server said.
        reply: Box<Reply>,
    },

    /// There is no such repository, or it is private: the Hub does not tell the two apart.
    #[error("there is no model {repo}, or it is private")]
    RepositoryNotFound {
        /// The repository.
        repo: RepoId,
        /// What the server said.
        reply: Box<Reply>,
    },

    /// The repository has no such branch, tag or commit.
    #[error("{repo} has no revision {revision}")]
    RevisionNotFound {
        /// The repository.
        repo: RepoId,
        /// The revision.
        revision: Revision,
        /// What the server said.
        reply: Box<Reply>,
    },

    /// The revision has no such file.
    #[error("{repo} has no file {path} at {revision}")]
    FileNotFound {
        /// The repository.
        repo: RepoId,
        /// The revision.
        revision: Revision,
        /// The file.
        path: RepoPath,
        /// What the server said.
        reply: Box<Reply>,
    },

    /// Too many requests in too short a time.
    #[error("the server limits the rate of requests{}", in_seconds(.retry_after.as_ref()))]
    RateLimited {
        /// What was asked for.
        operation: String,
        /// How long to wait, counted from the answer, if the server says.
        retry_after: Option<Duration>,
    },

    /// Any other HTTP status.
    #[error("the server answered with status {} while trying to {operation}{}", reply.status, reply.in_words())]
    Status {
        /// What was asked for.
        operation: String,
        /// What the server said.
        reply: Box<Reply>,
    },

    /// The file with the token can't be used.
    #[error("could not {operation} {}", path.display())]
    TokenFile {
        /// What was tried, as a verb: "read".
        operation: &'static str,
        /// The file or its folder.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },

    /// The operating system's keychain can't be used.
    #[error("the keychain failed to {operation} the access token")]
    Keychain {
        /// What was tried, as a verb: "read".
        operation: &'static str,
        /// What it said.
        #[source]
        source: Source,
    },
}

/// What a server said with a status that is not a success.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The address, without its query.
    pub url: String,
    /// `X-Error-Code`: `RepoNotFound`, `GatedRepo` and so on.
    pub code: Option<String>,
    /// The server's message: one line, shortened, without control characters and without the token.
    pub message: Option<String>,
    /// The number by which the Hub's operators find the request.
    pub request_id: Option<String>,
    /// How long the server asks to wait.
    pub retry_after: Option<Duration>,
}

impl Reply {
    fn in_words(&self) -> impl fmt::Display {
        let message = self.message.clone();
        fmt::from_fn(move |f| match &message {
            Some(message) => write!(f, ": {message}"),
            None => Ok(()),
        })
    }
}

fn in_seconds(wait: Option<&Duration>) -> impl fmt::Display {
    let seconds = wait.map(|wait| wait.as_secs_f64().ceil());
    fmt::from_fn(move |f| match seconds {
        Some(seconds) => write!(f, "; it asks to wait {seconds} s"),
        None => Ok(()),
    })
}

/// Statuses after which the same request may succeed.
const RETRYABLE: [u16; 6] = [408, 429, 500, 502, 503, 504];

impl HubError {
    /// What the reader can do about it, as one sentence.
    pub fn suggestion(&self) -> Cow<'static, str> {
        match self {
            Self::InvalidName(_) => "check the spelling; a model is named organisation/name".into(),
            Self::InvalidUrl { .. } => "give an address such as https://huggingface.co".into(),
            Self::InvalidVariable { name, .. } => format!("correct or unset {name}").into(),
            Self::Setup { .. } => "check the proxy settings and the system's certificates".into(),
            Self::Offline { .. } => "unset HF_HUB_OFFLINE, or leave offline mode, to use the network".into(),
            Self::Network { .. } => {
                "check the connection, the proxy (HTTPS_PROXY) and the endpoint (HF_ENDPOINT), and try again".into()
            }
            Self::Timeout { .. } => "check the connection and try again".into(),
            Self::Decode { .. } | Self::NotAHub { .. } => {
                "check that HF_ENDPOINT names a Hub, and that no proxy changes its answers".into()
            }
            Self::RefusedRedirect { .. } => {
                "check that HF_ENDPOINT names a Hub that you trust, by https".into()
            }
            Self::AuthenticationRequired { .. } => {
                "run `mlxengine login`, or set HF_TOKEN to an access token".into()
            }
            Self::InvalidToken { .. } => {
                "make a new token at https://huggingface.co/settings/tokens and run `mlxengine login`, or unset HF_TOKEN".into()
            }
            Self::Forbidden { .. } => {
                "check that the token has the scope for this, at https://huggingface.co/settings/tokens".into()
            }
            Self::Gated { repo, .. } => format!(
                "ask for access at https://huggingface.co/{repo} and use a token of that account (`mlxengine login`)"
            )
            .into(),
            Self::Disabled { .. } => "use another model".into(),
            Self::RepositoryNotFound { .. } => {
                "check the spelling; for a private model run `mlxengine login` with an account that may see it".into()
            }
            Self::RevisionNotFound { .. } => {
                "look at the model's page for its branches and tags, or leave the revision out".into()
            }
            Self::FileNotFound { .. } => "look at the list of the model's files".into(),
            Self::RateLimited { .. } => {
                "wait and try again; a token (`mlxengine login`) raises the limit".into()
            }
            Self::Status { reply, .. } if RETRYABLE.contains(&reply.status) => {
                "the server has trouble; try again later".into()
            }
            Self::Status { .. } => "check that HF_ENDPOINT names a Hub".into(),
            Self::TokenFile { .. } => {
                "check that this user owns the file and its folder, or name another by HF_TOKEN_PATH".into()
            }
            Self::Keychain { .. } => "unlock the keychain, or keep the token in a file instead".into(),
        }
    }

    /// Whether the same call may succeed later with nothing changed by the caller.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Network { source, .. } => !is_about_certificates(source.as_ref()),
            Self::Timeout { .. } | Self::RateLimited { .. } => true,
            Self::Status { reply, .. } => RETRYABLE.contains(&reply.status),
            _ => false,
        }
    }

    /// How long the server asks to wait before the next attempt.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } => *retry_after,
            _ => self.reply().and_then(|reply| reply.retry_after),
        }
    }

    /// What the server said, if it is the server's word that this is an error.
    pub fn reply(&self) -> Option<&Reply> {
        match self {
            Self::InvalidToken { reply }
            | Self::Forbidden { reply, .. }
            | Self::Gated { reply, .. }
            | Self::Disabled { reply, .. }
            | Self::RepositoryNotFound { reply, .. }
            | Self::RevisionNotFound { reply, .. }
            | Self::FileNotFound { reply, .. }
            | Self::Status { reply, .. } => Some(reply),
            _ => None,
        }
    }
}

/// Whether the peer's certificate is at fault, which another attempt does not change: the TLS
/// library reports that as invalid data.
fn is_about_certificates(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error
            .downcast_ref::<io::Error>()
            .is_some_and(|e| e.kind() == io::ErrorKind::InvalidData)
        {
            return true;
        }
        cause = error.source();
    }
    false
}
