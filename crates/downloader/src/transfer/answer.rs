//! What a server's answer to a request for bytes means.

use std::{
    ops::Range,
    time::{Duration, SystemTime},
};

use reqwest::header::{self, HeaderMap};

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Everything; no `Range` header.
    Whole,
    /// Some bytes; no end where the size is not known.
    Part { start: u64, end: Option<u64> },
}

impl Asked {
    /// The value of the `Range` header.
    pub(crate) fn header(&self) -> Option<String> {
        match self {
            Self::Whole => None,
            Self::Part { start, end: None } => Some(format!("bytes={start}-")),
            Self::Part {
                start,
                end: Some(end),
            } => Some(format!("bytes={start}-{}", end.saturating_sub(1))),
        }
    }

    fn start(&self) -> u64 {
        match self {
            Self::Whole => 0,
            Self::Part { start, .. } => *start,
        }
    }
}

/// What to do with the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The body holds these bytes; no end where it is not announced.
    Take {
        start: u64,
        end: Option<u64>,
        /// The size of the whole file, if the answer says it.
        size: Option<u64>,
    },
    /// The body is the whole file although a part was asked for.
    RangeIgnored,
    /// The file ends before the part begins; its size, if the answer says it.
    PastTheEnd { size: Option<u64> },
    /// Follow the `Location` header.
    Redirect,
    /// The place is not valid any more: ask the source for another.
    Relocate { status: u16 },
    /// Try again later.
    Later {
        status: u16,
        after: Option<Duration>,
    },
    /// The server will not answer otherwise.
    Refused { status: u16 },
    /// It fits no question; trying again may help.
    Unusable { reason: String },
}

/// Judges status and headers; `size` is what is known of the file.
pub(crate) fn judge(asked: &Asked, size: Option<u64>, status: u16, headers: &HeaderMap) -> Verdict {
    match status {
        200 | 206 if !is_identity(headers) => Verdict::Unusable {
            reason: "the content is compressed".to_owned(),
        },
        200 => whole(asked, size, headers),
        206 => part(asked, size, headers),
        416 => Verdict::PastTheEnd {
            size: text(headers, header::CONTENT_RANGE)
                .and_then(|value| value.trim().strip_prefix("bytes */"))
                .and_then(|size| size.parse().ok()),
        },
        301 | 302 | 303 | 307 | 308 => Verdict::Redirect,
        401 | 403 | 404 | 410 | 412 => Verdict::Relocate { status },
        _ if crate::error::is_retryable_status(status) => Verdict::Later {
            status,
            after: retry_after(headers, SystemTime::now()),
        },
        _ => Verdict::Refused { status },
    }
}

fn whole(asked: &Asked, size: Option<u64>, headers: &HeaderMap) -> Verdict {
    let length = text(headers, header::CONTENT_LENGTH).and_then(|l| l.trim().parse().ok());
    match asked {
        // All of it was asked for, if only by its position.
        Asked::Part { start, .. } if *start > 0 => return Verdict::RangeIgnored,
        Asked::Part { end: Some(end), .. } if length != Some(*end) => return Verdict::RangeIgnored,
        _ => {}
    }
    if let (Some(size), Some(length)) = (size, length)
        && size != length
    {
        return wrong_length(size, length);
    }
    Verdict::Take {
        start: 0,
        end: length,
        size: length,
    }
}

fn part(asked: &Asked, size: Option<u64>, headers: &HeaderMap) -> Verdict {
    let unusable = |reason: &str| Verdict::Unusable {
        reason: reason.to_owned(),
    };
    let Some((range, total)) = text(headers, header::CONTENT_RANGE).and_then(content_range) else {
        return unusable("a part of the file without saying which");
    };
    if range.start != asked.start() {
        return unusable("another part of the file than was asked for");
    }
    if let (Some(size), Some(total)) = (size, total)
        && size != total
    {
        return wrong_length(size, total);
    }
    if total.or(size).is_some_and(|size| range.end > size) {
        return unusable("a part that ends after the file");
    }
    let length: Option<u64> =
        text(headers, header::CONTENT_LENGTH).and_then(|l| l.trim().parse().ok());
    if length.is_some_and(|length| length != range.end - range.start) {
        return unusable("a part of another length than it says");
    }
    Verdict::Take {
        start: range.start,
        end: Some(range.end),
        size: total,
    }
}

fn wrong_length(expected: u64, got: u64) -> Verdict {
    Verdict::Unusable {
        reason: format!("a file of {got} bytes, where {expected} were announced"),
    }
}

fn is_identity(headers: &HeaderMap) -> bool {
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    encodings.all(|value| {
        value
            .to_str()
            .is_ok_and(|v| v.trim().eq_ignore_ascii_case("identity"))
    })
}

/// `bytes 0-99/1234` or `bytes 0-99/*`, with the end made exclusive.
fn content_range(value: &str) -> Option<(Range<u64>, Option<u64>)> {
    let (range, total) = value.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.trim().split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    let total = match total.trim() {
        "*" => None,
        total => Some(total.parse().ok()?),
    };
    (first <= last).then_some((first..last.checked_add(1)?, total))
}

