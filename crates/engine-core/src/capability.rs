//! What an engine honours, field by field.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! fields {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),* $(,)?) => {
        /// A field that a caller sets and a backend honours or refuses.
        ///
        /// `Display` and serde use the field's name in JSON.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum Field {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Field {
            /// Every field, in declaration order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name of the field in JSON.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
    };
}

fields! {
    /// [`GenerateRequest::prompt`](crate::GenerateRequest::prompt).
    Prompt = "prompt",
    /// A prompt of chat messages, which needs the model's chat template.
    Messages = "messages",
    /// [`GenerateParams::max_tokens`](crate::GenerateParams::max_tokens).
    MaxTokens = "max_tokens",
    /// [`GenerateParams::temperature`](crate::GenerateParams::temperature).
    Temperature = "temperature",
    /// [`GenerateParams::top_p`](crate::GenerateParams::top_p).
    TopP = "top_p",
    /// [`GenerateParams::top_k`](crate::GenerateParams::top_k).
    TopK = "top_k",
    /// [`GenerateParams::min_p`](crate::GenerateParams::min_p).
    MinP = "min_p",
    /// [`GenerateParams::repetition_penalty`](crate::GenerateParams::repetition_penalty).
    RepetitionPenalty = "repetition_penalty",
    /// [`GenerateParams::presence_penalty`](crate::GenerateParams::presence_penalty).
    PresencePenalty = "presence_penalty",
    /// [`GenerateParams::frequency_penalty`](crate::GenerateParams::frequency_penalty).
    FrequencyPenalty = "frequency_penalty",
    /// [`GenerateParams::penalty_window`](crate::GenerateParams::penalty_window).
    PenaltyWindow = "penalty_window",
    /// [`GenerateParams::seed`](crate::GenerateParams::seed).
    Seed = "seed",
    /// [`GenerateParams::stop`](crate::GenerateParams::stop).
    Stop = "stop",
    /// [`GenerateParams::stop_tokens`](crate::GenerateParams::stop_tokens).
    StopTokens = "stop_tokens",
    /// [`GenerateParams::ignore_eos`](crate::GenerateParams::ignore_eos).
    IgnoreEos = "ignore_eos",
    /// [`ToolOptions::definitions`](crate::ToolOptions::definitions).
    Tools = "tools",
    /// [`ToolOptions::choice`](crate::ToolOptions::choice) of a tool that must be called.
    ToolChoice = "tool_choice",
    /// [`ReasoningOptions::thinking`](crate::ReasoningOptions::thinking).
    Thinking = "thinking",
    /// [`ReasoningOptions::max_tokens`](crate::ReasoningOptions::max_tokens).
    ReasoningTokens = "reasoning_tokens",
    /// [`GenerateParams::typical_p`](crate::GenerateParams::typical_p).
    TypicalP = "typical_p",
    /// [`GenerateParams::xtc`](crate::GenerateParams::xtc).
    Xtc = "xtc",
    /// [`GenerateParams::dry`](crate::GenerateParams::dry).
    Dry = "dry",
    /// [`GenerateParams::logit_bias`](crate::GenerateParams::logit_bias).
    LogitBias = "logit_bias",
    /// [`GenerateParams::mirostat`](crate::GenerateParams::mirostat).
    Mirostat = "mirostat",
    /// [`GenerateParams::sampler_order`](crate::GenerateParams::sampler_order).
    SamplerOrder = "sampler_order",
    /// [`GenerateParams::logprobs`](crate::GenerateParams::logprobs).
    Logprobs = "logprobs",
    /// [`GenerateParams::constraint`](crate::GenerateParams::constraint).
    Constraint = "constraint",
    /// [`GenerateParams::loop_guard`](crate::GenerateParams::loop_guard).
    LoopGuard = "loop_guard",
    /// [`LoadOptions::device`](crate::LoadOptions::device).
    Device = "device",
    /// [`LoadOptions::compute`](crate::LoadOptions::compute).
    Compute = "compute",
    /// [`LoadOptions::context_length`](crate::LoadOptions::context_length).
    ContextLength = "context_length",
    /// [`LoadOptions::prefill_chunk`](crate::LoadOptions::prefill_chunk).
    PrefillChunk = "prefill_chunk",
    /// [`LoadOptions::max_concurrent`](crate::LoadOptions::max_concurrent).
    MaxConcurrent = "max_concurrent",
    /// [`LoadOptions::cache_limit_bytes`](crate::LoadOptions::cache_limit_bytes).
    CacheLimitBytes = "cache_limit_bytes",
    /// [`LoadOptions::threads`](crate::LoadOptions::threads).
    Threads = "threads",
    /// [`LoadOptions::kv_type`](crate::LoadOptions::kv_type).
    KvType = "kv_type",
    /// [`LoadOptions::prompt_cache_bytes`](crate::LoadOptions::prompt_cache_bytes).
    PromptCacheBytes = "prompt_cache_bytes",
    /// A prompt cache in a file: [`Engine::save_prompt_cache`](crate::Engine::save_prompt_cache).
    PromptCache = "prompt_cache",
    /// Texts as vectors: [`Engine::embed`](crate::Engine::embed).
    Embeddings = "embeddings",
    /// [`ModelConfiguration::name`](crate::ModelConfiguration::name).
    Name = "name",
    /// [`ModelConfiguration::path`](crate::ModelConfiguration::path).
    Path = "path",
    /// [`ModelConfiguration::quantization`](crate::ModelConfiguration::quantization).
    Quantization = "quantization",
    /// [`ModelConfiguration::kv_cache`](crate::ModelConfiguration::kv_cache).
    KvCache = "kv_cache",
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of fields.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct FieldSet(u64);

impl FieldSet {
    /// The empty set.
    pub const NONE: Self = Self(0);

    /// Every field of a generation request that holds for any model. What a model's chat template
    /// decides is beside it: [`Field::Tools`], [`Field::ToolChoice`], [`Field::Thinking`],
    /// [`Field::ReasoningTokens`].
    pub const GENERATION: Self = Self::NONE
        .with(Field::Prompt)
        .with(Field::Messages)
        .with(Field::MaxTokens)
        .with(Field::Temperature)
        .with(Field::TopP)
        .with(Field::TopK)
        .with(Field::MinP)
        .with(Field::RepetitionPenalty)
        .with(Field::PresencePenalty)
        .with(Field::FrequencyPenalty)
        .with(Field::PenaltyWindow)
        .with(Field::Seed)
        .with(Field::Stop)
        .with(Field::StopTokens)
        .with(Field::IgnoreEos)
        .with(Field::TypicalP)
        .with(Field::Xtc)
        .with(Field::Dry)
        .with(Field::LogitBias)
        .with(Field::Mirostat)
        .with(Field::SamplerOrder)
        .with(Field::Logprobs)
        .with(Field::Constraint)
        .with(Field::LoopGuard);

    /// The set with one field more.
    #[must_use]
    pub const fn with(self, field: Field) -> Self {
        Self(self.0 | 1 << field as u64)
    }

    /// The set with one field less.
    #[must_use]
    pub const fn without(self, field: Field) -> Self {
        Self(self.0 & !(1 << field as u64))
    }

    /// The fields of both sets.
    #[must_use]
    pub const fn with_all(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the field is in the set.
    pub const fn contains(self, field: Field) -> bool {
        self.0 & (1 << field as u64) != 0
    }

    /// The fields, in declaration order.
    pub fn iter(self) -> impl Iterator<Item = Field> {
        Field::ALL
            .iter()
            .copied()
            .filter(move |field| self.contains(*field))
    }
}

impl FromIterator<Field> for FieldSet {
    fn from_iter<I: IntoIterator<Item = Field>>(fields: I) -> Self {
        fields.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for FieldSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Field::name)).finish()
    }
}

