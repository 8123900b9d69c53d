//! Where pieces end changes nothing, and nothing is lost.

use engine_core::ToolFormat;
use engine_runtime::Part;
use proptest::{prelude::*, sample::Index};
use serde_json::{Map, Value};

use super::{covered, grammar, parts};

/// What answers are made of: tags, their beginnings, JSON and its beginnings, text.
const FRAGMENTS: &[&str] = &[
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
    "{\"name\": \"f\", \"arguments\": {\"a\": \"}\\\"</tool_call>\"}}",
    "{\"name\": \"f\", \"parameters\": {}}",
    "[{\"name\": \"f\", \"arguments\": {}}]",
    "{\"a\": 1}",
    "{\"x\": 1, \"name\": \"f\", \"arguments\": {}}",
    "{\"name\": \"f\"",
    "\"arguments\": {}}",
    "[TOOL_CALLS]",
    "[ARGS]",
    "[CALL_ID]",
    "f",
    "<function=f>",
    "<parameter=a>",
    "</parameter>",
    "</function>",
    "<arg_key>a</arg_key>",
    "<arg_value>1</arg_value>",
    "<|python_tag|>",
    "<|python_start|>",
    "<|python_end|>",
    "[f(a='x]', b=[1])]",
    "[f(x)]",
    "<|assistant|>",
    "f\n",
    "\nf \n{\"a\": 1}",
    "\nno_tool\n{\"a\": 1}",
    "no_tool\n{'a'",
    "\nno_tool\n{\"a\\\"",
    "\" :",
    "{'a': \"}'\"}",
    "```tool_code\n",
    "```json\n",
    "\n```",
    "[f(a=1), g()]",
    "f(a='x')",
    "<seed:tool_call>",
    "</seed:tool_call>",
    "<tool_calls>",
    "</tool_calls>",
    "<|tool_call>",
    "call:f{a:<|\"|>x<|\"|>}",
    "<tool_call|>",
    "<|tool_call|>",
    "<|/tool_call|>",
    "<|tool_call_start|>",
    "<|tool_call_end|>",
    "<|START_ACTION|>",
    "<|END_ACTION|>",
    "<｜tool▁calls▁begin｜>",
    "<｜tool▁call▁begin｜>f<｜tool▁sep｜>{}<｜tool▁call▁end｜>",
    "<｜tool▁calls▁end｜>",
    "<|channel|>",
    "analysis",
    "commentary to=functions.f",
    "final",
    "<|message|>",
    "<|constrain|>json",
    "<|end|>",
    "<|call|>",
    "<|start|>assistant",
    " to=",
    ";",
    ", ",
    "\n",
    " ",
    "words",
    "{\"name\": \"g\", \"name\": \"f\", \"arguments\": {}}",
    "{\"arguments\": {\"a\": [{}]}, \"name\": \"f\"}",
    "{\"type\": \"function\", \"function\": {\"name\": \"f\", \"arguments\": {\"b\": 2}}}",
    "\"name\": \"f\", ",
    "\"arguments\": {\"a\": ",
    "é🦀",
    "<",
    "{",
    "\"",
    "}",
    "[",
    "]",
    "`",
];

/// An answer, and where it is cut.
fn answers() -> impl Strategy<Value = (String, Vec<Index>)> {
    let fragment = prop_oneof![
        9 => prop::sample::select(FRAGMENTS).prop_map(str::to_owned),
        1 => "\\PC{0,6}",
    ];
    let answer = prop::collection::vec(fragment, 0..12).prop_map(|list| list.concat());
    (answer, prop::collection::vec(any::<Index>(), 0..12))
}

fn formats() -> impl Strategy<Value = Option<ToolFormat>> {
    prop::option::weighted(0.9, prop::sample::select(ToolFormat::ALL))
}

/// The answer in pieces that end at these places.
fn cut<'a>(answer: &'a str, cuts: &[Index]) -> Vec<&'a str> {
    let boundaries: Vec<usize> = answer.char_indices().map(|(at, _)| at).collect();
    let mut places: Vec<usize> = match boundaries.as_slice() {
        [] => Vec::new(),
        all => cuts.iter().map(|cut| *cut.get(all)).collect(),
    };
    places.sort_unstable();
    let mut pieces = Vec::new();
    let mut rest = answer;
    for place in places {
        let (piece, after) = rest.split_at(place - (answer.len() - rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

/// Whether `text` is `whole` with parts left out.
fn is_left_of(text: &str, whole: &str) -> bool {
    let mut rest = whole.chars();
    text.chars().all(|c| rest.any(|other| other == c))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn any_pieces_give_the_same_parts((answer, cuts) in answers(), format in formats()) {
        let grammar = grammar(format);
        let whole = parts(&grammar, [answer.as_str()]);
        prop_assert_eq!(&parts(&grammar, cut(&answer, &cuts)), &whole);
        let single: Vec<String> = answer.chars().map(String::from).collect();
        prop_assert_eq!(&parts(&grammar, single.iter().map(String::as_str)), &whole);
    }

    #[test]
    fn parts_cover_the_answer_but_for_tags((answer, cuts) in answers(), format in formats()) {
        let grammar = grammar(format);
        let parts = parts(&grammar, cut(&answer, &cuts));
        let covered = covered(&parts);
        prop_assert!(is_left_of(&covered, &answer), "{covered:?} of {answer:?}");
        let keeps_all = !matches!(format, Some(ToolFormat::Harmony | ToolFormat::Llama4 | ToolFormat::Glm4));
        if keeps_all && !parts.iter().any(|part| matches!(part, Part::Reasoning(_))) && !answer.contains("<think>") {
            prop_assert_eq!(covered, answer);
        }
    }

    #[test]
    fn what_is_shown_of_a_call_is_what_it_says((answer, cuts) in answers(), format in formats()) {
        let mut shown: Vec<(String, String)> = Vec::new();
        let mut text = String::new();
        for part in parts(&grammar(format), cut(&answer, &cuts)) {
            match part {
                Part::CallDelta { name: Some(name), arguments } => shown.push((name, arguments)),
                Part::CallDelta { arguments, .. } => {
                    prop_assert!(!shown.is_empty(), "{arguments:?} of no call");
                    shown.last_mut().expect("a call").1.push_str(&arguments);
                }
                Part::Call(call) => {
                    if !call.text.is_empty() {
                        text = call.text;
                    }
                    if shown.is_empty() {
                        continue;
                    }
                    let (name, arguments) = shown.remove(0);
                    prop_assert_eq!(name, call.name);
                    if !arguments.is_empty() {
                        let read: Map<String, Value> = serde_json::from_str(&arguments).expect("JSON");
                        prop_assert_eq!(read, call.arguments);
                        prop_assert!(text.contains(&arguments), "{arguments:?} in {text:?}");
                    }
                }
                Part::Malformed { .. } => shown.clear(),
                other => prop_assert!(shown.is_empty(), "{other:?} inside of {shown:?}"),
            }
        }
        prop_assert!(shown.is_empty(), "{shown:?} never came");
    }

    #[test]
    fn without_tags_all_is_text(answer in "[a-z .\\n]{0,40}", format in formats()) {
        let parts = parts(&grammar(format), [answer.as_str()]);
        let expected = if answer.is_empty() { Vec::new() } else { vec![Part::Text(answer)] };
        prop_assert_eq!(parts, expected);
    }
}
