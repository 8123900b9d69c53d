//! What can go wrong in a chat.

use std::borrow::Cow;

use engine_core::{Error, Role};

/// Everything that a [`ChatSession`](crate::ChatSession) reports.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChatError {
    /// The engine refused the request or failed.
    #[error(transparent)]
    Engine(#[from] Error),

    /// An answer is being written, and the caller did not want to wait for its end.
    #[error("the chat is busy with another answer")]
    Busy,

    /// There is no message of this number.
    #[error("there is no message {index} in a chat of {len}")]
    NoSuchMessage {
        /// The number given, counted from 0.
        index: usize,
        /// Messages in the chat.
        len: usize,
    },

    /// The message is of another role than the operation is for.
    #[error("message {index} is from the {role}, and not from the {expected}")]
    WrongRole {
        /// The message's number, counted from 0.
        index: usize,
        /// Whose message it is.
        role: Role,
        /// Whose message it has to be.
        expected: Role,
    },

    /// There is nothing that could be answered.
    #[error("there is no message to answer")]
    NothingToAnswer,

    /// A saved chat can't be read.
    #[error("the saved chat can't be used: {reason}")]
    Saved {
        /// What is wrong with it.
        reason: String,
    },
}

impl ChatError {
    /// What the reader can do about it, as one sentence.
    pub fn suggestion(&self) -> Cow<'static, str> {
        match self {
            Self::Engine(error) => error.suggestion(),
            Self::Busy => "wait for the answer to end, or drop its stream".into(),
            Self::NoSuchMessage { .. } => "use a number below the length of the chat".into(),
            Self::WrongRole { expected, .. } => {
                format!("choose a message of the {expected}").into()
            }
            Self::NothingToAnswer => "send a message first".into(),
            Self::Saved { .. } => {
                "save the chat again, or read it with the version that wrote it".into()
            }
        }
    }
}

/// The result of an operation on a chat.
pub type ChatResult<T> = std::result::Result<T, ChatError>;
