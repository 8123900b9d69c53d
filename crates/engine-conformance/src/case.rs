//! What a case is, and the three ways it can end.

use std::error::Error as _;

use engine_core::Error;

/// One named fact about a subject `S`.
pub(crate) struct Case<S: 'static> {
    /// The fact, as a sentence.
    pub(crate) name: &'static str,
    /// Finds out whether it holds.
    pub(crate) run: fn(&mut S) -> CaseResult,
}

impl<S> Clone for Case<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Case<S> {}

/// Lists functions as cases under their own names.
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        &[$($crate::case::Case { name: stringify!($name), run: $name }),*]
    };
}

/// Why a case ended early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The fact does not hold.
    Failed(String),
    /// The subject does not claim what the fact is about.
    NotApplicable(String),
}

impl Stop {
    /// Says under which circumstances the case failed.
    pub(crate) fn under(self, circumstances: &str) -> Self {
        match self {
            Self::Failed(message) => Self::Failed(format!("{circumstances}: {message}")),
            Self::NotApplicable(reason) => Self::NotApplicable(reason),
        }
    }
}

/// `Ok` if the fact holds.
pub(crate) type CaseResult<T = ()> = Result<T, Stop>;

/// Fails the case with a message unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {{
        let holds: bool = $condition;
        if !holds {
            return Err($crate::case::Stop::Failed(format!($($message)+)));
        }
    }};
}

/// Fails the case with a message.
macro_rules! fail {
    ($($message:tt)+) => {
        return Err($crate::case::Stop::Failed(format!($($message)+)))
    };
}

pub(crate) use {cases, ensure, fail};

/// An error with all its causes, in one line.
pub(crate) fn in_words(error: &Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push_str(": ");
        words.push_str(&error.to_string());
        cause = error.source();
    }
    words
}

/// Turns an unexpected error into a failed case.
pub(crate) trait OrFail<T> {
    /// `doing` says what was tried: "tokenize a text".
    fn or_fail(self, doing: &str) -> CaseResult<T>;
}

impl<T> OrFail<T> for engine_core::Result<T> {
    fn or_fail(self, doing: &str) -> CaseResult<T> {
        self.map_err(|error| Stop::Failed(format!("could not {doing}: {}", in_words(&error))))
    }
}
