//! Ctrl-C as a value instead of the end of the program.

use std::pin::Pin;

/// Waits for one Ctrl-C, from the moment it is first used to the moment it is dropped.
pub(crate) struct Interrupt {
    signal: Pin<Box<dyn Future<Output = ()>>>,
}

impl Interrupt {
    pub(crate) fn new() -> Self {
        Self {
            signal: Box::pin(async {
                if let Err(error) = tokio::signal::ctrl_c().await {
                    // The system's own handling, which ends the program, stays in place.
                    tracing::warn!("Ctrl-C can't be caught: {error}");
                    std::future::pending::<()>().await;
                }
            }),
        }
    }

    /// What the future gives; `None` if Ctrl-C comes first, and then the future has been dropped,
    /// which cancels it. Not to be called again after that.
    pub(crate) async fn or<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = &mut self.signal => None,
            value = future => Some(value),
        }
    }
}
