//! Opening the answer to one request and writing its body down as it arrives.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use reqwest::{Response, header::ETAG};
use tokio::task::JoinHandle;

use super::{
    answer::{Asked, Verdict, judge},
    buffers::Buffers,
    pace::Watch,
    parts::{Fault, Transfer},
    place::Place,
    request::{NoAnswer, send},
};
use crate::{BlobName, Error, RedactedUrl, control::Listener};

/// Bytes that have arrived are written down at least this often.
const LONGEST_IN_MEMORY: Duration = Duration::from_millis(500);

/// An answer whose body is what was asked for.
#[derive(Debug)]
pub(crate) struct Body {
    response: Response,
    start: u64,
    /// Where the body ends; not known for a body without a length.
    end: Option<u64>,
    url: RedactedUrl,
}

impl Body {
    /// The same, read no further than to `end`.
    pub(crate) fn until(mut self, end: Option<u64>) -> Self {
        self.end = match (self.end, end) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self
    }
}

impl Transfer<'_> {
    /// Sends a request and judges the answer. `None` if the answer is that everything is there.
    pub(crate) async fn open(
        &self,
        asked: &Asked,
        listener: &Listener,
    ) -> Result<Option<Body>, Fault> {
        let place = self.place.now(listener).await?;
        self.check_identity(&place)?;
        let options = self.run.options();
        let sent = send(
            &self.run.shared.client,
            &place.url,
            &place.headers,
            asked,
            options.connect_timeout + options.stall_timeout,
        );
        let answer = tokio::select! {
            biased;
            () = listener.interrupted() => return Err(Fault::Interrupted),
            answer = sent => answer,
        };
        let path = || self.file.path.clone();
        let response = match answer {
            Ok(response) => response,
            Err(no_answer) => {
                // The place may be down; the source may know another.
                self.place.forget(place.edition).await;
                let error = match no_answer {
                    NoAnswer::Failed { url, source } => Error::Network {
                        path: path(),
                        url,
                        source,
                    },
                    NoAnswer::Stalled { url } => Error::Stalled {
                        path: path(),
                        url,
                        after: options.connect_timeout + options.stall_timeout,
                    },
                    NoAnswer::BadRedirect { url, reason } => Error::UnusableAnswer {
                        path: path(),
                        url,
                        reason: reason.to_owned(),
                    },
                };
                return Err(again(error));
            }
        };
        let url = RedactedUrl::new(response.url());
        let status = response.status().as_u16();
        let unusable = |reason: String| {
            again(Error::UnusableAnswer {
                path: path(),
                url: url.clone(),
                reason,
            })
        };
        let refused = |status| Error::Status {
            path: path(),
            url: url.clone(),
            status,
        };
        match judge(asked, self.partial.size(), status, response.headers()) {
            Verdict::Take { start, end, size } => {
                self.check_body_etag(&response)?;
                if let Some(size) = size {
                    self.partial.set_size(size)?;
                    self.tally.set_size(size);
                }
                Ok(Some(Body {
                    response,
                    start,
                    end,
                    url,
                }))
            }
            Verdict::RangeIgnored => Err(Fault::RangeIgnored),
            Verdict::PastTheEnd { size } => match (asked, size) {
                (Asked::Part { start, end: None }, Some(size)) if *start == size => {
                    self.partial.set_size(size)?;
                    self.tally.set_size(size);
                    Ok(None)
                }
                // The size was not known, and what is there is more than there should be.
                (Asked::Part { end: None, .. }, _) => Err(Fault::Changed),
                _ => {
                    self.place.forget(place.edition).await;
                    Err(unusable("the file ends before it should".to_owned()))
                }
            },
            Verdict::Redirect => Err(unusable("a redirect without a target".to_owned())),
            Verdict::Relocate { status } => {
                self.place.forget(place.edition).await;
                Err(again(refused(status)))
            }
            Verdict::Later { status, after } => Err(Fault::Again {
                error: refused(status),
                after,
            }),
            Verdict::Refused { status } => Err(Fault::Fatal(refused(status))),
            Verdict::Unusable { reason } => {
                self.place.forget(place.edition).await;
                Err(unusable(reason))
            }
        }
    }

    /// Whether the source still speaks of the content that is being fetched.
    fn check_identity(&self, place: &Place) -> Result<(), Fault> {
        let Some(Ok(now)) = place.blob_name() else {
            return Ok(());
        };
        let same = match (self.file.digest, now.digest()) {
            // An opaque ETag, or a digest of another kind, says nothing about this digest.
            (Some(expected), Some(now)) => {
                expected == now || expected.hex().len() != now.hex().len()
            }
            (Some(_), None) => true,
            (None, _) => self.is_called(&now),
        };
        if same { Ok(()) } else { Err(Fault::Changed) }
    }

    fn is_called(&self, name: &BlobName) -> bool {
        let prefix = format!("{name}.");
        self.partial
            .path()
            .file_name()
            .is_some_and(|file| file.to_string_lossy().starts_with(&prefix))
    }

    /// Content that can't be verified must at least have one ETag throughout.
    fn check_body_etag(&self, response: &Response) -> Result<(), Fault> {
        if self.verifiable {
            return Ok(());
        }
        let Some(now) = response.headers().get(ETAG).and_then(|e| e.to_str().ok()) else {
            return Ok(());
        };
        let mut known = self
            .state
            .body_etag
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match known.as_deref() {
            None => {
                *known = Some(now.to_owned());
                Ok(())
            }
            Some(before) if before == now => Ok(()),
            Some(_) => {
                *known = None;
                Err(Fault::Changed)
            }
        }
    }
}

