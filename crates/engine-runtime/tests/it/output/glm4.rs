//! GLM-4's calls.

use engine_core::ToolFormat::Glm4;
use engine_runtime::{OutputParser, Part};

use super::{grammar, read, read_all};

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
        read_all(Glm4, "So:\nweather\n{'zone': 'CET'}"),
        ["text \"So:\\n\"", "call weather{\"zone\":\"CET\"}"]
    );
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
