//! MLX's exceptions as errors of the core.

use engine_core::Error;
use mlx_rs::error::{AsSliceError, ConversionError, Exception};

use crate::backend::NAME;

/// The result of building or running a part of MLX's graph.
pub(super) type MlxResult<T> = Result<T, Exception>;

/// Says what was being done when MLX failed.
pub(super) trait Doing<T> {
    /// `operation` is a verb phrase: "evaluate a step".
    fn doing(self, operation: &str) -> engine_core::Result<T>;
}

impl<T, E: Into<Failure>> Doing<T> for Result<T, E> {
    fn doing(self, operation: &str) -> engine_core::Result<T> {
        self.map_err(|failure| failure.into().into_error(operation))
    }
}

/// What MLX said, without the place in its sources.
#[derive(Debug)]
pub(super) struct Failure(String);

impl Failure {
    fn into_error(self, operation: &str) -> Error {
        if is_allocation_failure(&self.0) {
            Error::OutOfMemory {
                purpose: format!("the attempt to {operation}"),
                reason: self.0,
            }
        } else {
            Error::backend(NAME, operation, self.0)
        }
    }
}

impl From<Exception> for Failure {
    fn from(exception: Exception) -> Self {
        Self(without_location(exception.what()).to_owned())
    }
}

impl From<AsSliceError> for Failure {
    fn from(error: AsSliceError) -> Self {
        match error {
            AsSliceError::Exception(exception) => exception.into(),
            other => Self(other.to_string()),
        }
    }
}

impl From<ConversionError> for Failure {
    fn from(error: ConversionError) -> Self {
        match error {
            ConversionError::Exception(exception) => exception.into(),
            ConversionError::ArraySlice(error) => error.into(),
            other => Self(other.to_string()),
        }
    }
}

/// mlx-c appends " at ", a file and a line, a path of the machine that built it.
fn without_location(what: &str) -> &str {
    match what.rfind(" at ") {
        Some(cut) if is_location(&what[cut + 4..]) => &what[..cut],
        _ => what,
    }
}

fn is_location(text: &str) -> bool {
    text.rsplit_once(':')
        .is_some_and(|(_, line)| !line.is_empty() && line.bytes().all(|b| b.is_ascii_digit()))
}

/// The allocators of Metal, CUDA and the CPU each have their own words; they share these.
fn is_allocation_failure(what: &str) -> bool {
    let what = what.to_ascii_lowercase();
    [
        "unable to allocate",
        "attempting to allocate",
        "failed to allocate",
        "out of memory",
        "outofmemory",
        "insufficient memory",
        "bad_alloc",
        "cudaerrormemoryallocation",
    ]
    .iter()
    .any(|words| what.contains(words))
}

#[cfg(test)]
mod tests {
    use mlx_rs::{Array, error::Exception};

    use super::*;

    fn error_of(what: &str) -> Error {
        let failed: MlxResult<()> = Err(Exception::custom(what));
        failed.doing("evaluate a step").unwrap_err()
    }

    #[test]
    fn the_place_in_the_sources_is_left_out() {
        for (what, said) in [
            ("[add] no. at /home/x/ops.cpp:31", "[add] no."),
            ("look at this", "look at this"),
            ("at noon at 12:30", "at noon"),
            ("", ""),
        ] {
            assert_eq!(without_location(what), said);
        }
    }

    #[test]
    fn failed_allocations_are_out_of_memory() {
        for what in [
            "[metal::malloc] Unable to allocate 12 bytes.",
            "[metal::malloc] Attempting to allocate 9 bytes which is greater than the maximum",
            "cudaMallocAsync(...) failed: out of memory",
            "std::bad_alloc",
        ] {
            assert!(
                matches!(error_of(what), Error::OutOfMemory { .. }),
                "{what}"
            );
        }
        assert!(matches!(error_of("[add] no."), Error::Backend { .. }));
    }

    #[test]
    fn an_impossible_operation_is_an_error_and_mlx_goes_on() {
        let three = Array::from_slice(&[1f32, 2.0, 3.0], &[3]);
        let two = Array::from_slice(&[1f32, 2.0], &[2]);
        let error = three.add(&two).doing("add").unwrap_err();
        assert_eq!(error.to_string(), "the mlx backend failed to add");
        assert!(three.add(&three).is_ok());
    }
}
