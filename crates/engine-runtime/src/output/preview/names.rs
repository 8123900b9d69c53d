//! Names of tools at the beginning of calls whose arguments are no JSON.

pub(super) const FUNCTION: &str = "<function=";
pub(super) const CALL: &str = "call:";

/// A name that does not end within so many bytes of a call is none: that of a tool is shorter.
const LONGEST_BEGINNING: usize = 256;

/// How a call begins.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// `<function=NAME>`
    Function,
    /// `call:NAME{`
    Call,
    /// `NAME(` or `[NAME(`
    Python,
    /// `NAME` up to the end of the line or a tag.
    Line,
}

/// The name in a text.
pub(super) enum Name<'a> {
    Found(&'a str),
    /// There is none.
    None,
    /// It has not come whole.
    Unknown,
}

impl Form {
    /// The name of the first call of a text that is still coming.
    pub(super) fn name(self, text: &str) -> Name<'_> {
        let text = text.trim_start();
        let beginning = &text[..text.floor_char_boundary(LONGEST_BEGINNING)];
        match self.name_in(beginning) {
            Name::Unknown if beginning.len() < text.len() => Name::None,
            name => name,
        }
    }

    fn name_in(self, text: &str) -> Name<'_> {
        match self {
            Self::Function => up_to(text.strip_prefix(FUNCTION), &['>']),
            Self::Call => up_to(text.strip_prefix(CALL), &['{']),
            Self::Line => up_to(Some(text), &['\n', '<']),
            Self::Python => {
                let call = text.strip_prefix('[').unwrap_or(text).trim_start();
                let rest = call.trim_start_matches(|c: char| {
                    c.is_alphanumeric() || matches!(c, '_' | '.' | '-')
                });
                let name = &call[..call.len() - rest.len()];
                match rest.trim_start().chars().next() {
                    None => Name::Unknown,
                    Some('(') if !name.is_empty() => Name::Found(name),
                    Some(_) => Name::None,
                }
            }
        }
    }
}

/// What stands before the first of these.
fn up_to<'a>(text: Option<&'a str>, ends: &[char]) -> Name<'a> {
    let Some(text) = text else {
        return Name::None;
    };
    match text.find(ends) {
        None => Name::Unknown,
        Some(at) => match text[..at].trim() {
            "" => Name::None,
            name if name.contains(char::is_whitespace) || name.contains('{') => Name::None,
            name => Name::Found(name),
        },
    }
}
