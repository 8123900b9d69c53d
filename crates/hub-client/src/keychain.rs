//! A token in the operating system's keychain.

use keyring_core::{Entry, Error};

use crate::{Endpoint, HubError, Token};

/// The name under which keychains list the token.
const SERVICE: &str = "mlxengine";

/// The token in the keychain: Keychain Services on macOS, the Credential Manager on Windows, the
/// Secret Service elsewhere.
///
/// Another store can take the keychain's place: the default one of `keyring-core`, set before the
/// first call. The calls block, and may ask the user.
#[derive(Clone, Debug)]
pub struct Keychain {
    account: String,
}

impl Keychain {
    /// The token for this endpoint; each has its own.
    pub fn new(endpoint: &Endpoint) -> Self {
        Self {
            account: endpoint.to_string(),
        }
    }

    /// The token, if the keychain holds one.
    ///
    /// # Errors
    /// [`HubError::Keychain`].
    pub fn read(&self) -> Result<Option<Token>, HubError> {
        match self.entry("read")?.get_password() {
            Ok(text) => Ok(Some(Token::new(&text)?)),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(failed("read", error)),
        }
    }

    /// Puts the token into the keychain.
    ///
    /// # Errors
    /// [`HubError::Keychain`].
    pub fn write(&self, token: &Token) -> Result<(), HubError> {
        self.entry("write")?
            .set_password(token.expose())
            .map_err(|error| failed("write", error))
    }

    /// Takes the token out of the keychain; says whether there was one.
    ///
    /// # Errors
    /// [`HubError::Keychain`].
    pub fn remove(&self) -> Result<bool, HubError> {
        match self.entry("remove")?.delete_credential() {
            Ok(()) => Ok(true),
            Err(Error::NoEntry) => Ok(false),
            Err(error) => Err(failed("remove", error)),
        }
    }

    fn entry(&self, operation: &'static str) -> Result<Entry, HubError> {
        if keyring_core::get_default_store().is_none() {
            // Makes the system's own the default.
            if let Err(error) = keyring::v1::Entry::store_status() {
                return Err(HubError::Keychain {
                    operation,
                    source: error.to_string().into(),
                });
            }
        }
        Entry::new(SERVICE, &self.account).map_err(|error| failed(operation, error))
    }
}

fn failed(operation: &'static str, error: Error) -> HubError {
    HubError::Keychain {
        operation,
        // Some of its errors carry the secret that they could not decode.
        source: match error {
            Error::BadEncoding(_) => "it is not text".into(),
            other => other.into(),
        },
    }
}
