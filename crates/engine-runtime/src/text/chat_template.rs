//! Chat templates: Jinja, in the environment that the `transformers` library gives it.
//!
//! The environment is documented at
//! <https://huggingface.co/docs/transformers/main/en/chat_templating_writing>: block lines leave
//! no white space behind, `break` and `continue` work in loops, `raise_exception` refuses a chat,
//! `strftime_now` gives the date, `tojson` is Python's `json.dumps`.
//!
//! A template comes with a model and is not trusted: loops, recursion, texts and what filters make
//! are limited. Two things are not, since minijinja 3.1 does not count them: a list doubled with
//! `+` more than 32 times over, and lists nested thousands deep.

use std::{error::Error as _, fmt, path::PathBuf};

use engine_core::{Error, Result};
use jiff::{
    Zoned,
    fmt::strtime::{BrokenDownTime, Config},
};
use minijinja::{Environment, ErrorKind, Value, syntax::SyntaxConfig};

use super::{
    TextSources,
    chat_input::{Arguments, CallForms, ChatInput},
    generation_tag::without_generation_tags,
    python_json::to_json,
    python_methods::python_method,
    python_tests::add_python_tests,
    special_tokens::SpecialTokens,
};

const NAME: &str = "chat template";

/// Steps of a rendering, where 64 bytes count as one: half a gigabyte at most, and about a second.
const FUEL: u64 = 8_000_000;

/// Nested loops, macros and includes.
const RECURSION: usize = 100;

/// A compiled chat template.
#[derive(Debug)]
pub(super) struct ChatTemplate {
    environment: Environment<'static>,
    source: Box<str>,
    calls: CallForms,
}

/// What a template said when it refused a chat.
#[derive(Debug)]
struct Refusal(String);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

impl ChatTemplate {
    /// The model's template: a file of its own, or the entry of `tokenizer_config.json`, which is
    /// a text or a list of named ones, of which "default" is taken.
    pub(super) fn find(sources: &TextSources<'_>, special: &SpecialTokens) -> Result<Option<Self>> {
        let source = match sources.chat_template {
            Some(source) => Some(source),
            None => configured(sources)?,
        };
        source
            .map(|source| Self::compile(source, special, Zoned::now))
            .transpose()
    }

    /// Compiles a template; `clock` tells it the time.
    fn compile(source: &str, special: &SpecialTokens, clock: fn() -> Zoned) -> Result<Self> {
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()
            .map_err(|error| template_error(&error))?;
        let mut environment = Environment::new();
        environment.set_syntax(syntax);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(RECURSION);
        minijinja_contrib::add_to_environment(&mut environment);
        environment.set_unknown_method_callback(python_method);
        add_python_tests(&mut environment);
        environment.add_filter("tojson", to_json);
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", move |format: &str| {
            strftime(&clock(), format)
        });
        for (name, token) in special.iter() {
            environment.add_global(name, token.to_owned());
        }
        environment
            .add_template_owned(NAME, without_generation_tags(source).into_owned())
            .map_err(|error| template_error(&error))?;
        Ok(Self {
            environment,
            source: source.into(),
            calls: CallForms::of(source),
        })
    }

    /// The text of a chat, up to where the model's answer begins.
    pub(super) fn render(&self, chat: &ChatInput<'_>) -> Result<String> {
        let outcome = self.render_with(chat, self.calls);
        match outcome {
            Err(_) if chat.has_calls() && self.calls == CallForms::Listed(Arguments::Object) => {
                self.render_with(chat, CallForms::Listed(Arguments::Text))
                    .or(outcome)
            }
            outcome => outcome,
        }
    }

    fn render_with(&self, chat: &ChatInput<'_>, calls: CallForms) -> Result<String> {
        self.environment
            .get_template(NAME)
            .and_then(|template| template.render(chat.variables(calls)))
            .map_err(|error| template_error(&error))
    }

    /// The template's source.
    pub(super) fn source(&self) -> &str {
        &self.source
    }
}

/// The template in `tokenizer_config.json`.
fn configured<'a>(sources: &TextSources<'a>) -> Result<Option<&'a str>> {
    let entry = sources
        .tokenizer_config
        .and_then(|config| config.get("chat_template"));
    match entry {
        None | Some(serde_json::Value::Null) => Ok(None),
        Some(serde_json::Value::String(source)) => Ok(Some(source)),
        Some(serde_json::Value::Array(templates)) => Ok(templates
            .iter()
            .filter(|entry| entry.get("name").and_then(|name| name.as_str()) == Some("default"))
            .find_map(|entry| entry.get("template")?.as_str())),
        Some(_) => Err(Error::InvalidModel {
            path: PathBuf::from("tokenizer_config.json"),
            reason: "chat_template must be a text, or a list of objects with \"name\" and \
                     \"template\""
                .to_owned(),
        }),
    }
}

fn raise_exception(message: String) -> Result<Value, minijinja::Error> {
    Err(
        minijinja::Error::new(ErrorKind::InvalidOperation, message.clone())
            .with_source(Refusal(message)),
    )
}

/// Python's `strftime`: codes that are not known stay as they are.
fn strftime(now: &Zoned, format: &str) -> Result<String, minijinja::Error> {
    BrokenDownTime::from(now)
        .to_string_with_config(&Config::new().lenient(true), format)
        .map_err(|error| {
            minijinja::Error::new(ErrorKind::InvalidOperation, "the date can't be formatted")
                .with_source(error)
        })
}

/// The template's own words if it refused the chat, else what the template engine said.
fn template_error(error: &minijinja::Error) -> Error {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(Refusal(message)) = cause.downcast_ref() {
            return Error::ChatTemplate {
                reason: message.clone(),
            };
        }
        source = cause.source();
    }
    Error::ChatTemplate {
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod families;
#[cfg(test)]
mod tests;
