//! The templates of widespread models against what `transformers` makes of them, byte for byte.
//!
//! `tests/chat_templates/README.md` says where they come from. This lies beside the template and not
//! in `tests/`, since it stops the clock.

use std::{collections::BTreeMap, path::PathBuf};

use engine_core::ToolDefinition;
use serde::Deserialize;

use super::{
    tests::{special_tokens, stopped_clock},
    *,
};
use engine_core::Message;

/// Every template, so that none goes missing unnoticed.
const FAMILIES: [&str; 57] = [
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
        let source = read(&format!("templates/{family}.jinja"));
        let expected: BTreeMap<String, Expected> =
            serde_json::from_str(&read(&format!("expected/{family}.json"))).expect("texts");
        let template = ChatTemplate::compile(&source, &special_tokens(), stopped_clock)
            .unwrap_or_else(|error| panic!("{family}: {error}"));
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
