//! GLM-4's calls.

use engine_core::ToolFormat::Glm4;
use engine_runtime::{OutputParser, Part};

use super::{covered, grammar, parts, read, read_all};

#[test]
fn a_call_is_a_name_and_its_arguments() {
    for answer in [
        "time\n{\"zone\": \"CET\"}",
        "\ntime \n{\"zone\": \"CET\"}",
        "time\r\n{\n  \"zone\": \"CET\"\n}",
        "time\n{'zone': 'CET'}",
        "<|assistant|>time\n{\"zone\": \"CET\"}",
    ] {
        assert_eq!(
            read(Glm4, answer),
            ["call time{\"zone\":\"CET\"}"],
            "{answer}"
        );
    }
    assert_eq!(
        read(Glm4, "get-it.now_2\n{\"on\": true, \"at\": \"}\\\"{\"}"),
        [r#"call get-it.now_2{"on":true,"at":"}\"{"}"#]
    );
    assert_eq!(read(Glm4, "now\n{}"), ["call now{}"]);
}

#[test]
fn messages_of_an_answer_are_separated() {
    assert_eq!(
        read(
            Glm4,
            "\nLet me look.<|assistant|>time\n{\"zone\": \"CET\"}<|assistant|>date\n{}",
        ),
        [
            "text \"\\nLet me look.\"",
            "call time{\"zone\":\"CET\"}",
            "call date{}"
        ]
    );
    assert_eq!(
        read(Glm4, "Let me look.\ntime\n{\"a\": 1}\ndate\n{}\nDone."),
        [
            "text \"Let me look.\\n\"",
            "call time{\"a\":1}",
            "call date{}",
            "text \"\\nDone.\""
        ]
    );
}

#[test]
fn other_text_is_text() {
    for answer in [
        "Hello",
        "Hello\n",
        "Hello\nthere {\"a\": 1}",
        "Hello, this is JSON:\n{\"a\": 1}",
        "```json\n{\"a\": 1}\n```",
        "int main()\n{\n}",
        "So:\nelse\n{\n  f();\n}",
        "So:\nelse\n{",
        "try\n{\n  f();\n}\ncatch\n{\n}",
        "try\n{\n}",
        "try\n{",
        "enum\n{\n  \"a\",\n}\nDone.",
        "So:\nset\n{'a', 'b'}\nand {\"a\": 1}.",
        "enum\n{\n  \"a\" ,\n  \"b\"\n}",
        "a\n{\"\na\n{\"\na\n{\"\na\n{\"\n",
        "a\n{\"b\\\": 1}",
        "a\n{\"b\n\": 1}",
        "weather\n{\"zone\": }",
        "weather\n{\"zone\": \"CET",
        "{\"a\": 1}",
        "\n\n",
        "你好\n{\"a\": 1}",
        "a_name_that_is_longer_than_any_tool_may_have_and_so_it_must_be_text\n{\"a\": 1}",
    ] {
        assert_eq!(read(Glm4, answer), [format!("text {answer:?}")]);
    }
}

#[test]
fn a_call_of_no_tool_is_one_where_its_arguments_are_sound() {
    assert_eq!(
        read_all(Glm4, "weather\n{\"zone\": \"CET\"}\nDone."),
        ["call weather{\"zone\":\"CET\"}", "text \"\\nDone.\""]
    );
    assert_eq!(
        read_all(Glm4, "weather\n{ \"the \\\"zone\" : \"<C>\" }"),
        ["call weather{\"the \\\"zone\":\"<C>\"}"]
    );
    assert_eq!(
        read_all(Glm4, "So:\nweather\n{'zone': 'CET'}"),
        ["text \"So:\\n\"", "call weather{\"zone\":\"CET\"}"]
    );
}

#[test]
fn text_comes_as_soon_as_no_call_can_begin_so() {
    for (before, last) in [
        ("enum\n{\n  \"a\"", ","),
        ("set\n{'a' ", "}"),
        ("a\n{\"", "\n"),
        ("weather\n{\"zone\": 1", "<b"),
    ] {
        let mut parser = OutputParser::new(&grammar(Some(Glm4)));
        assert_eq!(parser.push(before), [], "{before:?}");
        assert_eq!(covered(&parser.push(last)), format!("{before}{last}"));
    }
}

#[test]
fn long_arguments_are_those_of_a_tool_that_was_offered() {
    let grammar = grammar(Some(Glm4));
    for (tool, len, is_call) in [
        ("weather", 16_000, true),
        ("weather", 17_000, false),
        ("time", 17_000, true),
    ] {
        let answer = format!("{tool}\n{{\"zone\": \"{}\"}}", "word ".repeat(len / 5));
        for size in [1, 700, 100_000] {
            let pieces = answer.as_bytes().chunks(size);
            let pieces = pieces.map(|piece| std::str::from_utf8(piece).expect("ASCII"));
            let read = parts(&grammar, pieces);
            let calls = read.iter().filter(|part| matches!(part, Part::Call(_)));
            assert_eq!(calls.count(), usize::from(is_call), "{tool}, {len}, {size}");
            assert_eq!(covered(&read), answer);
        }
    }
    // It is not held back any longer than it could be a call.
    let mut parser = OutputParser::new(&grammar);
    let answer = format!("weather\n{{\"zone\": \"{}", "word ".repeat(3_400));
    assert_eq!(covered(&parser.push(&answer)), answer);
}

#[test]
fn a_line_that_goes_on_and_on_before_it_is_anything_is_text() {
    let space = " ".repeat(600);
    for answer in [
        format!("time{space}\n{{}}"),
        format!("weather\n{{{space}\"a\": 1}}"),
        format!("weather\n{{\"{space}\": 1}}"),
    ] {
        assert_eq!(read(Glm4, &answer), [format!("text {answer:?}")]);
    }
}

#[test]
fn malformed_calls_say_why() {
    for (answer, reason) in [
        ("time\n{zone: CET}", "its arguments are no JSON: "),
        ("time\n{\"zone\": }", "its arguments are no JSON: "),
        ("time\n{'zone': x}", "\"x}\" is no value"),
        ("time\n{\"zone\": \"CET", "the answer ended inside it"),
        ("time\n{", "the answer ended inside it"),
    ] {
        let read = read(Glm4, answer);
        assert_eq!(read.len(), 1, "{answer}: {read:?}");
        assert!(read[0].starts_with(&format!("bad {reason}")), "{read:?}");
    }
}

#[test]
fn text_comes_word_by_word_but_for_the_first_of_a_line() {
    let mut parser = OutputParser::new(&grammar(Some(Glm4)));
    assert_eq!(parser.push("He"), []);
    assert_eq!(parser.push("llo,"), [Part::Text("Hello,".into())]);
    assert_eq!(parser.push(" you"), [Part::Text(" you".into())]);
    assert_eq!(parser.push(".\nWel"), [Part::Text(".\n".into())]);
    assert_eq!(parser.push("l then"), [Part::Text("Well then".into())]);
}
