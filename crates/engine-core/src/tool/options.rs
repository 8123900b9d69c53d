//! Which tools a model may call, and how it writes that it does.

use serde::{Deserialize, Serialize};

use super::ToolDefinition;

/// The tools of one request.
///
/// They need a prompt of messages. The model's chat template shows them to the model; one that
/// does not is an error before anything is generated, in lenient mode too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ToolOptions {
    /// What the model may call; no two of the same name. Empty: nothing, and text that looks like a
    /// call stays text.
    pub definitions: Vec<ToolDefinition>,
    /// Whether it may, or must.
    pub choice: ToolChoice,
    /// How the model writes a call. Default `None`: as its chat template and vocabulary say.
    pub format: Option<ToolFormat>,
    /// Who tells the model of the tools.
    pub prompt: ToolPrompt,
}

impl ToolOptions {
    /// These tools, and the model may call them.
    pub fn new(definitions: impl Into<Vec<ToolDefinition>>) -> Self {
        Self {
            definitions: definitions.into(),
            ..Self::default()
        }
    }

    /// With another choice.
    #[must_use]
    pub fn with_choice(mut self, choice: ToolChoice) -> Self {
        self.choice = choice;
        self
    }

    /// With calls in this format, whatever the model's files say.
    #[must_use]
    pub fn with_format(mut self, format: ToolFormat) -> Self {
        self.format = Some(format);
        self
    }

    /// With messages that describe the tools themselves.
    #[must_use]
    pub fn described_by_messages(mut self) -> Self {
        self.prompt = ToolPrompt::Messages;
        self
    }

    /// Whether the answer may hold calls.
    pub fn are_offered(&self) -> bool {
        !self.definitions.is_empty() && self.choice != ToolChoice::None
    }
}

/// Whether a model may, or must, call a tool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ToolChoice {
    /// The model decides.
    #[default]
    Auto,
    /// The model is not told of the tools, and what looks like a call is text.
    None,
    /// It must call one of the tools.
    ///
    /// The answer is one call, in the form of the model's family, with arguments that the tool's
    /// schema accepts: no other token is chosen. It ends behind the call, with
    /// [`FinishReason::ConstraintMet`](crate::FinishReason::ConstraintMet); one that is cut short
    /// need not be whole, as its finish reason says. A thought that the prompt begins comes before
    /// it.
    ///
    /// Engines whose capabilities lack [`Field::ToolChoice`](crate::Field::ToolChoice) refuse it, or
    /// take it as `Auto` where the request is lenient. A request with a constraint of its own is
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter), and a schema that can't be
    /// enforced is [`Error::InvalidConstraint`](crate::Error::InvalidConstraint), both before anything
    /// is generated.
    Required,
    /// It must call this tool; otherwise as `Required`.
    Named(String),
}

/// Who tells the model of the tools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ToolPrompt {
    /// The model's chat template.
    #[default]
    Template,
    /// The request's messages describe them, for models whose template does not: the template is
    /// not given the tools.
    Messages,
}

/// How a model writes that it calls a tool.
///
/// `OBJECT` is a JSON object with `name`, and `arguments` or `parameters`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ToolFormat {
    /// `<tool_call>OBJECT</tool_call>`, as Hermes and Qwen do. Between the tags Qwen3-Coder's
    /// `<function=NAME><parameter=KEY>VALUE</parameter></function>` and GLM-4.5's
    /// `NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value>` are read too.
    Hermes,
    /// An answer that begins with OBJECT, or with `<|python_tag|>` and OBJECT, a list of them, or
    /// calls in Python's form; several are separated by `;`. Llama 3.1 to 3.3.
    Llama3,
    /// An answer that begins with a list in Python's form, `[NAME(KEY=VALUE), ...]`, or with OBJECTs;
    /// either may stand between `<|python_start|>` and `<|python_end|>`. Llama 4.
    Llama4,
    /// `NAME`, a line break and `{...}`, at the beginning of a line; several messages are separated
    /// by `<|assistant|>`. Where NAME is no tool that was offered, it is text, unless sound
    /// arguments follow. GLM-4 and GLM-4-0414.
    Glm4,
    /// `[TOOL_CALLS][OBJECT, ...]`, and `[TOOL_CALLS]NAME[ARGS]{...}` of newer models. Mistral.
    Mistral,
    /// A code block marked `tool_code` or `json` that holds OBJECT, a list of them, or calls in
    /// Python's form with arguments by name: `NAME(KEY=VALUE)`. Gemma, up to Gemma 3.
    Gemma,
    /// Messages to a recipient: `<|channel|>commentary to=functions.NAME<|message|>{...}<|call|>`.
    /// gpt-oss.
    Harmony,
    /// `<seed:tool_call>` and `</seed:tool_call>` around `<function=...>` as with Qwen3-Coder.
    /// Seed-OSS.
    SeedOss,
    /// `<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>NAME<｜tool▁sep｜>{...}<｜tool▁call▁end｜>...`, and the
    /// older form with `function` in front and a code block behind. `DeepSeek`.
    DeepSeek,
    /// `<|START_ACTION|>[OBJECT, ...]<|END_ACTION|>`, the name under `tool_name`. Command A.
    Cohere,
    /// `<tool_calls>[OBJECT, ...]</tool_calls>`. Jamba.
    Jamba,
    /// `<|tool_call|>[OBJECT, ...]<|/tool_call|>`. Phi-4-mini.
    #[serde(rename = "phi4_mini")]
    Phi4Mini,
    /// `<|tool_call_start|>[NAME(KEY=VALUE), ...]<|tool_call_end|>`. LFM2.
    Lfm2,
    /// `<|tool_call>call:NAME{KEY:VALUE}<tool_call|>`, with texts between `<|"|>`. Gemma 4.
    Gemma4,
    /// An answer that begins with OBJECT or a list of them, in a code block marked `json` or in
    /// none.
    Json,
}

impl ToolFormat {
    /// Every format.
    pub const ALL: &'static [Self] = &[
        Self::Hermes,
        Self::Llama3,
        Self::Llama4,
        Self::Glm4,
        Self::Mistral,
        Self::Gemma,
        Self::Harmony,
        Self::SeedOss,
        Self::DeepSeek,
        Self::Cohere,
        Self::Jamba,
        Self::Phi4Mini,
        Self::Lfm2,
        Self::Gemma4,
        Self::Json,
    ];
}
