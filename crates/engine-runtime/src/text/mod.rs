//! From text to tokens and back: what a model's own text files say, behind one type.

mod chat_input;
mod chat_template;
mod decoding;
mod detokenizer;
mod end_tokens;
mod generation_tag;
mod known_prompts;
mod output_style;
mod python_json;
mod python_methods;
mod python_tests;
mod special_tokens;
mod stop;
mod token_bytes;
mod token_classes;
mod tokenizer;
mod utf8_stream;

use std::sync::{Arc, OnceLock};

use engine_core::{Message, Result, TokenId};
use serde_json::{Map, Value};

pub(crate) use self::{chat_input::ChatInput, known_prompts::KnownPrompts};
use self::{
    chat_template::ChatTemplate, end_tokens::end_tokens, output_style::OutputStyle,
    special_tokens::SpecialTokens, tokenizer::Tokenizer,
};
use crate::constraint::Grammars;

pub(crate) use self::token_bytes::TokenBytes;
pub use self::{
    detokenizer::Detokenizer,
    stop::{StopMatch, StopMatcher},
};

/// The texts that a [`TextPipeline`] is made from. It reads no file itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct TextSources<'a> {
    /// The content of `tokenizer.json`.
    pub tokenizer_json: &'a str,
    /// `tokenizer_config.json`: special tokens, and the chat template if it lies in no file of its
    /// own.
    pub tokenizer_config: Option<&'a Map<String, Value>>,
    /// The content of `chat_template.jinja`; comes before the one of `tokenizer_config.json`.
    pub chat_template: Option<&'a str>,
    /// `config.json`: end-of-text tokens.
    pub config: Option<&'a Map<String, Value>>,
    /// `generation_config.json`: end-of-text tokens.
    pub generation_config: Option<&'a Map<String, Value>>,
}

/// Text to tokens, tokens to text, chats to text, and which tokens end a text.
#[derive(Debug)]
pub struct TextPipeline {
    tokenizer: Arc<Tokenizer>,
    bos_token: Option<String>,
    template: Option<ChatTemplate>,
    style: OutputStyle,
    end_tokens: Vec<TokenId>,
    token_bytes: OnceLock<Option<TokenBytes>>,
    grammars: OnceLock<Result<Arc<Grammars>, String>>,
}

impl TextPipeline {
    /// Reads a model's text files.
    ///
    /// # Errors
    /// [`Error::Tokenizer`](engine_core::Error::Tokenizer) for a `tokenizer.json` that can't be
    /// used, [`Error::ChatTemplate`](engine_core::Error::ChatTemplate) for a template that does not
    /// compile, [`Error::InvalidModel`](engine_core::Error::InvalidModel) naming the JSON file with
    /// an entry of the wrong type or an end-of-text token that the vocabulary does not have.
    pub fn new(sources: TextSources<'_>) -> Result<Self> {
        let tokenizer = Tokenizer::from_json(sources.tokenizer_json)?;
        let special = SpecialTokens::from_config(sources.tokenizer_config)?;
        let end_tokens = end_tokens(&sources, &tokenizer, &special)?;
        let template = ChatTemplate::find(&sources, &special)?;
        Ok(Self {
            bos_token: special.get("bos_token").map(str::to_owned),
            style: OutputStyle::of(template.as_ref().map(ChatTemplate::source), &tokenizer),
            tokenizer: Arc::new(tokenizer),
            template,
            end_tokens,
            token_bytes: OnceLock::new(),
            grammars: OnceLock::new(),
        })
    }

    /// Tokens of a text, with or without the special tokens that the model expects around one.
    ///
    /// # Errors
    /// [`Error::Tokenizer`](engine_core::Error::Tokenizer).
    pub fn encode(&self, text: &str, add_special: bool) -> Result<Vec<TokenId>> {
        self.tokenizer.encode(text, add_special)
    }

    /// Tokens of a text to be continued: special tokens are added, unless the text already starts
    /// with the beginning-of-text token.
    ///
    /// # Errors
    /// [`Error::Tokenizer`](engine_core::Error::Tokenizer).
    pub fn encode_prompt(&self, text: &str) -> Result<Vec<TokenId>> {
        let begun = self
            .bos_token
            .as_deref()
            .is_some_and(|bos| text.starts_with(bos));
        self.encode(text, !begun)
    }

    /// Tokenizes one chat after another, of each what is new.
    pub(crate) fn known_prompts(&self) -> KnownPrompts {
        KnownPrompts::new(Arc::clone(&self.tokenizer))
    }

    /// The text of tokens. Special tokens, and ids outside the vocabulary, have none.
    ///
    /// # Errors
    /// [`Error::Tokenizer`](engine_core::Error::Tokenizer).
    pub fn decode(&self, tokens: &[TokenId]) -> Result<String> {
        self.tokenizer.decode(tokens)
    }

    /// A detokenizer for one answer.
    pub fn detokenizer(&self) -> Detokenizer {
        Detokenizer::new(Arc::clone(&self.tokenizer), &[])
    }

    /// A detokenizer for one answer, in which these special tokens are text.
    pub fn detokenizer_showing(&self, special: &[String]) -> Detokenizer {
        Detokenizer::new(Arc::clone(&self.tokenizer), special)
    }

    /// How the model marks off thoughts and calls.
    pub(crate) fn style(&self) -> &OutputStyle {
        &self.style
    }

    /// Whether [`TextPipeline::render_chat`] can work.
    pub fn has_chat_template(&self) -> bool {
        self.template.is_some()
    }

    /// The text of a chat, up to where the model's answer begins. Tokenize it without adding
    /// special tokens: the template has written them.
    ///
    /// # Errors
    /// [`Error::ChatTemplate`](engine_core::Error::ChatTemplate), with the template's own words if
    /// it refuses the messages, or if there is no template.
    pub fn render_chat(&self, messages: &[Message]) -> Result<String> {
        self.render(&ChatInput::new(messages))
    }

    /// As [`TextPipeline::render_chat`], with tools and a switch for thinking.
    pub(crate) fn render(&self, chat: &ChatInput<'_>) -> Result<String> {
        match &self.template {
            Some(template) => template.render(chat),
            None => Err(engine_core::Error::ChatTemplate {
                reason: "the model has none".to_owned(),
            }),
        }
    }

    /// The tokens that end a text, in ascending order.
    pub fn eos_tokens(&self) -> &[TokenId] {
        &self.end_tokens
    }
}
