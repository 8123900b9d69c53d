//! How fast the server lets us go: its headers, and keeping to them before it has to complain.
//!
//! The headers are those of draft-ietf-httpapi-ratelimit-headers-09:
//! `RateLimit: "api";r=42;t=55` (requests left, seconds until there are more) and
//! `RateLimit-Policy: "fixed window";"api";q=500;w=300` (requests in a window of seconds).

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};

use crate::quoted::parts;

/// The Hub counts requests in separate buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bucket {
    /// `/api/...`
    Api,
    /// `/{repo}/resolve/...`
    Resolvers,
}

impl Bucket {
    const fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Resolvers => "resolvers",
        }
    }
}

/// What one answer says about a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Allowance {
    remaining: u64,
    /// Until there are more.
    refill: Duration,
    /// Requests in a whole window.
    quota: Option<u64>,
}

/// Longer than any window; keeps sums of times finite.
const MOST_SECONDS: u64 = 24 * 60 * 60;

impl Allowance {
    fn read(headers: &HeaderMap, bucket: Bucket) -> Option<Self> {
        let quoted = format!("\"{}\"", bucket.name());
        // An item of the list belongs to the bucket if one of its parts is the quoted name.
        let item = |header: &'static str| {
            headers
                .get_all(header)
                .iter()
                .filter_map(|value| value.to_str().ok())
                .flat_map(|value| parts(value, ','))
                .find(|item| parts(item, ';').any(|part| part == quoted))
        };
        let number = |item: &str, name: &str| -> Option<u64> {
            parts(item, ';')
                .filter_map(|part| part.split_once('='))
                .find(|(key, _)| key.trim() == name)
                .and_then(|(_, value)| value.trim().parse().ok())
        };
        let limit = item("ratelimit")?;
        Some(Self {
            remaining: number(limit, "r")?,
            refill: Duration::from_secs(number(limit, "t")?.min(MOST_SECONDS)),
            quota: item("ratelimit-policy").and_then(|policy| number(policy, "q")),
        })
    }
}

/// How long the server asks to wait: until the bucket is refilled if it is empty, else as
/// `Retry-After` says, in seconds or as a date (RFC 9110, section 10.2.3).
pub(crate) fn requested_wait(headers: &HeaderMap, bucket: Bucket) -> Option<Duration> {
    if let Some(allowance) = Allowance::read(headers, bucket)
        && allowance.remaining == 0
    {
        // The window's end is given in whole seconds.
        return Some(allowance.refill + Duration::from_secs(1));
    }
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds.min(MOST_SECONDS)));
    }
    let then = httpdate::parse_http_date(text).ok()?;
    // By the server's own clock, where it shows it: ours may be wrong.
    let now = headers
        .get(DATE)
        .and_then(|date| date.to_str().ok())
        .and_then(|date| httpdate::parse_http_date(date).ok())
        .unwrap_or_else(SystemTime::now);
    let wait = then.duration_since(now).unwrap_or(Duration::ZERO);
    Some(wait.min(Duration::from_secs(MOST_SECONDS)))
}

/// Keeps this client within what the server allows.
#[derive(Debug)]
pub(crate) struct Limiter {
    slots: Semaphore,
    budgets: Mutex<HashMap<&'static str, Budget>>,
    longest_wait: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Budget {
    remaining: u64,
    refilled: Instant,
    quota: Option<u64>,
}

/// When a request may be sent.
enum Turn {
    Now,
    /// After this pause; the request is taken out of the bucket already.
    Spaced(Duration),
    /// The bucket is empty for this long, then one has to ask again.
    Empty(Duration),
}

/// The bucket is empty for longer than the caller wants to wait.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Exhausted {
    pub(crate) wait: Duration,
}

impl Limiter {
    pub(crate) fn new(concurrent: usize, longest_wait: Duration) -> Self {
        Self {
            slots: Semaphore::new(concurrent.clamp(1, Semaphore::MAX_PERMITS)),
            budgets: Mutex::default(),
            longest_wait,
        }
    }

    /// Waits for a free slot and for the bucket; the slot is free again when the permit is dropped.
    pub(crate) async fn enter(
        &self,
        bucket: Bucket,
    ) -> Result<Option<SemaphorePermit<'_>>, Exhausted> {
        // The semaphore is never closed, so that an error can't come.
        let permit = self.slots.acquire().await.ok();
        loop {
            let wait = match self.take(bucket) {
                Turn::Now => return Ok(permit),
                Turn::Spaced(wait) | Turn::Empty(wait) if wait > self.longest_wait => {
                    return Err(Exhausted { wait });
                }
                Turn::Spaced(wait) => {
                    tokio::time::sleep(wait).await;
                    return Ok(permit);
                }
                Turn::Empty(wait) => wait,
            };
            tracing::debug!(
                bucket = bucket.name(),
                seconds = wait.as_secs_f64(),
                "waiting for the rate limit"
            );
            tokio::time::sleep(wait).await;
        }
    }

    /// Takes one request out of the bucket, unless it is empty.
    fn take(&self, bucket: Bucket) -> Turn {
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(budget) = budgets.get_mut(bucket.name()) else {
            return Turn::Now;
        };
        let left = budget.refilled.saturating_duration_since(Instant::now());
        if left.is_zero() {
            budgets.remove(bucket.name());
            return Turn::Now;
        }
        if budget.remaining == 0 {
            return Turn::Empty(left + Duration::from_secs(1));
        }
        // The last tenth of a window's requests is spread over what is left of the window.
        let scarce = budget
            .quota
            .is_some_and(|quota| budget.remaining < quota / 10);
        let share = u32::try_from(budget.remaining).unwrap_or(u32::MAX);
        budget.remaining -= 1;
        if scarce {
            Turn::Spaced(left / share)
        } else {
            Turn::Now
        }
    }

    /// Learns from an answer's headers.
    pub(crate) fn observe(&self, headers: &HeaderMap, bucket: Bucket) {
        let Some(allowance) = Allowance::read(headers, bucket) else {
            return;
        };
        let budget = Budget {
            remaining: allowance.remaining,
            refilled: Instant::now() + allowance.refill,
            quota: allowance.quota,
        };
        self.budgets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(bucket.name(), budget);
    }
}

#[cfg(test)]
mod tests;
