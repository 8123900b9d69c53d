//! Answers cut into thoughts, text and calls.

mod calls;
mod glm4;
mod harmony;
mod llama4;
mod pieces;
mod previews;
mod thinking;

use engine_core::ToolFormat;
use engine_runtime::{OutputGrammar, OutputParser, Part, ThinkingStart, ThinkingTags};
use serde_json::{Map, Value};

/// The tools that were offered.
const TOOLS: [&str; 5] = ["time", "date", "now", "get-it.now_2", "f"];

/// Calls in this format, behind thoughts between `<think>` and `</think>`.
fn grammar(format: Option<ToolFormat>) -> OutputGrammar {
    let mut grammar = OutputGrammar::default();
    grammar.calls = format;
    grammar.tools = TOOLS.map(str::to_owned).to_vec();
    grammar.harmony = format == Some(ToolFormat::Harmony);
    grammar.thinking = (!grammar.harmony).then(|| ThinkingStart {
        tags: ThinkingTags::new("<think>", "</think>"),
        begun: false,
    });
    grammar
}

/// All parts of an answer that comes as these pieces; neighbours of a kind are one.
fn parts<'a>(grammar: &OutputGrammar, pieces: impl IntoIterator<Item = &'a str>) -> Vec<Part> {
    let mut parser = OutputParser::new(grammar);
    let mut parts: Vec<Part> = Vec::new();
    let mut add = |part: Part| match (parts.last_mut(), part) {
        (Some(Part::Text(text)), Part::Text(more))
        | (Some(Part::Reasoning(text)), Part::Reasoning(more)) => text.push_str(&more),
        (
            Some(Part::CallDelta { arguments, .. }),
            Part::CallDelta {
                name: None,
                arguments: more,
            },
        ) => arguments.push_str(&more),
        (_, part) => parts.push(part),
    };
    for piece in pieces {
        parser.push(piece).into_iter().for_each(&mut add);
    }
    parser.finish().into_iter().for_each(&mut add);
    parts
}

/// A part in a few words: `text`, `think`, a call with its arguments, or what is wrong.
fn shown(part: &Part) -> String {
    match part {
        Part::Text(text) => format!("text {text:?}"),
        Part::Reasoning(text) => format!("think {text:?}"),
        Part::Call(call) => {
            let arguments = Value::Object(call.arguments.clone());
            let id = call
                .id
                .as_deref()
                .map_or(String::new(), |id| format!("#{id}"));
            format!("call {}{id}{arguments}", call.name)
        }
        Part::Malformed { reason, .. } => format!("bad {reason}"),
        Part::CallDelta { name, arguments } => {
            format!("shows {}{arguments}", name.as_deref().unwrap_or_default())
        }
        other => format!("{other:?}"),
    }
}

/// The parts of an answer in a format, but for previews, in a few words each.
fn read(format: ToolFormat, answer: &str) -> Vec<String> {
    let all = read_all(format, answer).into_iter();
    all.filter(|part| !part.starts_with("shows ")).collect()
}

/// All parts of an answer in a format, in a few words each: the same wherever it is cut.
fn read_all(format: ToolFormat, answer: &str) -> Vec<String> {
    let grammar = grammar(Some(format));
    let whole = parts(&grammar, [answer]);
    for (at, _) in answer.char_indices() {
        let (one, other) = answer.split_at(at);
        assert_eq!(
            parts(&grammar, [one, other]),
            whole,
            "{format:?}, {one:?}, {other:?}"
        );
    }
    let single: Vec<String> = answer.chars().map(String::from).collect();
    let single = single.iter().map(String::as_str);
    assert_eq!(parts(&grammar, single), whole, "{format:?}, {answer:?}");
    whole.iter().map(shown).collect()
}

/// What the parts hold of the answer's text.
fn covered(parts: &[Part]) -> String {
    parts
        .iter()
        .map(|part| match part {
            Part::Text(text) | Part::Reasoning(text) | Part::Malformed { text, .. } => {
                text.as_str()
            }
            Part::Call(call) => call.text.as_str(),
            _ => "",
        })
        .collect()
}

fn arguments(json: &str) -> Map<String, Value> {
    serde_json::from_str(json).expect("arguments")
}
