//! The file that holds a token, shared with every other client of the Hub.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use crate::{HubError, Token};

/// The file with the token of a log-in: `$HF_HOME/token`.
///
/// On Unix the file is for its owner only (mode 0600), and so is a folder that is made for it
/// (0700).
#[derive(Clone, Debug)]
pub struct TokenStore {
    path: PathBuf,
}

impl TokenStore {
    /// The token in the file at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The token; `None` if there is no file, or a blank one.
    ///
    /// # Errors
    /// [`HubError::TokenFile`] if the file can't be read, [`HubError::InvalidName`] if it does not
    /// hold a token; neither quotes it.
    pub fn read(&self) -> Result<Option<Token>, HubError> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed("read", error)),
        };
        if text.trim().is_empty() {
            return Ok(None);
        }
        Ok(Some(Token::new(&text)?))
    }

    /// Writes the token: the file appears whole, or stays as it was.
    ///
    /// # Errors
    /// [`HubError::TokenFile`].
    pub fn write(&self, token: &Token) -> Result<(), HubError> {
        self.try_write(token)
            .map_err(|error| self.failed("write", error))
    }

    fn try_write(&self, token: &Token) -> io::Result<()> {
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        create_private_folder(folder)?;
        // Its mode is 0600 from the beginning.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(token.expose().as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&self.path).map_err(|failed| failed.error)?;
        Ok(())
    }

    /// Removes the file; says whether there was one.
    ///
    /// # Errors
    /// [`HubError::TokenFile`].
    pub fn remove(&self) -> Result<bool, HubError> {
        match fs::remove_file(&self.path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.failed("remove", error)),
        }
    }

    fn failed(&self, operation: &'static str, source: io::Error) -> HubError {
        HubError::TokenFile {
            operation,
            path: self.path.clone(),
            source,
        }
    }
}

/// Makes a folder that only its owner may enter; one that is there keeps its mode.
fn create_private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(folder)
}
