//! The templates of widespread models against what `transformers` makes of them, byte for byte.
//!
//! `tests/chat_templates/README.md` says where they come from. This lies beside the template and not
//! in `tests/`, since it stops the clock.

use std::{collections::BTreeMap, path::PathBuf};

use engine_core::{Message, ToolDefinition, ToolFormat};
use serde::Deserialize;

use super::{
    tests::{special_tokens, stopped_clock},
    *,
};
use crate::{
    OutputGrammar, OutputParser, Part,
    text::{output_style::OutputStyle, tokenizer::Tokenizer},
};

/// Every template, so that none goes missing unnoticed.
const FAMILIES: [&str; 59] = [
    "aya-expanse",
    "codellama",
    "command-a",
    "deepseek-coder",
    "deepseek-r1-0528",
    "deepseek-r1-distill",
    "deepseek-v2",
    "deepseek-v2.5",
    "deepseek-v3",
    "deepseek-v3.1",
    "ernie-4.5",
    "exaone-4",
    "falcon-h1",
    "gemma-2",
    "gemma-3",
    "gemma-3n",
    "gemma-4",
    "glm-4",
    "glm-4-0414",
    "glm-4.5",
    "gpt-oss",
    "hermes-2",
    "internlm-3",
    "jamba",
    "lfm2",
    "lfm2.5",
    "llama-2",
    "llama-3",
    "llama-3.1",
    "llama-3.2",
    "llama-3.2-vision",
    "llama-4",
    "minicpm-3",
    "mistral-7b-v0.1",
    "mistral-7b-v0.3",
    "mistral-nemo",
    "mistral-small-v7",
    "moonlight",
    "nemotron-3-nano",
    "phi-3",
    "phi-3.5",
    "phi-4",
    "phi-4-mini",
    "pixtral",
    "qwen1.5",
    "qwen2-vl",
    "qwen2.5",
    "qwen2.5-coder",
    "qwen3",
    "qwen3-2507",
    "qwen3-coder",
    "qwen3-thinking",
    "qwen3-vl",
    "qwen3.5",
    "qwq",
    "seed-oss",
    "smollm3-unsloth",
    "smolvlm",
    "yi-1.5",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Chat {
    name: String,
    messages: Vec<Message>,
    #[serde(default)]
    tools: Vec<ToolDefinition>,
    thinking: Option<bool>,
}

/// What `transformers` says of a chat.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Expected {
    Text(String),
    /// With the template's own words, if it raised them itself.
    Refused(Option<String>),
}

fn read(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/chat_templates")
        .join(path);
    std::fs::read_to_string(path).expect("a fixture")
}

fn chats() -> Vec<Chat> {
    serde_json::from_str(&read("chats.json")).expect("chats")
}

fn template(family: &str) -> (String, ChatTemplate) {
    let source = read(&format!("templates/{family}.jinja"));
    let template = ChatTemplate::compile(&source, &special_tokens(), stopped_clock)
        .unwrap_or_else(|error| panic!("{family}: {error}"));
    (source, template)
}

/// What is different from `transformers`, or nothing.
fn difference(outcome: Result<String>, expected: &Expected) -> Option<String> {
    match (outcome, expected) {
        (Ok(text), Expected::Text(expected)) if text == *expected => None,
        (Ok(text), Expected::Text(expected)) => {
            let same = text
                .char_indices()
                .zip(expected.chars())
                .take_while(|((_, one), other)| one == other)
                .last()
                .map_or(0, |((at, one), _)| at + one.len_utf8());
            let shown = |text: &str| text[same..].chars().take(60).collect::<String>();
            Some(format!(
                "behind {same} bytes comes {:?} instead of {:?}",
                shown(&text),
                shown(expected)
            ))
        }
        (Err(Error::ChatTemplate { .. }), Expected::Refused(None)) => None,
        (Err(Error::ChatTemplate { reason }), Expected::Refused(Some(expected)))
            if reason == *expected =>
        {
            None
        }
        (Ok(_), Expected::Refused(words)) => Some(format!("accepted, not refused with {words:?}")),
        (Err(error), _) => Some(format!("refused: {error}")),
    }
}

#[test]
fn renders_every_family_as_transformers_does() {
    let chats = chats();
    let mut differences = Vec::new();
    let mut equal = 0;
    for family in FAMILIES {
        let (_, template) = template(family);
        let expected: BTreeMap<String, Expected> =
            serde_json::from_str(&read(&format!("expected/{family}.json"))).expect("texts");
        assert_eq!(expected.len(), chats.len(), "{family}");
        for chat in &chats {
            let input = ChatInput {
                messages: &chat.messages,
                tools: &chat.tools,
                thinking: chat.thinking,
            };
            match difference(template.render(&input), &expected[&chat.name]) {
                None => equal += 1,
                Some(difference) => {
                    differences.push(format!("{family}, {}: {difference}", chat.name));
                }
            }
        }
    }
    assert!(
        differences.is_empty(),
        "{equal} equal, {} not:\n{}",
        differences.len(),
        differences.join("\n")
    );
    assert_eq!(equal, FAMILIES.len() * 23);
}

/// What a template says alone, without a vocabulary.
fn style(source: &str) -> OutputStyle {
    let tokenizer = r#"{"version": "1.0", "model": {"type": "BPE", "vocab": {}, "merges": []}}"#;
    let tokenizer = Tokenizer::from_json(tokenizer).expect("a tokenizer");
    OutputStyle::of(Some(source), &tokenizer)
}

