//! Sending a file's bytes, truly or not.

use std::{
    io::{self, Write as _},
    time::{Duration, Instant},
};

use flate2::{Compression, write::GzEncoder};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    Entry, Fault, Stage,
    connection::plain_fault,
    message::{Answer, Head, Request},
    server::State,
};

/// What has ended: the answer, so that the next request may come, or the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Answer,
    Connection,
}

/// Files beyond this are never compressed: it would need them in memory.
const MOST_COMPRESSED: u64 = 8 << 20;

/// Headers of an answer that depend on where it comes from.
#[derive(Debug, Clone, Default)]
pub(crate) struct FileHead {
    pub(crate) headers: Vec<(String, String)>,
}

pub(crate) async fn send(
    state: &State,
    stream: &mut TcpStream,
    request: &Request,
    entry: &Entry,
    head: FileHead,
) -> io::Result<Ended> {
    let total = entry.content.length();
    let asked = request.range();
    let length = asked.map_or(total, |(first, last)| {
        let end = last.map_or(total, |last| (last + 1).min(total));
        end.saturating_sub(first)
    });
    let with_body = request.method != "HEAD";
    let fault = with_body
        .then(|| state.fault(Stage::Body, &entry.path, length))
        .flatten();
    state.count(&entry.path, |file| {
        if with_body {
            file.gets += 1;
        } else {
            file.heads += 1;
        }
    });
    if let Some(answer) = fault.as_ref().and_then(plain_fault) {
        answer.write(stream, with_body).await?;
        return Ok(Ended::Answer);
    }
    let past_the_end = asked.is_some_and(|(first, _)| first >= total);
    if fault == Some(Fault::NotSatisfiable) || past_the_end {
        let head = Head::new(416).header("Content-Range", format!("bytes */{total}"));
        Answer::empty(head).write(stream, with_body).await?;
        return Ok(Ended::Answer);
    }
    let range = match (asked, &fault) {
        (None, _) | (_, Some(Fault::IgnoreRange)) => None,
        (Some((first, _)), fault) => {
            let end = first + length;
            let shift = u64::from(*fault == Some(Fault::WrongRange) && first + 1 < end);
            Some((first + shift, end))
        }
    };
    let reply = Reply {
        state,
        entry,
        start: range.map_or(0, |(start, _)| start),
        end: range.map_or(total, |(_, end)| end),
        is_part: range.is_some(),
        fault,
    };
    let head = head.headers.into_iter().fold(
        Head::new(if reply.is_part { 206 } else { 200 }),
        |head, (name, value)| head.header(&name, value),
    );
    reply.send(stream, head, with_body).await
}

struct Reply<'a> {
    state: &'a State,
    entry: &'a Entry,
    start: u64,
    end: u64,
    is_part: bool,
    fault: Option<Fault>,
}

