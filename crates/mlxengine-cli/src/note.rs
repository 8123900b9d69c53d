//! Remarks for a person, on stderr, apart from errors and the log.

use std::io::{self, Write as _};

/// Writes one line.
pub(crate) fn say(text: &str) {
    // With stderr gone there is nobody left to tell.
    let _ = writeln!(io::stderr().lock(), "{text}");
}
