//! HTTP/1.1 by hand: a library would not let an answer lie about its length.

use std::{collections::BTreeMap, io};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// The longest head of a request that is read.
const LONGEST_HEAD: usize = 64 << 10;

/// A request without its body.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Without the query string, percent-decoded.
    pub(crate) path: String,
    /// As it was sent.
    pub(crate) raw_path: String,
    pub(crate) query: BTreeMap<String, Vec<String>>,
    headers: BTreeMap<String, String>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name)?.first().map(String::as_str)
    }

    /// The first and the last byte asked for, both included; no last one for an open range.
    pub(crate) fn range(&self) -> Option<(u64, Option<u64>)> {
        let (first, last) = self
            .header("range")?
            .strip_prefix("bytes=")?
            .split_once('-')?;
        let last = match last {
            "" => None,
            last => Some(last.parse().ok()?),
        };
        Some((first.parse().ok()?, last))
    }

    pub(crate) fn token(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }
}

/// Reads the next request of a connection; `None` at its end.
pub(crate) async fn read_request(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
) -> io::Result<Option<Request>> {
    loop {
        if let Some((request, length, body)) = parse(buffer)? {
            while buffer.len() < length + body {
                if stream.read_buf(buffer).await? == 0 {
                    return Ok(None);
                }
            }
            buffer.drain(..length + body);
            return Ok(Some(request));
        }
        if buffer.len() > LONGEST_HEAD || stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

/// A request at the beginning of the buffer, with the lengths of its head and its body.
fn parse(buffer: &[u8]) -> io::Result<Option<(Request, usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut headers);
    let invalid = |reason: String| io::Error::new(io::ErrorKind::InvalidData, reason);
    let status = parsed.parse(buffer).map_err(|e| invalid(e.to_string()))?;
    let httparse::Status::Complete(length) = status else {
        return Ok(None);
    };
    let target = parsed.path.unwrap_or("/");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers: BTreeMap<String, String> = parsed
        .headers
        .iter()
        .map(|header| {
            let value = String::from_utf8_lossy(header.value).into_owned();
            (header.name.to_ascii_lowercase(), value)
        })
        .collect();
    let body = headers.get("content-length").and_then(|l| l.parse().ok());
    let mut parameters: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decode(&value.replace('+', " "));
        parameters.entry(decode(name)).or_default().push(value);
    }
    let request = Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        path: decode(path),
        raw_path: path.to_owned(),
        query: parameters,
        headers,
    };
    Ok(Some((request, length, body.unwrap_or(0))))
}

/// Undoes percent-encoding.
pub(crate) fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = (byte == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        decoded.push(escaped.unwrap_or(byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Percent-encodes everything but unreserved characters and `/`.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.extend(["%", &format!("{byte:02X}")]);
        }
    }
    encoded
}

/// The head of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    status: u16,
    headers: Vec<(String, String)>,
}

impl Head {
    pub(crate) fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
        }
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) async fn write(&self, stream: &mut TcpStream) -> io::Result<()> {
        let mut text = format!("HTTP/1.1 {} Status\r\n", self.status);
        for (name, value) in &self.headers {
            text.extend([name, ": ", value, "\r\n"]);
        }
        text.push_str("\r\n");
        stream.write_all(text.as_bytes()).await
    }
}

/// A small answer, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn empty(head: Head) -> Self {
        Self {
            head,
            body: Vec::new(),
        }
    }

    pub(crate) fn json(status: u16, value: &serde_json::Value) -> Self {
        Self {
            head: Head::new(status).header("Content-Type", "application/json"),
            body: value.to_string().into_bytes(),
        }
    }

    /// An error as the Hub sends it.
    pub(crate) fn error(status: u16, code: &str, message: &str) -> Self {
        let mut answer = Self::json(status, &serde_json::json!({ "error": message }));
        answer.head = answer
            .head
            .header("X-Error-Code", code)
            .header("X-Error-Message", message)
            .header("X-Request-Id", "Root=1-fault-server");
        answer
    }

    pub(crate) async fn write(self, stream: &mut TcpStream, with_body: bool) -> io::Result<()> {
        let head = self
            .head
            .header("Content-Length", self.body.len().to_string());
        head.write(stream).await?;
        if with_body {
            stream.write_all(&self.body).await?;
        }
        Ok(())
    }
}
