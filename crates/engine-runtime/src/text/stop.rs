//! Stop strings, found in text that arrives in pieces.
//!
//! The text is cut at the earliest place where any stop string begins. If several begin there, the
//! shortest is reported: it is complete first, and the cut is the same. A stop string that is
//! complete does not decide yet while a longer one that began before it may still come true.
//!
//! Each stop string is matched by its own automaton (Knuth, Morris and Pratt, 1977, "Fast Pattern
//! Matching in Strings"), so that every byte costs the same however often a stop string begins and
//! fails, and the text held back is exactly the longest suffix that may become a stop string.

/// A stop string that came up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopMatch {
    /// The text before it that had not been released yet.
    pub text: String,
    /// Its index in the list given to [`StopMatcher::new`].
    pub stop: usize,
}

/// Finds the earliest stop string in text that arrives in pieces.
#[derive(Clone, Debug)]
pub struct StopMatcher {
    patterns: Vec<Pattern>,
    /// Text not released: its end may become a stop string.
    held: String,
    /// The best match so far: where it begins in `held`, and its index.
    found: Option<(usize, usize)>,
}

/// One stop string and how much of it the text's end matches.
#[derive(Clone, Debug)]
struct Pattern {
    bytes: Box<[u8]>,
    /// `borders[i]`: the longest proper prefix of the first `i + 1` bytes that is also their suffix.
    borders: Box<[usize]>,
    matched: usize,
}

impl StopMatcher {
    /// A matcher for these stop strings; empty ones never match.
    pub fn new<S: AsRef<str>>(stops: impl IntoIterator<Item = S>) -> Self {
        Self {
            patterns: stops
                .into_iter()
                .map(|stop| Pattern::new(stop.as_ref()))
                .collect(),
            held: String::new(),
            found: None,
        }
    }

    /// Adds text. `Ok` is text that no stop string can reach any more, possibly none; `Err` is the
    /// match that ends the text, after which the matcher is done.
    ///
    /// # Errors
    /// The stop string that came up.
    pub fn push(&mut self, text: &str) -> Result<String, StopMatch> {
        if self.patterns.is_empty() {
            return Ok(text.to_owned());
        }
        for byte in text
            .bytes()
            .enumerate()
            .map(|(i, byte)| (self.held.len() + i + 1, byte))
        {
            let (end, byte) = byte;
            // A match at `end` only counts if it begins before the best one, or, at the same
            // place, is shorter, which the one that is complete first always is.
            for (index, pattern) in self.patterns.iter_mut().enumerate() {
                if pattern.advance(byte) {
                    let start = end - pattern.bytes.len();
                    if self.found.is_none_or(|(best, _)| start < best) {
                        self.found = Some((start, index));
                    }
                }
            }
            if let Some((start, stop)) = self.found
                && !self
                    .patterns
                    .iter()
                    .any(|p| p.matched > 0 && end - p.matched < start)
            {
                self.held.push_str(text);
                self.held.truncate(start);
                return Err(StopMatch {
                    text: std::mem::take(&mut self.held),
                    stop,
                });
            }
        }
        self.held.push_str(text);
        let longest = self.patterns.iter().map(|p| p.matched).max().unwrap_or(0);
        let pending = self.held.len() - longest;
        let keep = self.found.map_or(pending, |(start, _)| start.min(pending));
        let rest = self.held.split_off(keep);
        if let Some((start, _)) = &mut self.found {
            *start -= keep;
        }
        Ok(std::mem::replace(&mut self.held, rest))
    }

    /// Ends the text: what was held back turns out to be text, or holds a match.
    ///
    /// # Errors
    /// The stop string that came up.
    pub fn finish(&mut self) -> Result<String, StopMatch> {
        let mut text = std::mem::take(&mut self.held);
        match self.found.take() {
            None => Ok(text),
            Some((start, stop)) => {
                text.truncate(start);
                Err(StopMatch { text, stop })
            }
        }
    }
}

impl Pattern {
    fn new(text: &str) -> Self {
        let bytes: Box<[u8]> = text.as_bytes().into();
        let mut borders = vec![0; bytes.len()].into_boxed_slice();
        let mut border = 0;
        for i in 1..bytes.len() {
            while border > 0 && bytes[i] != bytes[border] {
                border = borders[border - 1];
            }
            if bytes[i] == bytes[border] {
                border += 1;
            }
            borders[i] = border;
        }
        Self {
            bytes,
            borders,
            matched: 0,
        }
    }

    /// Takes the next byte; whether the whole pattern ends with it.
    fn advance(&mut self, byte: u8) -> bool {
        if self.bytes.is_empty() {
            return false;
        }
        while self.matched > 0 && self.bytes[self.matched] != byte {
            self.matched = self.borders[self.matched - 1];
        }
        if self.bytes[self.matched] == byte {
            self.matched += 1;
        }
        let complete = self.matched == self.bytes.len();
        if complete {
            self.matched = self.borders[self.matched - 1];
        }
        complete
    }
}
