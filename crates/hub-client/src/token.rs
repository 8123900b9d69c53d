//! A secret that opens doors.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use crate::InvalidName;

/// An access token.
///
/// `Debug` hides it, there is no `Display` and no serialisation, and its memory is overwritten
/// when it is dropped.
#[derive(Clone)]
pub struct Token(SecretString);

impl Token {
    /// Takes a token, without the white space around it.
    ///
    /// # Errors
    /// [`InvalidName`] if it is empty or holds anything but visible ASCII; the message does not
    /// quote it.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        let text = text.trim();
        let refuse = |reason| InvalidName {
            kind: "access token",
            value: "(hidden)".to_owned(),
            reason: std::borrow::Cow::Borrowed(reason),
        };
        if text.is_empty() {
            return Err(refuse("it is empty"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(refuse("it must be visible ASCII without spaces"));
        }
        Ok(Self(SecretString::from(text)))
    }

    /// The secret itself, for an `Authorization` header and for nothing else.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The text with every occurrence of the token masked.
    pub(crate) fn mask(&self, text: &str) -> String {
        text.replace(self.expose(), "***")
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}
