//! Whether text that is still coming may become a call, where nothing but its shape says so.

use super::super::tags::Begins;

/// What the beginning of a text says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is no call, whatever follows.
    No,
    /// What follows decides.
    Perhaps,
    /// It is meant as a call, whatever follows.
    Yes,
}

/// A call in Python's form that does not show within so many bytes that it is one is none: its name
/// and that of its first argument are shorter.
const LONGEST_BEGINNING: usize = 512;

/// The keys with which a call may begin.
const FIRST_KEYS: [&str; 7] = [
    "name",
    "function",
    "tool",
    "type",
    "id",
    "arguments",
    "parameters",
];

/// Whether an object, or a list of them, may become a call: what its first key says.
pub(super) fn json_verdict(value: &str) -> Verdict {
    let known = match first_key(value) {
        FirstKey::Whole(key) => FIRST_KEYS.contains(&key),
        FirstKey::Begun(key) => FIRST_KEYS.iter().any(|known| known.starts_with(key)),
        FirstKey::Unknown => true,
        FirstKey::None => false,
    };
    if known { Verdict::Perhaps } else { Verdict::No }
}

/// Whether a value that was cut off is meant as a call: a name of something and its arguments.
pub(super) fn is_begun_call(value: &str) -> bool {
    matches!(first_key(value), FirstKey::Whole(key) if FIRST_KEYS.contains(&key))
        && ["\"arguments\"", "\"parameters\""]
            .iter()
            .any(|key| value.contains(key))
}

enum FirstKey<'a> {
    Whole(&'a str),
    Begun(&'a str),
    /// It may still come.
    Unknown,
    /// Something else comes first.
    None,
}

/// The first key of an object, or of the first object of a list.
fn first_key(value: &str) -> FirstKey<'_> {
    let mut rest = value;
    if let Some(items) = rest.strip_prefix('[') {
        rest = items.trim_start();
        if rest.is_empty() {
            return FirstKey::Unknown;
        }
    }
    let Some(entries) = rest.strip_prefix('{') else {
        return FirstKey::None;
    };
    let entries = entries.trim_start();
    if entries.is_empty() {
        return FirstKey::Unknown;
    }
    match entries.strip_prefix('"') {
        None => FirstKey::None,
        Some(key) => match key.split_once('"') {
            Some((key, _)) => FirstKey::Whole(key),
            None => FirstKey::Begun(key),
        },
    }
}

/// Whether a text begins with a list in Python's form: `[` and a name.
pub(super) fn begins_python_list(text: &str, ended: bool) -> Begins {
    match text.strip_prefix('[').map(str::trim_start) {
        Some("") if !ended => Begins::Perhaps,
        Some(item) if item.starts_with(begins_name) => Begins::Yes,
        _ => Begins::No,
    }
}

/// Whether a list in Python's form is one of calls.
pub(super) fn python_list_verdict(list: &str) -> Verdict {
    python_call_verdict(list.strip_prefix('[').unwrap_or(list))
}

/// Whether a text in Python's form is a call with arguments by name: `NAME()` or `NAME(KEY=`.
/// Anything else in brackets may be mathematics.
pub(super) fn python_call_verdict(text: &str) -> Verdict {
    let beginning = &text[..text.floor_char_boundary(LONGEST_BEGINNING)];
    match python_beginning_verdict(beginning) {
        Verdict::Perhaps if beginning.len() < text.len() => Verdict::No,
        verdict => verdict,
    }
}

fn python_beginning_verdict(text: &str) -> Verdict {
    let Some(rest) = behind_name(text) else {
        return if text.trim_start().is_empty() {
            Verdict::Perhaps
        } else {
            Verdict::No
        };
    };
    let Some(arguments) = rest.strip_prefix('(') else {
        return perhaps_if(rest.is_empty());
    };
    let arguments = arguments.trim_start();
    if arguments.starts_with(')') {
        return Verdict::Yes;
    }
    match behind_name(arguments) {
        Some(rest) if rest.starts_with('=') => Verdict::Yes,
        Some(rest) => perhaps_if(rest.is_empty()),
        None => perhaps_if(arguments.is_empty()),
    }
}

/// What follows a name and white space; `None` if the text does not begin with a name.
fn behind_name(text: &str) -> Option<&str> {
    let text = text.trim_start();
    text.starts_with(begins_name).then(|| {
        text.trim_start_matches(|c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-'))
            .trim_start()
    })
}

fn perhaps_if(more: bool) -> Verdict {
    if more { Verdict::Perhaps } else { Verdict::No }
}

fn begins_name(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}
