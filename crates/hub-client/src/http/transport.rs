//! One attempt at a request: its headers, its redirects, its answer.

use std::time::Duration;

use reqwest::{
    Method, Response, StatusCode,
    header::{ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderValue, LOCATION},
    redirect::Policy,
};
use tokio::sync::SemaphorePermit;
use url::Url;

use super::{Subject, Warnings, classify, proxies};
use crate::{Endpoint, HubError, Proxies, Timeouts, Token, endpoint::bare, rate_limit::Limiter};

/// Redirects of one request; browsers allow as many.
const MOST_HOPS: usize = 20;

/// What to do at a redirect to a host that does not belong to the Hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ForeignRedirect {
    /// Take the redirect itself as the answer.
    Stop,
    /// Go there, without the token.
    Follow,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) subject: Subject,
    pub(crate) foreign: ForeignRedirect,
    pub(crate) timeout: Option<Duration>,
}

impl Call {
    pub(crate) fn get(url: Url, subject: Subject) -> Self {
        Self {
            method: Method::GET,
            url,
            subject,
            foreign: ForeignRedirect::Follow,
            timeout: None,
        }
    }
}

/// An answer: a success, or a redirect that was not followed.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    response: Response,
    /// What was asked in the end.
    pub(crate) url: Url,
    /// Where a redirect that was not followed leads.
    pub(crate) foreign: Option<Url>,
    operation: String,
    // Held until the body is read.
    _permit: Option<SemaphorePermit<'a>>,
}

