//! Calls that can't be carried out.

use serde::{Deserialize, Serialize};

use super::ToolCall;

/// A part of an answer that is meant as a call and can't be carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{problem}")]
#[non_exhaustive]
pub struct InvalidToolCall {
    /// What the model wrote, with its tags.
    pub text: String,
    /// Why it is no call.
    pub problem: ToolCallProblem,
}

impl InvalidToolCall {
    /// A call that can't be carried out.
    pub fn new(text: impl Into<String>, problem: ToolCallProblem) -> Self {
        Self {
            text: text.into(),
            problem,
        }
    }
}

/// Why a call can't be carried out. `Display` says so in words that can also be shown to the model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ToolCallProblem {
    /// It is not written as the model's calls are.
    #[error("the call can't be read: {reason}")]
    Malformed {
        /// What is wrong with it.
        reason: String,
    },
    /// It can be read, and no tool of the request has this name.
    #[error("there is no tool named {:?}", call.name)]
    UnknownTool {
        /// The call.
        call: ToolCall,
    },
    /// It can be read, and its arguments are not those that the tool takes.
    #[error("the arguments of {:?} don't fit: {reason}", call.name)]
    InvalidArguments {
        /// The call.
        call: ToolCall,
        /// Where they break the tool's schema.
        reason: String,
    },
}

impl ToolCallProblem {
    /// The call, if it could be read.
    pub fn call(&self) -> Option<&ToolCall> {
        match self {
            Self::Malformed { .. } => None,
            Self::UnknownTool { call } | Self::InvalidArguments { call, .. } => Some(call),
        }
    }
}
