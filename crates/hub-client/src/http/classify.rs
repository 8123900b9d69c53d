//! From what went wrong on the wire to an error that says what it means.

use reqwest::{Response, header::HeaderMap};
use serde_json::Value;
use url::Url;

use super::Subject;
use crate::{HubError, Reply, Token, endpoint::bare, rate_limit::requested_wait};

/// As much of an error's body as is read.
const MOST_BODY: usize = 64 << 10;
/// As much of a server's message as is shown.
const MOST_MESSAGE: usize = 300;

/// What the server says of a token that it does not know, on public repositories too.
const BAD_TOKEN: &str = "Invalid credentials in Authorization header";
/// What it says of a repository that was closed.
const DISABLED: &str = "Access to this resource is disabled.";

/// The HTTP library's error, without the address, whose query may be a signature.
pub(super) fn transport_error(error: reqwest::Error, operation: &str) -> HubError {
    let error = error.without_url();
    let operation = operation.to_owned();
    if error.is_timeout() {
        return HubError::Timeout {
            operation,
            source: Box::new(error),
        };
    }
    if error.is_builder() {
        return HubError::Setup {
            source: Box::new(error),
        };
    }
    HubError::Network {
        operation,
        source: Box::new(error),
    }
}

/// What a status that is not a success means.
pub(super) async fn reply_error(
    response: Response,
    url: &Url,
    subject: &Subject,
    token: Option<&Token>,
) -> HubError {
    let headers = response.headers().clone();
    let status = response.status().as_u16();
    let body = beginning(response).await;
    let clean = |text: &str| {
        let text = token.map_or_else(|| text.to_owned(), |token| token.mask(text));
        one_line(&text)
    };
    let text = |name: &str| header(&headers, name).and_then(&clean);
    let reply = Box::new(Reply {
        status,
        url: bare(url),
        code: text("x-error-code"),
        message: text("x-error-message").or_else(|| message_in(&body).and_then(|m| clean(&m))),
        request_id: ["x-request-id", "x-amzn-trace-id", "x-amz-cf-id"]
            .into_iter()
            .find_map(text),
        retry_after: requested_wait(&headers, subject.bucket),
    });
    meaning(reply, subject, token.is_some())
}

fn meaning(reply: Box<Reply>, subject: &Subject, with_token: bool) -> HubError {
    let code = reply.code.clone().unwrap_or_default();
    let message = reply.message.clone().unwrap_or_default();
    let operation = subject.operation.clone();
    if reply.status == 429 {
        return HubError::RateLimited {
            operation,
            retry_after: reply.retry_after,
        };
    }
    if reply.status == 401 && with_token && (message == BAD_TOKEN || subject.repo.is_none()) {
        return HubError::InvalidToken { reply };
    }
    let Some(repo) = subject.repo.clone() else {
        return match reply.status {
            401 => HubError::AuthenticationRequired { operation },
            403 => HubError::Forbidden { operation, reply },
            _ => HubError::Status { operation, reply },
        };
    };
    let file = subject.revision.clone().zip(subject.path.clone());
    match (code.as_str(), reply.status) {
        (_, 403) if message == DISABLED => HubError::Disabled { repo, reply },
        ("GatedRepo", _) => HubError::Gated { repo, reply },
        // Of what is private the Hub says the same as of what is missing, or 401 and no code.
        ("RepoNotFound", _) | (_, 401) => HubError::RepositoryNotFound { repo, reply },
        ("RevisionNotFound", _) => match subject.revision.clone() {
            Some(revision) => HubError::RevisionNotFound {
                repo,
                revision,
                reply,
            },
            None => HubError::Status { operation, reply },
        },
        ("EntryNotFound", _) => match file {
            Some((revision, path)) => HubError::FileNotFound {
                repo,
                revision,
                path,
                reply,
            },
            None => HubError::Status { operation, reply },
        },
        (_, 403) => HubError::Forbidden { operation, reply },
        // A mirror that gives no code: the most specific thing that was asked for.
        (_, 404) => match (file, subject.revision.clone()) {
            (Some((revision, path)), _) => HubError::FileNotFound {
                repo,
                revision,
                path,
                reply,
            },
            (None, Some(revision)) if revision.as_str() != "main" => HubError::RevisionNotFound {
                repo,
                revision,
                reply,
            },
            (None, _) => HubError::RepositoryNotFound { repo, reply },
        },
        _ => HubError::Status { operation, reply },
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The body's first part; what can't be read is left out, since the status already says enough.
async fn beginning(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        body.extend_from_slice(&piece);
        if body.len() >= MOST_BODY {
            break;
        }
    }
    body
}

/// `{error}`, `{error: [..]}`, `{errors: [{message}]}` or `{error, error_description}`.
fn message_in(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    if let Some(description) = body.get("error_description").and_then(Value::as_str) {
        return Some(description.to_owned());
    }
    let text = match body.get("error") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(texts)) => texts
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join("; "),
        _ => body
            .get("errors")?
            .as_array()?
            .iter()
            .filter_map(|error| error.get("message").and_then(Value::as_str))
            .collect::<Vec<_>>()
            .join("; "),
    };
    Some(text)
}

/// A server's text as a terminal may show it: one line, without control characters, shortened.
pub(super) fn one_line(text: &str) -> Option<String> {
    let visible: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let mut line = visible.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(MOST_MESSAGE) {
        line.truncate(end);
        line.push('…');
    }
    (!line.is_empty()).then_some(line)
}
