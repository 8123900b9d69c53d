//! Thoughts between tags.

use engine_runtime::{OutputGrammar, OutputParser, Part, Phase, ThinkingStart, ThinkingTags};

use super::{grammar, parts, shown};

fn read(begun: bool, answer: &str) -> Vec<String> {
    let grammar = OutputGrammar {
        thinking: Some(ThinkingStart {
            tags: ThinkingTags::new("<think>", "</think>"),
            begun,
        }),
        ..OutputGrammar::default()
    };
    parts(&grammar, [answer]).iter().map(shown).collect()
}

#[test]
fn line_breaks_next_to_tags_belong_to_them() {
    for answer in [
        "<think>Hm.</think>Yes.",
        "<think>\nHm.\n</think>\n\nYes.",
        "\n <think>\r\nHm.\r\n</think>\n\n\nYes.",
    ] {
        assert_eq!(read(false, answer), ["think \"Hm.\"", "text \"Yes.\""]);
    }
    assert_eq!(
        read(false, "<think> a\n\nb </think> c"),
        ["think \" a\\n\\nb \"", "text \" c\""]
    );
}

#[test]
fn a_template_may_have_opened_the_tag() {
    assert_eq!(
        read(true, "\nHm.\n</think>\n\nYes."),
        ["think \"Hm.\"", "text \"Yes.\""]
    );
    assert_eq!(read(true, "</think>Yes."), ["text \"Yes.\""]);
}

#[test]
fn an_empty_thought_is_no_part() {
    assert_eq!(
        read(false, "<think>\n\n</think>\n\nYes."),
        ["text \"Yes.\""]
    );
}

#[test]
fn a_thought_without_an_end_is_all_thought() {
    assert_eq!(read(false, "<think>Hm.\n"), ["think \"Hm.\\n\""]);
    assert_eq!(read(true, "Hm.</thin"), ["think \"Hm.</thin\""]);
    assert_eq!(read(false, "<think>"), [""; 0]);
}

#[test]
fn tags_further_on_are_text() {
    for answer in [
        "I <think> so </think>.",
        "</think>",
        "<thin",
        "  indented",
        "  ",
        "<thinking>",
    ] {
        assert_eq!(read(false, answer), [format!("text {answer:?}")]);
    }
    assert_eq!(
        read(false, "<think>a</think>b<think>c</think>"),
        ["think \"a\"", "text \"b<think>c</think>\""]
    );
}

#[test]
fn a_thought_streams_and_holds_back_only_what_may_be_its_end() {
    let mut parser = OutputParser::new(&grammar(None));
    assert_eq!(parser.phase(), Phase::Undecided);
    assert_eq!(parser.push("<thi"), []);
    assert_eq!(parser.push("nk>"), []);
    assert_eq!(parser.phase(), Phase::Reasoning);
    assert_eq!(parser.push("\nHm"), [Part::Reasoning("Hm".into())]);
    assert_eq!(parser.push(", a < b"), [Part::Reasoning(", a < b".into())]);
    assert_eq!(parser.push("\n<"), []);
    assert_eq!(parser.push("/"), []);
    assert_eq!(parser.push("a>"), [Part::Reasoning("\n</a>".into())]);
    assert_eq!(parser.push("\n</think>"), []);
    assert_eq!(parser.phase(), Phase::Answer);
    assert_eq!(parser.push("\n\nYes"), [Part::Text("Yes".into())]);
}