/// Families whose template shows tools and writes calls, how they call, and what opens a thought.
const CALLING: [(&str, ToolFormat, &str); 28] = [
    ("command-a", ToolFormat::Cohere, "<|START_THINKING|>"),
    ("deepseek-r1-0528", ToolFormat::DeepSeek, "<think>"),
    ("exaone-4", ToolFormat::Hermes, "<think>"),
    ("falcon-h1", ToolFormat::Hermes, ""),
    ("gemma-4", ToolFormat::Gemma4, "<|channel>thought"),
    ("glm-4-0414", ToolFormat::Glm4, ""),
    ("glm-4.5", ToolFormat::Hermes, "<think>"),
    ("gpt-oss", ToolFormat::Harmony, ""),
    ("jamba", ToolFormat::Jamba, ""),
    ("lfm2", ToolFormat::Lfm2, ""),
    ("lfm2.5", ToolFormat::Lfm2, "<think>"),
    ("llama-3.1", ToolFormat::Llama3, ""),
    ("llama-3.2", ToolFormat::Llama3, ""),
    ("llama-3.2-vision", ToolFormat::Llama3, ""),
    ("llama-4", ToolFormat::Llama4, ""),
    ("mistral-7b-v0.3", ToolFormat::Mistral, ""),
    ("mistral-nemo", ToolFormat::Mistral, ""),
    ("nemotron-3-nano", ToolFormat::Hermes, "<think>"),
    ("qwen2.5", ToolFormat::Hermes, ""),
    ("qwen2.5-coder", ToolFormat::Hermes, ""),
    ("qwen3", ToolFormat::Hermes, "<think>"),
    ("qwen3-2507", ToolFormat::Hermes, ""),
    ("qwen3-coder", ToolFormat::Hermes, ""),
    ("qwen3-thinking", ToolFormat::Hermes, "<think>"),
    ("qwen3-vl", ToolFormat::Hermes, ""),
    ("qwen3.5", ToolFormat::Hermes, "<think>"),
    ("qwq", ToolFormat::Hermes, "<think>"),
    ("seed-oss", ToolFormat::SeedOss, "<seed:think>"),
];

#[test]
fn templates_say_how_their_models_call_and_think() {
    for (family, calls, open) in CALLING {
        let style = style(&template(family).0);
        assert_eq!(style.calls, calls, "{family}");
        assert_eq!(style.harmony, family == "gpt-oss", "{family}");
        let opens = style.thinking.map(|tags| tags.open);
        assert_eq!(opens.unwrap_or_default(), open, "{family}");
    }
}

/// The templates are an oracle for the parsers: what they write for calls that a chat remembers is
/// what their models were trained to write.
#[test]
fn calls_are_read_as_templates_write_them() {
    let chats = chats();
    let mut differences = Vec::new();
    for (family, calls, _) in CALLING {
        // It shows no calls of earlier turns.
        if family == "falcon-h1" {
            continue;
        }
        let (_, template) = template(family);
        let mut read_back = 0;
        for chat in &chats {
            let Some(answer) = chat.messages.iter().position(|m| !m.tool_calls.is_empty()) else {
                continue;
            };
            // Just the question and the answer with its calls, as far as it differs from a question.
            let input = |messages| ChatInput {
                messages,
                tools: &chat.tools,
                thinking: chat.thinking,
            };
            let prompt = template.render(&input(&chat.messages[..answer]));
            let whole = template.render(&input(&chat.messages[..=answer]));
            let (Ok(prompt), Ok(whole)) = (prompt, whole) else {
                continue;
            };
            let same = prompt
                .char_indices()
                .zip(whole.chars())
                .find(|((_, one), other)| one != other)
                .map_or(prompt.len(), |((at, _), _)| at);
            // Not inside a tag.
            let same = match (prompt[..same].rfind('<'), prompt[..same].rfind('>')) {
                (Some(open), close) if close.is_none_or(|close| close < open) => open,
                _ => same,
            };
            let grammar = OutputGrammar {
                calls: Some(calls),
                harmony: calls == ToolFormat::Harmony,
                thinking: None,
                tools: chat.messages[answer]
                    .tool_calls
                    .iter()
                    .map(|call| call.name.clone())
                    .collect(),
            };
            let mut parser = OutputParser::new(&grammar);
            let mut parts = parser.push(&whole[same..]);
            parts.extend(parser.finish());
            let read: Vec<_> = parts
                .iter()
                .filter_map(|part| match part {
                    Part::Call(call) => Some(call),
                    _ => None,
                })
                .collect();
            let mut written = chat.messages[answer].tool_calls.as_slice();
            if family == "gpt-oss" {
                // Its template shows the first call alone.
                written = &written[..1];
            }
            let same_calls = read.len() == written.len()
                && read.iter().zip(written).all(|(read, written)| {
                    // Formats without types have texts for values.
                    let same =
                        |(key, value)| read.untyped || written.arguments.get(key) == Some(value);
                    read.name == written.name
                        && read.arguments.len() == written.arguments.len()
                        && read.arguments.iter().all(same)
                });
            if !same_calls {
                differences.push(format!("{family}, {}: {:?}", chat.name, &whole[same..]));
            }
            read_back += 1;
        }
        assert!(read_back >= 3, "{family}: {read_back}");
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
