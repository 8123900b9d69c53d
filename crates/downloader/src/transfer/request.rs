//! Sending one request for bytes, and following redirects without carrying headers astray.

use std::time::Duration;

use reqwest::{
    Client, Response, Url,
    header::{ACCEPT_ENCODING, HeaderMap, HeaderValue, LOCATION, RANGE},
};

use super::answer::Asked;
use crate::{RedactedUrl, options::Options, source::BoxError};

const MOST_REDIRECTS: usize = 10;

/// A client that does nothing on its own: no redirects, no decompression, no referrer.
pub(crate) fn client(options: &Options) -> Result<Client, BoxError> {
    let mut builder = Client::builder()
        .user_agent(options.user_agent.as_str())
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(options.connect_timeout)
        .pool_max_idle_per_host(options.connections)
        .tcp_keepalive(Duration::from_secs(30));
    if !options.proxies {
        builder = builder.no_proxy();
    }
    Ok(builder.build()?)
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// The connection failed; trying again may help.
    Failed { url: RedactedUrl, source: BoxError },
    /// The server is silent.
    Stalled { url: RedactedUrl },
    /// The redirects lead nowhere.
    BadRedirect {
        url: RedactedUrl,
        reason: &'static str,
    },
}

/// Asks for bytes and follows redirects.
///
/// `headers` go to the origin (scheme, host and port) of `url` alone.
pub(crate) async fn send(
    client: &Client,
    url: &Url,
    headers: &HeaderMap,
    asked: &Asked,
    patience: Duration,
) -> Result<Response, NoAnswer> {
    let mut here = url.clone();
    for _ in 0..=MOST_REDIRECTS {
        let mut request = client.get(here.clone());
        if here.origin() == url.origin() {
            request = request.headers(headers.clone());
        }
        request = request.header(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(range) = asked.header() {
            request = request.header(RANGE, range);
        }
        let shown = RedactedUrl::new(&here);
        let response = match tokio::time::timeout(patience, request.send()).await {
            Err(_) => return Err(NoAnswer::Stalled { url: shown }),
            Ok(Err(e)) => {
                return Err(NoAnswer::Failed {
                    url: shown,
                    source: e.without_url().into(),
                });
            }
            Ok(Ok(response)) => response,
        };
        let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
        if !is_redirect {
            return Ok(response);
        }
        let bad = |reason| NoAnswer::BadRedirect { url: shown, reason };
        let next = response
            .headers()
            .get(LOCATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| here.join(value).ok())
            .filter(|next| matches!(next.scheme(), "http" | "https") && next.has_host());
        let Some(next) = next else {
            return Err(bad("a redirect without a valid target"));
        };
        if here.scheme() == "https" && next.scheme() != "https" {
            return Err(bad("a redirect from https to http"));
        }
        here = next;
    }
    Err(NoAnswer::BadRedirect {
        url: RedactedUrl::new(&here),
        reason: "too many redirects",
    })
}
