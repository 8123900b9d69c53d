//! Trying again, with pauses.

use std::future::Future;

use backon::Retryable;

use crate::{HubError, RetryPolicy};

/// Runs `attempt` until it succeeds, fails for good, or the policy has had enough.
pub(crate) async fn retrying<T, F>(
    policy: &RetryPolicy,
    attempt: impl FnMut() -> F,
) -> Result<T, HubError>
where
    F: Future<Output = Result<T, HubError>>,
{
    attempt
        .retry(policy.backoff())
        .when(HubError::is_retryable)
        .adjust(|error, pause| {
            let asked = error.retry_after().unwrap_or_default();
            // A server that wants more patience than there is gets no further attempt.
            pause
                .filter(|_| asked <= policy.patience)
                .map(|pause| pause.max(asked))
        })
        .notify(|error, pause| {
            tracing::warn!(%error, seconds = pause.as_secs_f64(), "trying again");
        })
        .await
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, time::Duration};

    use tokio::time::Instant;

    use super::*;
    use crate::Reply;

    fn status(status: u16, retry_after: Option<u64>) -> HubError {
        HubError::Status {
            operation: "ask".to_owned(),
            reply: Box::new(Reply {
                status,
                retry_after: retry_after.map(Duration::from_secs),
                ..Reply::default()
            }),
        }
    }

    /// Attempts made and time taken until the outcome of `errors`, one for each attempt.
    async fn run(
        policy: RetryPolicy,
        errors: &[fn() -> HubError],
    ) -> (usize, Duration, Result<(), HubError>) {
        let attempts = Cell::new(0);
        let start = Instant::now();
        let result = retrying(&policy, || {
            let error = errors.get(attempts.get());
            attempts.set(attempts.get() + 1);
            async move { error.map_or(Ok(()), |error| Err(error())) }
        })
        .await;
        (attempts.get(), start.elapsed(), result)
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_with_jitter_up_to_the_longest() {
        let always: [fn() -> HubError; 6] = [|| status(503, None); 6];
        let (attempts, took, result) = run(RetryPolicy::default(), &always).await;
        assert_eq!(attempts, 6);
        assert!(result.is_err());
        // 1 + 2 + 4 + 8 + 8, each with up to as much again, the longest excepted.
        assert!(took >= Duration::from_secs(23), "{took:?}");
        assert!(took <= Duration::from_secs(46), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_ends_the_attempts() {
        let (attempts, _, result) = run(RetryPolicy::default(), &[|| status(500, None)]).await;
        assert_eq!(attempts, 2);
        assert!(result.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_caller_did_wrong_is_not_retried() {
        for error in [|| status(400, None), || status(416, None)] {
            let (attempts, took, result) = run(RetryPolicy::default(), &[error]).await;
            assert_eq!((attempts, took), (1, Duration::ZERO));
            assert!(result.is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_servers_wish_for_a_longer_pause_is_granted() {
        let policy = RetryPolicy::default();
        let (attempts, took, result) = run(policy, &[|| status(503, Some(30))]).await;
        assert_eq!(attempts, 2);
        assert!((30..32).contains(&took.as_secs()), "{took:?}");
        assert!(result.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wish_beyond_all_patience_is_an_error_at_once() {
        let policy = RetryPolicy::default();
        let (attempts, took, result) = run(policy, &[|| status(429, Some(61))]).await;
        assert_eq!((attempts, took), (1, Duration::ZERO));
        let wait = result.unwrap_err().retry_after();
        assert_eq!(wait, Some(Duration::from_secs(61)));
    }

    #[tokio::test(start_paused = true)]
    async fn never_is_one_attempt() {
        let (attempts, took, _) = run(RetryPolicy::NEVER, &[|| status(503, None)]).await;
        assert_eq!((attempts, took), (1, Duration::ZERO));
    }

    #[test]
    fn a_certificate_is_not_better_the_next_time() {
        let network = |kind| HubError::Network {
            operation: "ask".to_owned(),
            source: Box::new(std::io::Error::new(kind, "it broke")),
        };
        assert!(network(std::io::ErrorKind::ConnectionReset).is_retryable());
        assert!(!network(std::io::ErrorKind::InvalidData).is_retryable());
    }
}
