//! Header values whose parts are divided by a character that may also stand inside quotes.

/// The position of the first `divider` outside of quotes, or the end.
pub(crate) fn end_of_part(text: &str, divider: char) -> usize {
    let mut in_quotes = false;
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if in_quotes => escaped = true,
            '"' => in_quotes = !in_quotes,
            _ if character == divider && !in_quotes => return at,
            _ => {}
        }
    }
    text.len()
}

/// The parts between dividers, trimmed.
pub(crate) fn parts(text: &str, divider: char) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (part, after) = text.split_at_checked(end_of_part(text, divider))?;
        rest = after.strip_prefix(divider);
        Some(part.trim())
    })
}
