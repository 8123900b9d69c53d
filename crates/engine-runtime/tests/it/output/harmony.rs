//! gpt-oss's channels.

use engine_core::ToolFormat::Harmony;
use engine_runtime::{OutputGrammar, OutputParser, Part, Phase};

use super::{grammar, parts, read, shown};

const ANSWER: &str = "<|channel|>analysis<|message|>They want the time.<|end|><|start|>assistant\
    <|channel|>commentary<|message|>I'll look.<|end|><|start|>assistant<|channel|>commentary \
    to=functions.time <|constrain|>json<|message|>{\"zone\": \"CET\"}<|call|>";

#[test]
fn channels_are_thoughts_text_and_calls() {
    assert_eq!(
        read(Harmony, ANSWER),
        [
            "think \"They want the time.\"",
            "text \"I'll look.\"",
            "call time{\"zone\":\"CET\"}",
        ]
    );
    assert_eq!(
        read(Harmony, "<|channel|>final<|message|>It is 12:00.<|return|>",),
        ["text \"It is 12:00.\""]
    );
}

#[test]
fn the_recipient_may_stand_before_the_channel() {
    assert_eq!(
        read(
            Harmony,
            " to=functions.time<|channel|>commentary json<|message|>{}",
        ),
        ["call time{}"]
    );
}

#[test]
fn without_tools_a_message_to_one_is_text() {
    let grammar = OutputGrammar {
        harmony: true,
        ..OutputGrammar::default()
    };
    let parts: Vec<_> = parts(&grammar, [ANSWER]).iter().map(shown).collect();
    assert_eq!(parts[1], "text \"I'll look.{\\\"zone\\\": \\\"CET\\\"}\"");
}

#[test]
fn malformed_messages_to_tools_say_why() {
    for (answer, reason) in [
        (
            "<|channel|>commentary to=functions.time<|message|>{\"zo<|call|>",
            "its arguments are no JSON: ",
        ),
        (
            "<|channel|>commentary to=functions.time",
            "the answer ended inside it",
        ),
    ] {
        let read = read(Harmony, answer);
        assert_eq!(read.len(), 1, "{read:?}");
        assert!(read[0].starts_with(&format!("bad {reason}")), "{read:?}");
    }
}

#[test]
fn an_answer_without_channels_is_text() {
    assert_eq!(read(Harmony, "Hello there."), ["text \"Hello there.\""]);
}

#[test]
fn text_streams_while_a_message_is_under_way() {
    let mut parser = OutputParser::new(&grammar(Some(Harmony)));
    assert_eq!(parser.push("<|channel|>analysis"), []);
    assert_eq!(parser.phase(), Phase::Undecided);
    assert_eq!(parser.push("<|message|>Hm"), [Part::Reasoning("Hm".into())]);
    assert_eq!(parser.phase(), Phase::Reasoning);
    assert_eq!(parser.push("<|en"), []);
    assert_eq!(parser.push("d|>"), []);
    assert_eq!(
        parser.push("<|start|>assistant<|channel|>final<|message|>"),
        []
    );
    assert_eq!(parser.push("Yes"), [Part::Text("Yes".into())]);
    assert_eq!(parser.phase(), Phase::Answer);
}
