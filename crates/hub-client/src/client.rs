//! The handle on a Hub.

use std::{fmt, sync::Arc};

use reqwest::header::HeaderValue;
use serde::de::DeserializeOwned;

use crate::{
    Endpoint, Environment, HubError, Proxies, RetryPolicy, Timeouts, Token,
    http::{Answer, Call, Subject, Transport, Warnings, retrying},
    rate_limit::Limiter,
};

/// The longest JSON text that is read.
const MOST_JSON: usize = 64 << 20;

/// A client of one Hub. Cloning is cheap, and clones share connections and rate limits.
///
/// It needs tokio, whose timers and sockets it uses.
#[derive(Clone)]
pub struct HubClient {
    inner: Arc<Inner>,
}

struct Inner {
    transport: Transport,
    offline: bool,
    timeouts: Timeouts,
    retry: RetryPolicy,
}

impl HubClient {
    /// Begins a client: Hugging Face's own Hub, nobody logged in, online.
    pub fn builder() -> HubClientBuilder {
        HubClientBuilder::default()
    }

    /// A client as the environment says, with the token that it names.
    ///
    /// # Errors
    /// What [`Environment::read_token`] and [`HubClientBuilder::build`] say.
    pub fn from_environment(environment: &Environment) -> Result<Self, HubError> {
        HubClientBuilder::from(environment)
            .maybe_token(environment.read_token()?)
            .build()
    }

    /// The Hub's address.
    pub fn endpoint(&self) -> &Endpoint {
        self.inner.transport.endpoint()
    }

    /// Whether requests are refused instead of sent.
    pub fn is_offline(&self) -> bool {
        self.inner.offline
    }

    /// Whether there is a token.
    pub fn has_token(&self) -> bool {
        self.inner.transport.token().is_some()
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.inner.transport
    }

    pub(crate) fn timeouts(&self) -> &Timeouts {
        &self.inner.timeouts
    }

    /// Sends a request, again where that may help, and lets `read` take what it wants from the
    /// answer; a body that breaks off is a failed attempt too.
    pub(crate) async fn ask<'a, T, R, F>(&'a self, call: &'a Call, read: R) -> Result<T, HubError>
    where
        R: Fn(Answer<'a>) -> F,
        F: Future<Output = Result<T, HubError>>,
    {
        self.ensure_online(&call.subject)?;
        let read = &read;
        retrying(&self.inner.retry, move || async move {
            read(self.inner.transport.send(call).await?).await
        })
        .await
    }

    pub(crate) fn ensure_online(&self, subject: &Subject) -> Result<(), HubError> {
        if self.inner.offline {
            return Err(HubError::Offline {
                operation: subject.operation.clone(),
            });
        }
        Ok(())
    }

    /// Asks for JSON.
    pub(crate) async fn json<T: DeserializeOwned>(&self, call: &Call) -> Result<T, HubError> {
        let body = self.ask(call, |answer| answer.body(MOST_JSON)).await?;
        decode(&body, &call.subject)
    }
}

/// A page of a list, which is as long as any other JSON at most.
pub(crate) async fn body_of_page(answer: Answer<'_>) -> Result<Vec<u8>, HubError> {
    answer.body(MOST_JSON).await
}

pub(crate) fn decode<T: DeserializeOwned>(body: &[u8], subject: &Subject) -> Result<T, HubError> {
    serde_json::from_slice(body).map_err(|error| HubError::Decode {
        operation: subject.operation.clone(),
        reason: error.to_string(),
    })
}

impl fmt::Debug for HubClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubClient")
            .field("endpoint", self.endpoint())
            .field("has_token", &self.has_token())
            .field("offline", &self.inner.offline)
            .finish_non_exhaustive()
    }
}

/// Settings of a [`HubClient`].
#[derive(Clone, Debug, Default)]
#[must_use = "it is no client before it is built"]
pub struct HubClientBuilder {
    endpoint: Option<Endpoint>,
    token: Option<Token>,
    offline: bool,
    timeouts: Timeouts,
    retry: RetryPolicy,
    proxies: Proxies,
    concurrent: Option<usize>,
    origin: Option<String>,
    warnings: Warnings,
}

/// Requests under way at the same time, unless the caller says otherwise.
const CONCURRENT: usize = 8;

impl From<&Environment> for HubClientBuilder {
    /// All that the environment says, except for the token.
    fn from(environment: &Environment) -> Self {
        let timeouts = Timeouts {
            read: Some(environment.read_timeout),
            metadata: Some(environment.metadata_timeout),
            ..Timeouts::default()
        };
        Self {
            endpoint: Some(environment.endpoint.clone()),
            offline: environment.offline,
            timeouts,
            proxies: environment.proxies.clone(),
            origin: environment.user_agent_origin.clone(),
            ..Self::default()
        }
    }
}

impl HubClientBuilder {
    /// Another Hub, or a mirror.
    pub fn endpoint(mut self, endpoint: Endpoint) -> Self {
        self.endpoint = Some(endpoint);
        self
    }

    /// With this token, which is sent to the endpoint and the Hub's own hosts only.
    pub fn token(self, token: Token) -> Self {
        self.maybe_token(Some(token))
    }

    /// With this token, or anonymously.
    pub fn maybe_token(mut self, token: Option<Token>) -> Self {
        self.token = token;
        self
    }

    /// Whether to refuse every request with [`HubError::Offline`] instead of sending it.
    pub fn offline(mut self, offline: bool) -> Self {
        self.offline = offline;
        self
    }

    /// How long to wait.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// When to try again.
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// Which proxies to use.
    pub fn proxies(mut self, proxies: Proxies) -> Self {
        self.proxies = proxies;
        self
    }

    /// Requests under way at the same time, at least 1; further ones wait. Default 8.
    pub fn concurrent(mut self, requests: usize) -> Self {
        self.concurrent = Some(requests);
        self
    }

    /// Who drives this program, as the `User-Agent` tells the Hub.
    pub fn user_agent_origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = Some(origin.into());
        self
    }

    /// Makes the client. Nothing is sent yet.
    ///
    /// # Errors
    /// [`HubError::InvalidUrl`] for a proxy's address, [`HubError::Setup`] where the system's
    /// certificates or proxies can't be used.
    pub fn build(self) -> Result<HubClient, HubError> {
        let endpoint = match self.endpoint {
            Some(endpoint) => endpoint,
            None => Endpoint::hugging_face()?,
        };
        let limiter = Limiter::new(self.concurrent.unwrap_or(CONCURRENT), self.retry.patience);
        let transport = Transport::new(
            endpoint,
            self.token,
            limiter,
            self.warnings,
            &self.timeouts,
            &self.proxies,
            user_agent(self.origin.as_deref())?,
        )?;
        Ok(HubClient {
            inner: Arc::new(Inner {
                transport,
                offline: self.offline,
                timeouts: self.timeouts,
                retry: self.retry,
            }),
        })
    }
}

fn user_agent(origin: Option<&str>) -> Result<HeaderValue, HubError> {
    let mut text = concat!("mlxengine/", env!("CARGO_PKG_VERSION"), "; rust").to_owned();
    if let Some(origin) = origin {
        text.push_str("; origin/");
        text.push_str(origin);
    }
    HeaderValue::from_str(&text).map_err(|_| HubError::Setup {
        source: "the user agent's origin can't be part of a header".into(),
    })
}
