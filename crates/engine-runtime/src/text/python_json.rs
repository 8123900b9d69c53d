//! The `tojson` filter: Python's `json.dumps`, byte for byte.

use std::fmt::Write as _;

use minijinja::{
    Error, ErrorKind, State, Value,
    value::{Kwargs, ValueKind},
};

/// Deeper values are refused: a template can nest lists without end.
const DEPTH: usize = 100;

/// How `json.dumps` is to lay out a value.
struct Style {
    ensure_ascii: bool,
    indent: Option<String>,
    between_items: String,
    after_key: String,
    sort_keys: bool,
}

/// `tojson(ensure_ascii=False, indent=None, separators=None, sort_keys=False)`.
#[expect(
    clippy::needless_pass_by_value,
    reason = "filters take their options by value"
)]
pub(super) fn to_json(
    state: &State<'_, '_>,
    value: &Value,
    ensure_ascii: Option<bool>,
    options: Kwargs,
) -> Result<Value, Error> {
    let indent = match options.get::<Option<Value>>("indent")? {
        None => None,
        Some(indent) if indent.is_none() => None,
        Some(indent) if indent.kind() == ValueKind::String => Some(indent.to_string()),
        Some(indent) => Some(" ".repeat(i64::try_from(indent)?.clamp(0, 64) as usize)),
    };
    let separators = match options.get::<Option<Value>>("separators")? {
        None => None,
        Some(separators) if separators.is_none() => None,
        Some(separators) => {
            let part =
                |index: usize| Ok::<_, Error>(separators.get_item_by_index(index)?.to_string());
            Some((part(0)?, part(1)?))
        }
    };
    let (between_items, after_key) = separators.unwrap_or_else(|| {
        let between = if indent.is_some() { "," } else { ", " };
        (between.to_owned(), ": ".to_owned())
    });
    let style = Style {
        ensure_ascii: match options.get::<Option<bool>>("ensure_ascii")? {
            Some(given) => given,
            None => ensure_ascii.unwrap_or(false),
        },
        indent,
        between_items,
        after_key,
        sort_keys: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
    };
    options.assert_all_used()?;
    let mut json = String::new();
    style.write(state, value, 0, &mut json)?;
    Ok(Value::from(json))
}

impl Style {
    fn write(
        &self,
        state: &State<'_, '_>,
        value: &Value,
        depth: usize,
        json: &mut String,
    ) -> Result<(), Error> {
        if depth > DEPTH {
            return Err(refused("a value nested too deeply"));
        }
        state.consume_fuel(1)?;
        match value.kind() {
            ValueKind::Seq | ValueKind::Iterable => {
                let items = value.try_iter()?;
                self.write_all(depth, ('[', ']'), items, json, |item, json| {
                    self.write(state, &item, depth + 1, json)
                })
            }
            ValueKind::Map => {
                let mut entries = Vec::new();
                for key in value.try_iter()? {
                    entries.push((key_text(&key)?, value.get_item(&key)?));
                }
                if self.sort_keys {
                    entries.sort_by(|a, b| a.0.cmp(&b.0));
                }
                self.write_all(depth, ('{', '}'), entries, json, |(key, item), json| {
                    self.write_text(&key, json);
                    json.push_str(&self.after_key);
                    self.write(state, &item, depth + 1, json)
                })
            }
            ValueKind::String => {
                self.write_text(value.as_str().unwrap_or_default(), json);
                Ok(())
            }
            _ => {
                json.push_str(&scalar(value)?);
                Ok(())
            }
        }
    }

    /// Writes what lies between two brackets.
    fn write_all<T>(
        &self,
        depth: usize,
        (open, close): (char, char),
        items: impl IntoIterator<Item = T>,
        json: &mut String,
        mut write: impl FnMut(T, &mut String) -> Result<(), Error>,
    ) -> Result<(), Error> {
        json.push(open);
        let mut is_empty = true;
        for item in items {
            if !std::mem::take(&mut is_empty) {
                json.push_str(&self.between_items);
            }
            self.new_line(depth + 1, json);
            write(item, json)?;
        }
        if !is_empty {
            self.new_line(depth, json);
        }
        json.push(close);
        Ok(())
    }

    fn new_line(&self, depth: usize, json: &mut String) {
        if let Some(indent) = &self.indent {
            json.push('\n');
            (0..depth).for_each(|_| json.push_str(indent));
        }
    }

    fn write_text(&self, text: &str, json: &mut String) {
        json.push('"');
        for character in text.chars() {
            match character {
                '"' => json.push_str("\\\""),
                '\\' => json.push_str("\\\\"),
                '\n' => json.push_str("\\n"),
                '\r' => json.push_str("\\r"),
                '\t' => json.push_str("\\t"),
                '\u{8}' => json.push_str("\\b"),
                '\u{c}' => json.push_str("\\f"),
                ' '..='~' => json.push(character),
                '\u{7f}'.. if !self.ensure_ascii => json.push(character),
                _ => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        // Writing to a String can't fail.
                        let _ = write!(json, "\\u{unit:04x}");
                    }
                }
            }
        }
        json.push('"');
    }
}

/// A key as text; numbers, truth values and nothing become text as values do.
fn key_text(key: &Value) -> Result<String, Error> {
    match key.as_str() {
        Some(text) => Ok(text.to_owned()),
        None => scalar(key),
    }
}

fn scalar(value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::None => Ok("null".to_owned()),
        ValueKind::Bool => Ok(if value.is_true() { "true" } else { "false" }.to_owned()),
        ValueKind::Number if value.is_integer() => Ok(value.to_string()),
        ValueKind::Number => f64::try_from(value.clone()).map(float),
        kind => Err(refused(&format!("a value of kind {kind}"))),
    }
}

/// A number as Python's `float.__repr__` writes it: the shortest digits that read back the same,
/// with an exponent below 1e-4 and from 1e16 on.
fn float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        }
        .to_owned();
    }
    let scientific = format!("{number:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if number == 0.0 || (-4..16).contains(&exponent) {
        return format!("{number:?}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

fn refused(what: &str) -> Error {
    Error::new(
        ErrorKind::InvalidOperation,
        format!("tojson can't write {what}"),
    )
}
