//! Tags in text that is still coming.

/// Where a tag is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It begins here.
    Found(usize),
    /// Text up to here has none; what follows may be the beginning of one.
    NotBefore(usize),
}

/// The first of several tags in a text, and which it is.
pub(super) fn find_any(text: &str, tags: &[&str]) -> (Place, usize) {
    let found = tags
        .iter()
        .enumerate()
        .filter_map(|(index, tag)| Some((text.find(tag)?, index)))
        .min();
    if let Some((at, index)) = found {
        return (Place::Found(at), index);
    }
    let begun = tags.iter().map(|tag| begins_at(text, tag)).min();
    (Place::NotBefore(begun.unwrap_or(text.len())), 0)
}

/// The first place of a tag in a text.
pub(super) fn find(text: &str, tag: &str) -> Place {
    find_any(text, &[tag]).0
}

/// Finds tags in one text that is still coming, and looks at each part of it once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Search {
    /// Tags that begin before this place are none, or have been passed.
    from: usize,
}

impl Search {
    /// Tags that begin before this place count for nothing.
    pub(super) const fn from(from: usize) -> Self {
        Self { from }
    }

    /// As [`find_any`]. The text is what it was at the last call, with more behind.
    pub(super) fn find_any(&mut self, text: &str, tags: &[&str]) -> (Place, usize) {
        let (place, index) = find_any(&text[self.from..], tags);
        let (Place::Found(at) | Place::NotBefore(at)) = place;
        self.from += at;
        let place = match place {
            Place::Found(_) => Place::Found(self.from),
            Place::NotBefore(_) => Place::NotBefore(self.from),
        };
        (place, index)
    }

    /// As [`find`].
    pub(super) fn find(&mut self, text: &str, tag: &str) -> Place {
        self.find_any(text, &[tag]).0
    }
}

/// Where the text's end may be the beginning of a tag; the text's length if it is not.
fn begins_at(text: &str, tag: &str) -> usize {
    let longest = tag.len().saturating_sub(1).min(text.len());
    (text.len() - longest..text.len())
        .filter(|at| text.is_char_boundary(*at))
        .find(|at| tag.starts_with(&text[*at..]))
        .unwrap_or(text.len())
}

/// Whether a text begins with a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begins {
    /// It does.
    Yes,
    /// It does not, and more text won't change that.
    No,
    /// It is too short to say.
    Perhaps,
}

/// Whether a text, which may go on unless it has `ended`, begins with a tag.
pub(super) fn begins(text: &str, tag: &str, ended: bool) -> Begins {
    if text.starts_with(tag) {
        Begins::Yes
    } else if !ended && tag.starts_with(text) {
        Begins::Perhaps
    } else {
        Begins::No
    }
}

/// Removes the front of a text and returns it.
pub(super) fn take(text: &mut String, len: usize) -> String {
    let rest = text.split_off(len);
    std::mem::replace(text, rest)
}