impl Answer<'_> {
    pub(crate) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The body, which is refused when it is longer than `most` bytes.
    pub(crate) async fn body(mut self, most: usize) -> Result<Vec<u8>, HubError> {
        let mut body = Vec::new();
        while let Some(piece) = self
            .response
            .chunk()
            .await
            .map_err(|error| classify::transport_error(error, &self.operation))?
        {
            if piece.len() > most.saturating_sub(body.len()) {
                return Err(HubError::Decode {
                    operation: self.operation,
                    reason: format!("it is longer than {most} bytes"),
                });
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }
}

/// Sends requests to one Hub.
#[derive(Debug)]
pub(crate) struct Transport {
    http: reqwest::Client,
    endpoint: Endpoint,
    token: Option<(Token, HeaderValue)>,
    limiter: Limiter,
    warnings: Warnings,
}

impl Transport {
    pub(crate) fn new(
        endpoint: Endpoint,
        token: Option<Token>,
        limiter: Limiter,
        warnings: Warnings,
        timeouts: &Timeouts,
        proxies: &Proxies,
        user_agent: HeaderValue,
    ) -> Result<Self, HubError> {
        let mut builder = reqwest::Client::builder()
            .user_agent(user_agent)
            // Redirects are followed here, where it is known who may see the token.
            .redirect(Policy::none())
            // An address of ours, with its query, is nobody else's business.
            .referer(false);
        if let Some(connect) = timeouts.connect {
            builder = builder.connect_timeout(connect);
        }
        if let Some(read) = timeouts.read {
            builder = builder.read_timeout(read);
        }
        let http = proxies::apply(builder, proxies)?
            .build()
            .map_err(|error| HubError::Setup {
                source: Box::new(error.without_url()),
            })?;
        let token = token.map(authorization).transpose()?;
        Ok(Self {
            http,
            endpoint,
            token,
            limiter,
            warnings,
        })
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn token(&self) -> Option<&Token> {
        self.token.as_ref().map(|(token, _)| token)
    }

    /// The token, if it may be sent to this address.
    pub(crate) fn token_for(&self, url: &Url) -> Option<&Token> {
        self.token()
            .filter(|_| self.endpoint.may_receive_token(url))
    }

    /// One attempt.
    pub(crate) async fn send(&self, call: &Call) -> Result<Answer<'_>, HubError> {
        let subject = &call.subject;
        let permit =
            self.limiter
                .enter(subject.bucket)
                .await
                .map_err(|limit| HubError::RateLimited {
                    operation: subject.operation.clone(),
                    retry_after: Some(limit.wait),
                })?;
        let mut url = call.url.clone();
        // A token that was dropped on the way stays dropped.
        let mut trusted = true;
        for _ in 0..=MOST_HOPS {
            trusted &= self.endpoint.may_receive_token(&url);
            let response = self.hop(call, &url, trusted).await?;
            self.limiter.observe(response.headers(), subject.bucket);
            // What another host says is not the Hub's word.
            if trusted {
                self.warnings.observe(response.headers(), self.token());
            }
            let status = response.status();
            if status.is_success() {
                return Ok(Answer {
                    response,
                    url,
                    foreign: None,
                    operation: subject.operation.clone(),
                    _permit: permit,
                });
            }
            let Some(target) = redirect_target(&response, &url) else {
                return Err(classify::reply_error(response, &url, subject, self.token()).await);
            };
            let target = target.map_err(|reason| refused(call, "an address", reason))?;
            check_target(call, &url, &target)?;
            if !self.endpoint.may_receive_token(&target) && call.foreign == ForeignRedirect::Stop {
                return Ok(Answer {
                    response,
                    url,
                    foreign: Some(target),
                    operation: subject.operation.clone(),
                    _permit: permit,
                });
            }
            tracing::debug!(from = bare(&url), to = bare(&target), "redirected");
            url = target;
        }
        Err(refused(
            call,
            &bare(&url),
            "there are more than 20 redirects in a row",
        ))
    }

    async fn hop(&self, call: &Call, url: &Url, trusted: bool) -> Result<Response, HubError> {
        let mut request = self
            .http
            .request(call.method.clone(), url.clone())
            .header(ACCEPT_ENCODING, "identity");
        if let (true, Some((_, header))) = (trusted, &self.token) {
            request = request.header(AUTHORIZATION, header);
        }
        if let Some(timeout) = call.timeout {
            request = request.timeout(timeout);
        }
        tracing::debug!(method = %call.method, url = bare(url), with_token = trusted && self.token.is_some(), "request");
        request
            .send()
            .await
            .map_err(|error| classify::transport_error(error, &call.subject.operation))
    }
}

fn authorization(token: Token) -> Result<(Token, HeaderValue), HubError> {
    let mut header =
        HeaderValue::from_str(&format!("Bearer {}", token.expose())).map_err(|_| {
            HubError::Setup {
                source: "the access token can't be part of a header".into(),
            }
        })?;
    // Keeps it out of the HTTP library's own logs.
    header.set_sensitive(true);
    Ok((token, header))
}

/// Where a redirect leads, if the answer is one.
fn redirect_target(response: &Response, url: &Url) -> Option<Result<Url, &'static str>> {
    let is_redirect = matches!(
        response.status(),
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let location = response.headers().get(LOCATION).filter(|_| is_redirect)?;
    let text = location.to_str().ok();
    let target = text.and_then(|text| url.join(text).ok());
    Some(target.ok_or("its Location header is not an address"))
}

fn check_target(call: &Call, from: &Url, target: &Url) -> Result<(), HubError> {
    if !matches!(target.scheme(), "http" | "https") || target.host_str().is_none() {
        return Err(refused(call, &bare(target), "it leads away from HTTP"));
    }
    if from.scheme() == "https" && target.scheme() != "https" {
        return Err(refused(call, &bare(target), "it gives up encryption"));
    }
    Ok(())
}

fn refused(call: &Call, target: &str, reason: &'static str) -> HubError {
    HubError::RefusedRedirect {
        operation: call.subject.operation.clone(),
        target: target.to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(from: &str, to: &str) -> Result<(), HubError> {
        let url = |text| Url::parse(text).unwrap();
        let call = Call::get(url(from), Subject::new("ask"));
        check_target(&call, &call.url, &url(to))
    }

    #[test]
    fn a_redirect_never_gives_up_encryption() {
        let refused = follow("https://hub.example/a", "http://hub.example/a?X=s1gned");
        let error = refused.unwrap_err();
        assert_eq!(
            error.to_string(),
            "a redirect to http://hub.example/a was refused while trying to ask: it gives up encryption"
        );
        follow("https://hub.example/a", "https://cdn.example/a").unwrap();
        follow("http://localhost/a", "http://localhost:81/a").unwrap();
        follow("http://localhost/a", "https://cdn.example/a").unwrap();
    }

    #[test]
    fn the_header_with_the_token_is_marked_as_secret() {
        let token = Token::new("hf_x").unwrap();
        let (_, header) = authorization(token).unwrap();
        assert!(header.is_sensitive());
        assert_eq!(header, "Bearer hf_x");
    }
}
