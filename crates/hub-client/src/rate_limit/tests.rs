//! The headers, and the limiter on tokio's paused clock.

use reqwest::header::{HeaderName, HeaderValue};

use super::*;

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            )
        })
        .collect()
}

fn wait_of(pairs: &[(&str, &str)]) -> Option<u64> {
    requested_wait(&headers(pairs), Bucket::Api).map(|wait| wait.as_secs())
}

const POLICY: (&str, &str) = (
    "RateLimit-Policy",
    r#""fixed window";"api";q=500;w=300, "fixed window";"pages";q=100;w=300"#,
);

#[test]
fn an_empty_bucket_says_when_it_is_refilled() {
    assert_eq!(wait_of(&[("RateLimit", r#""api";r=0;t=55"#)]), Some(56));
    let two = [("RateLimit", r#""pages";r=9;t=1, "api"; r=0; t=7"#)];
    assert_eq!(wait_of(&two), Some(8));
}

#[test]
fn a_bucket_with_requests_left_is_no_reason_to_wait() {
    assert_eq!(wait_of(&[("RateLimit", r#""api";r=1;t=55"#)]), None);
    assert_eq!(wait_of(&[("RateLimit", r#""pages";r=0;t=55"#)]), None);
    let both = [("RateLimit", r#""api";r=1;t=55"#), ("Retry-After", "3")];
    assert_eq!(wait_of(&both), Some(3));
}

#[test]
fn retry_after_is_seconds_or_a_date_by_the_servers_clock() {
    assert_eq!(wait_of(&[("Retry-After", "120")]), Some(120));
    let date = [
        ("Date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("Retry-After", "Sun, 06 Nov 1994 08:50:07 GMT"),
    ];
    assert_eq!(wait_of(&date), Some(30));
    let past = [("Retry-After", "Sun, 06 Nov 1994 08:50:07 GMT")];
    assert_eq!(wait_of(&past), Some(0));
}

#[test]
fn nonsense_is_no_wait_and_a_gigantic_one_is_a_day() {
    for value in ["", "-1", "soon", "1.5"] {
        assert_eq!(wait_of(&[("Retry-After", value)]), None, "{value}");
    }
    for value in ["", "api", r#""api""#, r#""api";r=;t="#, r#""api";r=0"#] {
        assert_eq!(wait_of(&[("RateLimit", value)]), None, "{value}");
    }
    assert_eq!(wait_of(&[("Retry-After", "99999999999")]), Some(86_400));
}

#[tokio::test(start_paused = true)]
async fn an_empty_bucket_is_waited_for() {
    let limiter = Limiter::new(4, Duration::from_mins(1));
    limiter.observe(
        &headers(&[("RateLimit", r#""api";r=0;t=9"#), POLICY]),
        Bucket::Api,
    );
    let start = Instant::now();
    let _permit = limiter.enter(Bucket::Resolvers).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
    let _permit = limiter.enter(Bucket::Api).await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_wait_beyond_the_callers_patience_is_refused_at_once() {
    let limiter = Limiter::new(4, Duration::from_mins(1));
    limiter.observe(
        &headers(&[("RateLimit", r#""api";r=0;t=299"#)]),
        Bucket::Api,
    );
    let start = Instant::now();
    let refused = limiter.enter(Bucket::Api).await.map(|_| ());
    let wait = Duration::from_mins(5);
    assert_eq!(refused, Err(Exhausted { wait }));
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_last_requests_of_a_window_are_spread_over_it() {
    let limiter = Limiter::new(4, Duration::from_mins(1));
    limiter.observe(
        &headers(&[("RateLimit", r#""api";r=4;t=40"#), POLICY]),
        Bucket::Api,
    );
    let start = Instant::now();
    let mut sent = Vec::new();
    for _ in 0..5 {
        drop(limiter.enter(Bucket::Api).await.unwrap());
        sent.push(start.elapsed().as_secs());
    }
    assert_eq!(sent, [10, 20, 30, 40, 40]);
}

#[tokio::test(start_paused = true)]
async fn plenty_is_not_slowed_down() {
    let limiter = Limiter::new(4, Duration::from_mins(1));
    limiter.observe(
        &headers(&[("RateLimit", r#""api";r=400;t=40"#), POLICY]),
        Bucket::Api,
    );
    let start = Instant::now();
    for _ in 0..100 {
        drop(limiter.enter(Bucket::Api).await.unwrap());
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn only_so_many_requests_are_under_way() {
    let limiter = Limiter::new(2, Duration::from_mins(1));
    let first = limiter.enter(Bucket::Api).await.unwrap();
    let _second = limiter.enter(Bucket::Api).await.unwrap();
    let third = tokio::time::timeout(Duration::from_secs(1), limiter.enter(Bucket::Api));
    assert!(third.await.is_err());
    drop(first);
    let third = tokio::time::timeout(Duration::from_secs(1), limiter.enter(Bucket::Api));
    assert!(third.await.is_ok());
}