impl Reply<'_> {
    async fn send(self, stream: &mut TcpStream, mut head: Head, body: bool) -> io::Result<Ended> {
        let total = self.entry.content.length();
        let (mut length, mut told) = (self.end - self.start, self.end - self.start);
        let mut told_total = total;
        match &self.fault {
            Some(Fault::Gzip) if length <= MOST_COMPRESSED => {
                return self.send_compressed(stream, head).await;
            }
            Some(Fault::LongLength { by }) => {
                told += by;
                told_total += by;
            }
            Some(Fault::ShortLength { by }) => {
                told = told.saturating_sub(*by);
                told_total = told_total.saturating_sub(*by);
                length = told;
            }
            _ => {}
        }
        let etag = match &self.fault {
            Some(Fault::OtherEtag { etag }) => etag.clone(),
            _ => self.entry.etag(),
        };
        head = head.header("ETag", format!("\"{etag}\""));
        head = head.header("Accept-Ranges", "bytes");
        if self.is_part {
            let last = self.end.saturating_sub(1);
            let range = format!("bytes {}-{last}/{told_total}", self.start);
            head = head.header("Content-Range", range);
        }
        let chunked = !self.entry.sized;
        head = if chunked {
            head.header("Transfer-Encoding", "chunked")
        } else {
            head.header("Content-Length", told.to_string())
        };
        head.write(stream).await?;
        if !body {
            return Ok(Ended::Answer);
        }
        let ended = self.send_bytes(stream, length, chunked).await?;
        if told != length {
            return Ok(Ended::Connection);
        }
        Ok(ended)
    }

    async fn send_bytes(
        &self,
        stream: &mut TcpStream,
        length: u64,
        chunked: bool,
    ) -> io::Result<Ended> {
        let rate = self.state.settings.bytes_per_second;
        // A few milliseconds' worth, so that what is under way is little.
        let piece = rate.map_or(256 << 10, |rate| (rate / 250).clamp(1 << 10, 256 << 10)) as usize;
        let stop = match self.fault {
            Some(Fault::Cut { after, .. } | Fault::Stall { after }) => after.min(length),
            _ => length,
        };
        let mut buffer = vec![0; piece];
        let begun = Instant::now();
        let mut sent = 0;
        while sent < stop {
            let mut most = (stop - sent).min(piece as u64) as usize;
            if let Some(Fault::Slow {
                after,
                bytes_per_second,
            }) = self.fault
            {
                if sent < after {
                    most = most.min((after - sent) as usize);
                } else {
                    most = most.min((bytes_per_second / 50).max(1) as usize);
                    let pause = most as f64 / bytes_per_second.max(1) as f64;
                    tokio::time::sleep(Duration::from_secs_f64(pause)).await;
                }
            }
            let read = self.entry.content.read(
                self.start + sent,
                buffer.get_mut(..most).unwrap_or_default(),
            );
            let bytes = buffer.get_mut(..read).unwrap_or_default();
            if let Some(Fault::FlipByte { at }) = self.fault
                && let Some(byte) = at
                    .checked_sub(sent)
                    .and_then(|at| bytes.get_mut(at as usize))
            {
                *byte ^= 0x10;
            }
            if chunked {
                stream.write_all(format!("{read:x}\r\n").as_bytes()).await?;
            }
            stream.write_all(bytes).await?;
            if chunked {
                stream.write_all(b"\r\n").await?;
            }
            sent += read as u64;
            self.state
                .count(&self.entry.path, |file| file.bytes += read as u64);
            if let Some(rate) = rate {
                let due = Duration::from_secs_f64(sent as f64 / rate as f64);
                tokio::time::sleep(due.saturating_sub(begun.elapsed())).await;
            }
        }
        match self.fault {
            Some(Fault::Cut { reset, .. }) => return cut(stream, reset),
            Some(Fault::Stall { .. }) => return stall(stream).await,
            _ => {}
        }
        if chunked {
            stream.write_all(b"0\r\n\r\n").await?;
        }
        Ok(Ended::Answer)
    }

    async fn send_compressed(self, stream: &mut TcpStream, head: Head) -> io::Result<Ended> {
        let mut plain = vec![0; (self.end - self.start) as usize];
        self.entry.content.read(self.start, &mut plain);
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&plain)?;
        let mut head = head.header("Content-Encoding", "gzip");
        if self.is_part {
            let (last, total) = (self.end - 1, self.entry.content.length());
            head = head.header(
                "Content-Range",
                format!("bytes {}-{last}/{total}", self.start),
            );
        }
        let answer = Answer {
            head,
            body: encoder.finish()?,
        };
        answer.write(stream, true).await?;
        Ok(Ended::Answer)
    }
}

/// Ends the connection.
pub(crate) fn cut(stream: &TcpStream, reset: bool) -> io::Result<Ended> {
    if reset {
        stream.set_zero_linger()?;
    }
    Ok(Ended::Connection)
}

/// Says nothing until the client ends the connection.
pub(crate) async fn stall(stream: &mut TcpStream) -> io::Result<Ended> {
    let mut ignored = [0; 64];
    while stream.read(&mut ignored).await? > 0 {}
    Ok(Ended::Connection)
}
