//! How a model marks off thoughts and calls: what its chat template and vocabulary say.

use engine_core::ToolFormat;

use super::tokenizer::Tokenizer;
use crate::output::ThinkingTags;

/// Tags around thoughts, the more widespread first.
const THINKING_TAGS: [(&str, &str); 7] = [
    ("<think>", "</think>"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|channel>thought", "<channel|>"),
    ("<thought>", "</thought>"),
    ("◁think▷", "◁/think▷"),
];

/// How a model writes.
#[derive(Debug)]
pub(crate) struct OutputStyle {
    /// Tags around thoughts; `None` if the model marks none off.
    pub(crate) thinking: Option<ThinkingTags>,
    /// Whether it writes gpt-oss's channels.
    pub(crate) harmony: bool,
    /// How it calls tools.
    pub(crate) calls: ToolFormat,
}

impl OutputStyle {
    /// What a chat template's source, if there is one, and a vocabulary say.
    pub(super) fn of(template: Option<&str>, tokenizer: &Tokenizer) -> Self {
        let template = template.unwrap_or_default();
        let has = |tag: &str| template.contains(tag) || tokenizer.id(tag).is_some();
        let harmony = ["<|channel|>", "<|message|>", "<|start|>"]
            .iter()
            .all(|tag| has(tag));
        let thinking = THINKING_TAGS
            .iter()
            .find(|(open, close)| {
                // Some templates hold the closing tag alone, to cut thoughts off.
                template.contains(open) || template.contains(close) || has(open) && has(close)
            })
            .map(|(open, close)| ThinkingTags::new(*open, *close));
        Self {
            thinking: thinking.filter(|_| !harmony),
            harmony,
            calls: tool_format(template, tokenizer, harmony),
        }
    }
}

/// The template shows calls as the model is to write them; the vocabulary may have tokens for it.
fn tool_format(template: &str, tokenizer: &Tokenizer, harmony: bool) -> ToolFormat {
    if harmony {
        return ToolFormat::Harmony;
    }
    let marks = [
        ("<tool_call>", ToolFormat::Hermes),
        ("<seed:tool_call>", ToolFormat::SeedOss),
        ("<｜tool▁calls▁begin｜>", ToolFormat::DeepSeek),
        ("<|START_ACTION|>", ToolFormat::Cohere),
        ("<tool_calls>", ToolFormat::Jamba),
        ("<|tool_call|>", ToolFormat::Phi4Mini),
        ("<|tool_call_start|>", ToolFormat::Lfm2),
        ("<|tool_call>", ToolFormat::Gemma4),
        ("[TOOL_CALLS]", ToolFormat::Mistral),
        ("<|python_start|>", ToolFormat::Llama4),
        ("<|header_start|>", ToolFormat::Llama4),
        ("<|python_tag|>", ToolFormat::Llama3),
        // How Llama's templates describe a call, where they name no token.
        ("dictionary of argument name", ToolFormat::Llama3),
        ("tool_code", ToolFormat::Gemma),
        ("<start_of_turn>", ToolFormat::Gemma),
        ("[gMASK]", ToolFormat::Glm4),
    ];
    let in_template = marks.iter().find(|(mark, _)| template.contains(mark));
    let in_vocabulary = || marks.iter().find(|(mark, _)| tokenizer.id(mark).is_some());
    in_template
        .or_else(in_vocabulary)
        .map_or(ToolFormat::Json, |(_, format)| *format)
}
