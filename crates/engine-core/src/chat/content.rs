//! The content of a message in JSON: a text, nothing, or parts of which each is a text.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

/// Reads a content. Parts are joined without anything between them.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    from.deserialize_any(Content)
}

/// Reads `null` as the empty list.
pub(super) fn null_is_empty<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

struct Content;

impl<'de> Visitor<'de> for Content {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, null, or a list of parts of type \"text\"")
    }

    fn visit_unit<E: Error>(self) -> Result<String, E> {
        Ok(String::new())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_string<E: Error>(self, text: String) -> Result<String, E> {
        Ok(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<String, A::Error> {
        let mut content = String::new();
        while let Some(part) = parts.next_element::<Map<String, Value>>()? {
            content.push_str(text(&part)?);
        }
        Ok(content)
    }
}

/// The text of a part; every other kind is refused by its name.
fn text<E: Error>(part: &Map<String, Value>) -> Result<&str, E> {
    let kind = part.get("type").and_then(Value::as_str);
    match (kind, part.get("text")) {
        (Some("text"), Some(Value::String(text))) if part.len() == 2 => Ok(text),
        (Some("text"), _) => Err(E::custom(
            "a content part of type \"text\" must have a text under \"text\" and nothing else",
        )),
        (Some(kind), _) => Err(E::custom(format!(
            "a content part of type {kind:?} can't be read: messages are text alone, without \
             images, sound or files"
        ))),
        (None, _) => Err(E::custom("a content part must have a \"type\"")),
    }
}
