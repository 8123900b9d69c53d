//! Calls in Python's form: `name(key="value", other=[1, True, None])`, one or a list of them.

use serde_json::{Map, Number, Value};

use super::WrittenCall;

/// Deeper values are refused.
const DEPTH: usize = 64;

/// The calls that a text is.
///
/// # Errors
/// What is wrong, in words.
pub(super) fn calls_of_python(text: &str) -> Result<Vec<WrittenCall>, String> {
    let mut reader = Reader { rest: text.trim() };
    let is_list = reader.eat("[");
    let mut calls = Vec::new();
    loop {
        reader.skip_space();
        if calls.is_empty() || !reader.rest.is_empty() && !reader.rest.starts_with(']') {
            calls.push(reader.call()?);
        }
        reader.skip_space();
        let separated = reader.eat(",") || reader.eat(";");
        if reader.rest.is_empty() && !is_list {
            return Ok(calls);
        }
        if is_list && reader.eat("]") {
            reader.skip_space();
            return reader
                .rest
                .is_empty()
                .then_some(calls)
                .ok_or_else(|| "something follows the list of calls".to_owned());
        }
        if is_list && !separated {
            return Err("calls of a list must be separated by commas".to_owned());
        }
    }
}

/// The arguments that a dict is.
///
/// # Errors
/// What is wrong, in words.
pub(super) fn dict_of_python(text: &str) -> Result<Map<String, Value>, String> {
    let mut reader = Reader { rest: text };
    let entries = reader.dict(0)?;
    reader.skip_space();
    reader
        .rest
        .is_empty()
        .then_some(entries)
        .ok_or_else(|| "something follows its arguments".to_owned())
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, mark: &str) -> bool {
        self.skip_space();
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

    fn take_while(&mut self, allowed: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !allowed(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn word(&mut self) -> Result<&'a str, String> {
        self.skip_space();
        let word = self.take_while(|c| c.is_alphanumeric() || c == '_' || c == '.' || c == '-');
        if word.is_empty() {
            return Err("it needs the name of a tool or an argument".to_owned());
        }
        Ok(word)
    }

    fn call(&mut self) -> Result<WrittenCall, String> {
        let name = self.word()?.to_owned();
        self.expect("(")?;
        let mut arguments = Map::new();
        while !self.eat(")") {
            let key = self.word()?.to_owned();
            self.expect("=")
                .map_err(|_| "its arguments must have names".to_owned())?;
            arguments.insert(key, self.value(0)?);
            if !self.eat(",") {
                self.expect(")")?;
                break;
            }
        }
        Ok(WrittenCall {
            id: None,
            name,
            arguments,
            untyped: false,
            text: String::new(),
        })
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > DEPTH {
            return Err("a value is nested too deeply".to_owned());
        }
        self.skip_space();
        match self.rest.chars().next() {
            Some(quote @ ('"' | '\'')) => self.text(quote).map(Value::String),
            Some('[') => self.items('[', ']', depth).map(Value::Array),
            Some('(') => self.items('(', ')', depth).map(Value::Array),
            Some('{') => self.dict(depth).map(Value::Object),
            _ => self.scalar(),
        }
    }

    fn items(&mut self, open: char, close: char, depth: usize) -> Result<Vec<Value>, String> {
        self.rest = self.rest.strip_prefix(open).unwrap_or(self.rest);
        let close = close.to_string();
        let mut items = Vec::new();
        while !self.eat(&close) {
            items.push(self.value(depth + 1)?);
            if !self.eat(",") {
                self.expect(&close)?;
                break;
            }
        }
        Ok(items)
    }

    fn dict(&mut self, depth: usize) -> Result<Map<String, Value>, String> {
        self.expect("{")?;
        let mut entries = Map::new();
        while !self.eat("}") {
            let Value::String(key) = self.value(depth + 1)? else {
                return Err("the keys of a dict must be texts".to_owned());
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

    fn scalar(&mut self) -> Result<Value, String> {
        let word =
            self.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_'));
        match word {
            "True" | "true" => return Ok(Value::Bool(true)),
            "False" | "false" => return Ok(Value::Bool(false)),
            "None" | "null" => return Ok(Value::Null),
            _ => {}
        }
        let digits = word.replace('_', "");
        let number = digits
            .parse::<i64>()
            .map(Number::from)
            .ok()
            .or_else(|| Number::from_f64(digits.parse().ok()?));
        number.map(Value::Number).ok_or_else(|| {
            let found: String = word.chars().chain(self.rest.chars()).take(12).collect();
            format!("{found:?} is no value")
        })
    }

    fn text(&mut self, quote: char) -> Result<String, String> {
        let mut text = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                c if c == quote => {
                    self.rest = &self.rest[at + c.len_utf8()..];
                    return Ok(text);
                }
                '\\' => match chars.next().map(|(_, c)| c) {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('r') => text.push('\r'),
                    Some('\n') => {}
                    Some(c @ ('\\' | '\'' | '"')) => text.push(c),
                    Some(c) => text.extend(['\\', c]),
                    None => break,
                },
                c => text.push(c),
            }
        }
        Err("a text has no end".to_owned())
    }
}
