//! `{% generation %}` blocks, which mark the assistant's part of a chat for training.
//!
//! They leave the text as it is, and what is set inside is not seen outside: the same as a `with`
//! block without assignments, into which they are rewritten. The tags' own white-space control
//! stays.

use std::borrow::Cow;

/// Rewrites the tags of `generation` blocks.
pub(super) fn without_generation_tags(source: &str) -> Cow<'_, str> {
    if !source.contains("generation") {
        return Cow::Borrowed(source);
    }
    let mut text = String::with_capacity(source.len());
    let mut rest = source;
    let mut raw = false;
    while let Some(start) = rest.find('{') {
        let (before, construct) = rest.split_at(start);
        text.push_str(before);
        let len = match construct.as_bytes().get(1) {
            Some(b'#') if !raw => construct.find("#}").map(|end| end + 2),
            Some(b'{') if !raw => closing(construct, "}}"),
            // Only the end tag counts in raw text, and it holds no quotes.
            Some(b'%') if raw => construct.find("%}").map(|end| end + 2),
            Some(b'%') => closing(construct, "%}"),
            _ => Some(1),
        };
        let (construct, after) = construct.split_at(len.unwrap_or(construct.len()));
        rest = after;
        let name = tag_name(construct);
        match name {
            Some("generation") if !raw => push_renamed(construct, "generation", "with", &mut text),
            Some("endgeneration") if !raw => {
                push_renamed(construct, "endgeneration", "endwith", &mut text);
            }
            Some("raw") => {
                raw = true;
                text.push_str(construct);
            }
            Some("endraw") => {
                raw = false;
                text.push_str(construct);
            }
            // Raw text may hold what only looks like a tag and swallows the real one.
            _ if raw => {
                text.push('{');
                rest = &source[source.len() - rest.len() - construct.len() + 1..];
            }
            _ => text.push_str(construct),
        }
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// The length up to and including `end`, which does not count inside quotes.
fn closing(construct: &str, end: &str) -> Option<usize> {
    let bytes = construct.as_bytes();
    let mut quote = None;
    let mut index = 2;
    while index < bytes.len() {
        match (quote, bytes[index]) {
            (Some(_), b'\\') => index += 1,
            (Some(open), byte) if byte == open => quote = None,
            (None, byte @ (b'"' | b'\'')) => quote = Some(byte),
            (None, _) if bytes[index..].starts_with(end.as_bytes()) => {
                return Some(index + end.len());
            }
            _ => {}
        }
        index += 1;
    }
    None
}

/// The content of a tag that is one word.
fn tag_name(construct: &str) -> Option<&str> {
    let inner = construct.strip_prefix("{%")?.strip_suffix("%}")?;
    let inner = inner.strip_prefix(['-', '+']).unwrap_or(inner);
    let inner = inner.strip_suffix(['-', '+']).unwrap_or(inner);
    Some(inner.trim())
}

fn push_renamed(construct: &str, from: &str, to: &str, text: &mut String) {
    text.push_str(&construct.replacen(from, to, 1));
}