/// What a loaded engine honours. The default is nothing.
///
/// Derived from the model and the backend when loading, never declared by hand in an application.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// The request fields that change the answer when set. A field outside the set is refused with
    /// [`Error::Unsupported`](crate::Error::Unsupported), or ignored and listed in lenient mode.
    pub fields: FieldSet,
    /// How many generations run at the same time; further ones wait. `1` means one after another.
    pub concurrent_generations: u32,
    /// Whether the text comes from a model at all: `true` for the mock.
    pub simulated: bool,
    /// Whether the model turns texts into vectors.
    pub embeddings: bool,
}

impl Capabilities {
    /// Capabilities with these request fields.
    #[must_use]
    pub const fn with_fields(mut self, fields: FieldSet) -> Self {
        self.fields = fields;
        self
    }

    /// Capabilities with this many generations at the same time.
    #[must_use]
    pub const fn with_concurrent_generations(mut self, generations: u32) -> Self {
        self.concurrent_generations = generations;
        self
    }

    /// Capabilities of a model that turns texts into vectors.
    #[must_use]
    pub const fn with_embeddings(mut self, embeddings: bool) -> Self {
        self.embeddings = embeddings;
        self
    }

    /// Capabilities of a simulation.
    #[must_use]
    pub const fn with_simulated(mut self, simulated: bool) -> Self {
        self.simulated = simulated;
        self
    }
}
