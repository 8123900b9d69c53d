//! Gemma 4's calls: `call:NAME{KEY:VALUE,...}`, where texts stand between marks of their own.

use serde_json::{Map, Number, Value};

use super::super::WrittenCall;

/// Stands on both sides of a text.
pub(super) const QUOTE: &str = "<|\"|>";

/// Deeper values are refused.
const DEPTH: usize = 64;

/// The call that a body is.
///
/// # Errors
/// What is wrong, in words.
pub(super) fn call(body: &str) -> Result<WrittenCall, String> {
    let body = body.strip_prefix("call:").ok_or("it needs call:NAME")?;
    let (name, _) = body.split_once('{').ok_or("it has no arguments")?;
    let mut reader = Reader {
        rest: &body[name.len()..],
    };
    let arguments = reader.object(0)?;
    if !reader.rest.trim().is_empty() {
        return Err("something follows its arguments".to_owned());
    }
    Ok(WrittenCall {
        id: None,
        name: name.trim().to_owned(),
        arguments,
        untyped: false,
        text: String::new(),
    })
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn eat(&mut self, mark: &str) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(mark) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, mark: &str) -> Result<(), String> {
        if self.eat(mark) {
            return Ok(());
        }
        let found: String = self.rest.chars().take(12).collect();
        Err(format!("it needs {mark:?} and has {found:?}"))
    }

    fn object(&mut self, depth: usize) -> Result<Map<String, Value>, String> {
        self.expect("{")?;
        let mut entries = Map::new();
        while !self.eat("}") {
            let key = if self.eat(QUOTE) {
                self.text()?
            } else {
                let (key, _) = self.rest.split_once(':').ok_or("a key has no value")?;
                let key = key.to_owned();
                self.rest = &self.rest[key.len()..];
                key.trim().to_owned()
            };
            self.expect(":")?;
            entries.insert(key, self.value(depth + 1)?);
            if !self.eat(",") {
                self.expect("}")?;
                break;
            }
        }
        Ok(entries)
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > DEPTH {
            return Err("a value is nested too deeply".to_owned());
        }
        if self.eat(QUOTE) {
            return self.text().map(Value::String);
        }
        if self.rest.starts_with('{') {
            return self.object(depth).map(Value::Object);
        }
        if self.eat("[") {
            let mut items = Vec::new();
            while !self.eat("]") {
                items.push(self.value(depth + 1)?);
                if !self.eat(",") {
                    self.expect("]")?;
                    break;
                }
            }
            return Ok(Value::Array(items));
        }
        let end = self.rest.find([',', '}', ']']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        match word.trim() {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            "null" | "None" => Ok(Value::Null),
            word => word
                .parse::<Number>()
                .map(Value::Number)
                .map_err(|_| format!("{word:?} is no value")),
        }
    }

    fn text(&mut self) -> Result<String, String> {
        let (text, rest) = self.rest.split_once(QUOTE).ok_or("a text has no end")?;
        self.rest = rest;
        Ok(text.to_owned())
    }
}
