//! Methods of Python's strings that templates call and `minijinja-contrib` lacks or does otherwise.

use minijinja::{
    Error, State, Value,
    value::{Tuple, from_args},
};
use minijinja_contrib::pycompat::unknown_method_callback;

/// Calls a method that Jinja itself does not know.
pub(super) fn python_method(
    state: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let Some(text) = value.as_str() else {
        return unknown_method_callback(state, value, method, args);
    };
    match method {
        "title" => {
            let () = from_args(args)?;
            Ok(Value::from(title(text)))
        }
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(args)?;
            Ok(Value::from(text.strip_prefix(prefix).unwrap_or(text)))
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(args)?;
            Ok(Value::from(text.strip_suffix(suffix).unwrap_or(text)))
        }
        "partition" => {
            let (mark,): (&str,) = from_args(args)?;
            let (before, after) = text.split_once(mark).unwrap_or((text, ""));
            Ok(parts(text, before, mark, after))
        }
        "rpartition" => {
            let (mark,): (&str,) = from_args(args)?;
            let (before, after) = text.rsplit_once(mark).unwrap_or(("", text));
            Ok(parts(text, before, mark, after))
        }
        _ => unknown_method_callback(state, value, method, args),
    }
}

/// What lies before and after a mark, and the mark, which is empty if `text` does not hold it.
fn parts(text: &str, before: &str, mark: &str, after: &str) -> Value {
    let mark = if text.contains(mark) { mark } else { "" };
    Value::from(Tuple::from(vec![
        Value::from(before),
        Value::from(mark),
        Value::from(after),
    ]))
}

/// Upper case after everything that is no letter, lower case after letters.
fn title(text: &str) -> String {
    let mut titled = String::with_capacity(text.len());
    let mut in_word = false;
    for character in text.chars() {
        let has_case = character.is_uppercase() || character.is_lowercase();
        if in_word {
            titled.extend(character.to_lowercase());
        } else {
            titled.extend(character.to_uppercase());
        }
        in_word = has_case;
    }
    titled
}