/// `Retry-After` in seconds or as a date, at most an hour.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = text(headers, header::RETRY_AFTER)?.trim();
    let after = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(value)
            .ok()?
            .duration_since(now)
            .unwrap_or_default(),
    };
    Some(after.min(Duration::from_hours(1)))
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    fn part(start: u64, end: u64) -> Asked {
        Asked::Part {
            start,
            end: Some(end),
        }
    }

    #[test]
    fn a_range_header_has_an_inclusive_end() {
        assert_eq!(Asked::Whole.header(), None);
        assert_eq!(part(5, 10).header().as_deref(), Some("bytes=5-9"));
        let open = Asked::Part {
            start: 5,
            end: None,
        };
        assert_eq!(open.header().as_deref(), Some("bytes=5-"));
    }

    #[test]
    fn the_part_that_was_asked_for_is_taken() {
        let answer = headers(&[("content-range", "bytes 5-9/20"), ("content-length", "5")]);
        let taken = Verdict::Take {
            start: 5,
            end: Some(10),
            size: Some(20),
        };
        assert_eq!(judge(&part(5, 10), Some(20), 206, &answer), taken);
        assert_eq!(judge(&part(5, 10), None, 206, &answer), taken);
    }

    #[test]
    fn parts_that_do_not_fit_are_not_taken() {
        for (range, length) in [
            ("bytes 6-9/20", "4"),   // another start
            ("bytes 5-9/21", "5"),   // another file
            ("bytes 5-24/20", "20"), // beyond the end
            ("bytes 5-9/20", "6"),   // another length
            ("bytes 9-5/20", "5"),   // backwards
            ("bytes */20", "5"),
            ("bytes 5-18446744073709551615/*", "5"),
            ("", "5"),
        ] {
            let answer = headers(&[("content-range", range), ("content-length", length)]);
            let verdict = judge(&part(5, 10), Some(20), 206, &answer);
            assert!(
                matches!(verdict, Verdict::Unusable { .. }),
                "{range}: {verdict:?}"
            );
        }
    }

    #[test]
    fn the_whole_file_in_answer_to_a_part_is_noticed() {
        let answer = headers(&[("content-length", "20")]);
        assert_eq!(
            judge(&part(5, 10), Some(20), 200, &answer),
            Verdict::RangeIgnored
        );
        assert_eq!(
            judge(&part(0, 10), Some(20), 200, &answer),
            Verdict::RangeIgnored
        );
        let taken = Verdict::Take {
            start: 0,
            end: Some(20),
            size: Some(20),
        };
        assert_eq!(judge(&part(0, 20), Some(20), 200, &answer), taken);
        assert_eq!(judge(&Asked::Whole, None, 200, &answer), taken);
    }

    #[test]
    fn compressed_content_is_not_taken() {
        let answer = headers(&[("content-encoding", "gzip"), ("content-length", "20")]);
        let verdict = judge(&Asked::Whole, Some(20), 200, &answer);
        assert!(matches!(verdict, Verdict::Unusable { .. }), "{verdict:?}");
        let plain = headers(&[("content-encoding", "identity")]);
        let verdict = judge(&Asked::Whole, Some(20), 200, &plain);
        assert!(matches!(verdict, Verdict::Take { .. }), "{verdict:?}");
    }

    #[test]
    fn past_the_end_says_the_size() {
        let answer = headers(&[("content-range", "bytes */7")]);
        let verdict = judge(&part(9, 10), None, 416, &answer);
        assert_eq!(verdict, Verdict::PastTheEnd { size: Some(7) });
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let read = |value: &str| retry_after(&headers(&[("retry-after", value)]), now);
        assert_eq!(read("7"), Some(Duration::from_secs(7)));
        let date = httpdate::fmt_http_date(now + Duration::from_secs(30));
        assert_eq!(read(&date), Some(Duration::from_secs(30)));
        let past = httpdate::fmt_http_date(now - Duration::from_secs(30));
        assert_eq!(read(&past), Some(Duration::ZERO));
        assert_eq!(read("99999999"), Some(Duration::from_hours(1)));
        assert_eq!(read("soon"), None);
    }

    proptest! {
        #[test]
        fn no_content_range_is_taken_for_other_bytes(value in "bytes [0-9*/ -]{0,24}|\\PC{0,24}") {
            let Ok(value) = reqwest::header::HeaderValue::from_str(&value) else { return Ok(()) };
            let mut map = HeaderMap::new();
            map.insert("content-range", value);
            if let Verdict::Take { start, end, size } = judge(&part(5, 10), Some(20), 206, &map) {
                prop_assert_eq!(start, 5);
                prop_assert!(end.is_some_and(|end| end > 5 && end <= 20));
                prop_assert!(size.is_none_or(|size| size == 20));
            }
        }
    }
}
