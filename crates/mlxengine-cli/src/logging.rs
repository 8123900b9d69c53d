//! The log, on stderr.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::{
    filter::{LevelFilter, ParseError, Targets},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::failure::Failure;

/// Starts the log. `asked` comes from the command line and must be a filter; the environment's
/// `RUST_LOG`, which other programs read too, is passed over when it is none.
pub(crate) fn start(asked: Option<&str>) -> Result<(), Failure> {
    let filter = match asked {
        Some(text) => text.parse().map_err(|error: ParseError| Failure::Usage {
            message: format!("--log can't be {text:?}: {error}"),
            hint: "write a level, as in `info`, or pairs, as in `warn,engine_mlx=debug`",
        })?,
        None => std::env::var("RUST_LOG")
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(|| Targets::new().with_default(LevelFilter::WARN)),
    };
    tracing_subscriber::registry()
        .with(
            tracing_subscriber::fmt::layer()
                .with_writer(io::stderr)
                .with_ansi(io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
                .with_target(false)
                .without_time(),
        )
        .with(filter)
        .init();
    Ok(())
}
