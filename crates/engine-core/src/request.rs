//! A request, and the same request after the one check it gets.

mod chat_options;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use self::chat_options::validate_chat_options;
use crate::{
    Capabilities, Error, Field, FieldSet, GenerateParams, Message, ReasoningOptions, Result,
    TokenId, ToolOptions,
};

/// What the model reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Prompt {
    /// Plain text, continued as it stands.
    Text(String),
    /// Tokens, taken as they are.
    Tokens(Vec<TokenId>),
    /// A chat, put into text by the model's own template.
    Messages(Vec<Message>),
}

impl From<String> for Prompt {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Prompt {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Vec<TokenId>> for Prompt {
    fn from(tokens: Vec<TokenId>) -> Self {
        Self::Tokens(tokens)
    }
}

impl From<Vec<Message>> for Prompt {
    fn from(messages: Vec<Message>) -> Self {
        Self::Messages(messages)
    }
}

/// What to do with a field that the engine can't honour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Leniency {
    /// Refuse the request with [`Error::Unsupported`].
    #[default]
    Strict,
    /// Ignore the field and list it in
    /// [`GenerationSummary::ignored`](crate::GenerationSummary::ignored).
    Lenient,
}

/// A request as the caller writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenerateRequest {
    /// What the model reads.
    pub prompt: Prompt,
    /// How to generate.
    #[serde(default)]
    pub params: GenerateParams,
    /// What the model may call.
    #[serde(default)]
    pub tools: ToolOptions,
    /// Whether and how long it may think.
    #[serde(default)]
    pub reasoning: ReasoningOptions,
    /// What to do with a field that the engine can't honour.
    #[serde(default)]
    pub leniency: Leniency,
}

impl GenerateRequest {
    /// A request with default settings.
    pub fn new(prompt: Prompt) -> Self {
        Self {
            prompt,
            params: GenerateParams::default(),
            tools: ToolOptions::default(),
            reasoning: ReasoningOptions::default(),
            leniency: Leniency::Strict,
        }
    }

    /// Continues a text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(Prompt::Text(text.into()))
    }

    /// Answers a chat.
    pub fn chat(messages: impl Into<Vec<Message>>) -> Self {
        Self::new(Prompt::Messages(messages.into()))
    }

    /// Continues tokens.
    pub fn tokens(tokens: impl Into<Vec<TokenId>>) -> Self {
        Self::new(Prompt::Tokens(tokens.into()))
    }

    /// With these settings.
    #[must_use]
    pub fn with_params(mut self, params: GenerateParams) -> Self {
        self.params = params;
        self
    }

    /// With tools that the model may call.
    #[must_use]
    pub fn with_tools(mut self, tools: ToolOptions) -> Self {
        self.tools = tools;
        self
    }

    /// With these settings of its thinking.
    #[must_use]
    pub fn with_reasoning(mut self, reasoning: ReasoningOptions) -> Self {
        self.reasoning = reasoning;
        self
    }

    /// Ignoring, and listing, what the engine can't honour.
    #[must_use]
    pub fn lenient(mut self) -> Self {
        self.leniency = Leniency::Lenient;
        self
    }

    /// Checks ranges and capabilities: the only way to a [`ValidRequest`].
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for a value out of range, in either mode;
    /// [`Error::Unsupported`] for a field that the engine can't honour. A prompt that the engine
    /// can't read is an error in lenient mode too, since nothing could stand in for it; so are
    /// tools, and settings of thinking, that the model's chat template does not know
    /// ([`Error::UnsupportedByModel`]).
    pub fn validate(mut self, backend: &str, capabilities: &Capabilities) -> Result<ValidRequest> {
        self.params.validate()?;
        let prompt_field = match &self.prompt {
            Prompt::Messages(messages) => {
                not_empty(Field::Messages, messages.is_empty(), "at least one message")?;
                Field::Messages
            }
            Prompt::Text(text) => {
                not_empty(
                    Field::Prompt,
                    text.is_empty(),
                    "a text of at least one character",
                )?;
                Field::Prompt
            }
            Prompt::Tokens(tokens) => {
                not_empty(Field::Prompt, tokens.is_empty(), "at least one token")?;
                Field::Prompt
            }
        };
        let unsupported = |field| Error::Unsupported {
            backend: backend.to_owned(),
            field,
        };
        if !capabilities.fields.contains(prompt_field) {
            return Err(unsupported(prompt_field));
        }
        let mut ignored = FieldSet::NONE;
        for field in self.params.fields_set().iter() {
            if capabilities.fields.contains(field) {
                continue;
            }
            match self.leniency {
                Leniency::Strict => return Err(unsupported(field)),
                Leniency::Lenient => {
                    self.params.reset(field);
                    ignored = ignored.with(field);
                }
            }
        }
        ignored = ignored.with_all(validate_chat_options(&mut self, backend, capabilities)?);
        Ok(ValidRequest {
            prompt: self.prompt,
            params: self.params,
            tools: self.tools,
            reasoning: self.reasoning,
            ignored,
        })
    }
}

fn not_empty(field: Field, empty: bool, expected: &'static str) -> Result<()> {
    if !empty {
        return Ok(());
    }
    Err(Error::InvalidParameter {
        field,
        value: "empty".to_owned(),
        expected: Cow::Borrowed(expected),
    })
}

/// A request whose ranges and capabilities have been checked. A backend checks neither again.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidRequest {
    prompt: Prompt,
    params: GenerateParams,
    tools: ToolOptions,
    reasoning: ReasoningOptions,
    ignored: FieldSet,
}

impl ValidRequest {
    /// What the model reads.
    pub fn prompt(&self) -> &Prompt {
        &self.prompt
    }

    /// How to generate; ignored fields are neutral.
    pub fn params(&self) -> &GenerateParams {
        &self.params
    }

    /// What the model may call.
    pub fn tools(&self) -> &ToolOptions {
        &self.tools
    }

    /// Whether and how long it may think.
    pub fn reasoning(&self) -> ReasoningOptions {
        self.reasoning
    }

    /// What is not honoured, for the summary.
    pub fn ignored(&self) -> Vec<Field> {
        self.ignored.iter().collect()
    }

    /// Takes the request apart: prompt, parameters, ignored fields.
    pub fn into_parts(self) -> (Prompt, GenerateParams, Vec<Field>) {
        let ignored = self.ignored();
        (self.prompt, self.params, ignored)
    }
}