fn again(error: Error) -> Fault {
    Fault::Again { error, after: None }
}

/// Bytes that have arrived and are not yet written.
#[derive(Debug)]
struct Held {
    bytes: Vec<u8>,
    start: u64,
    since: Instant,
}

impl Held {
    fn new(buffers: &Buffers, start: u64, capacity: usize) -> Self {
        Self {
            bytes: buffers.take(capacity),
            start,
            since: Instant::now(),
        }
    }

    /// How many more bytes it takes.
    fn room(&self) -> usize {
        self.bytes.capacity() - self.bytes.len()
    }
}

/// Reads a body to its end, writing as it comes. Returns how many bytes were new.
pub(crate) async fn read_body(
    transfer: &Transfer<'_>,
    body: Body,
    listener: &Listener,
) -> (u64, Result<(), Fault>) {
    let Body {
        mut response,
        start,
        end,
        url,
    } = body;
    let options = transfer.run.options();
    let mut at = start;
    let mut new = 0;
    let mut writer = Writer {
        transfer,
        pending: None,
    };
    let buffers = &transfer.run.shared.buffers;
    let share = || options.flush_size(transfer.state.connections());
    let mut held = Held::new(buffers, start, share());
    let mut watch = Watch::new(&transfer.state.pace, options.slow_window);
    let mut outcome = 'body: loop {
        if end.is_some_and(|end| at >= end) {
            break Ok(());
        }
        let asked = Instant::now();
        let chunk = tokio::select! {
            biased;
            () = listener.interrupted() => break Err(Fault::Interrupted),
            chunk = tokio::time::timeout(options.stall_timeout, response.chunk()) => chunk,
        };
        let mut chunk = match chunk {
            Err(_) => {
                break Err(again(Error::Stalled {
                    path: transfer.file.path.clone(),
                    url,
                    after: options.stall_timeout,
                }));
            }
            Ok(Err(e)) => {
                break Err(again(Error::Network {
                    path: transfer.file.path.clone(),
                    url,
                    source: e.without_url().into(),
                }));
            }
            Ok(Ok(None)) if end.is_none() => break Ok(()),
            Ok(Ok(None)) => {
                break Err(again(Error::UnusableAnswer {
                    path: transfer.file.path.clone(),
                    url,
                    reason: "it ends before it should".to_owned(),
                }));
            }
            Ok(Ok(Some(chunk))) => chunk,
        };
        if let Some(end) = end {
            chunk.truncate((end - at) as usize);
        }
        transfer.run.tally.receive(chunk.len() as u64);
        // A disk that holds things up is not the connection's fault, so only waiting for it counts.
        let too_slow = watch.came(chunk.len(), asked.elapsed());
        while !chunk.is_empty() {
            let taken = chunk.split_to(held.room().min(chunk.len()));
            held.bytes.extend_from_slice(&taken);
            at += taken.len() as u64;
            if held.room() > 0 && held.since.elapsed() < LONGEST_IN_MEMORY {
                continue;
            }
            let full = std::mem::replace(&mut held, Held::new(buffers, at, share()));
            match writer.write(full).await {
                Ok(written) => new += written,
                Err(error) => break 'body Err(error.into()),
            }
        }
        if let Some(bytes_per_second) = too_slow {
            break Err(again(Error::TooSlow {
                path: transfer.file.path.clone(),
                url,
                bytes_per_second,
            }));
        }
    };
    for step in [writer.write(held).await, writer.finish().await] {
        match step {
            Ok(written) => new += written,
            Err(error) => outcome = Err(error.into()),
        }
    }
    if outcome.is_ok() {
        watch.end();
    }
    if outcome.is_ok() && end.is_none() {
        // A body without a length has ended cleanly, so the file is as long as that.
        outcome = transfer.partial.set_size(at).map_err(Fault::from);
        transfer.tally.set_size(at);
    }
    (new, outcome)
}

/// Writes on another thread while the next bytes arrive.
struct Writer<'a> {
    transfer: &'a Transfer<'a>,
    pending: Option<JoinHandle<Result<u64, Error>>>,
}

impl Writer<'_> {
    /// Begins to write, once what was begun before is done. Returns how many bytes that brought.
    async fn write(&mut self, held: Held) -> Result<u64, Error> {
        let before = self.finish().await?;
        if !held.bytes.is_empty() {
            let partial = Arc::clone(&self.transfer.partial);
            let bytes = self.transfer.run.shared.buffers.share(held.bytes);
            self.pending = Some(tokio::task::spawn_blocking(move || {
                partial.write(held.start, &bytes)
            }));
        }
        Ok(before)
    }

    async fn finish(&mut self) -> Result<u64, Error> {
        let Some(pending) = self.pending.take() else {
            return Ok(0);
        };
        let written = pending.await.map_err(|_| Error::Interrupted)?;
        self.transfer.tally.set_bytes(self.transfer.partial.bytes());
        if self.transfer.run.options().durable
            && let Some(send_out) = self.transfer.partial.send_out()
        {
            tokio::task::spawn_blocking(send_out);
        }
        written
    }
}
