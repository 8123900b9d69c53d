//! Llama 4's calls.

use engine_core::ToolFormat::Llama4;
use engine_runtime::{OutputParser, Part};

use super::{grammar, read};

#[test]
fn an_answer_may_be_a_list_of_calls() {
    assert_eq!(
        read(
            Llama4,
            "[get_weather(city=\"San Francisco\"), get_user_info(user_id=7890, special='black')]",
        ),
        [
            "call get_weather{\"city\":\"San Francisco\"}",
            "call get_user_info{\"user_id\":7890,\"special\":\"black\"}",
        ]
    );
    assert_eq!(
        read(Llama4, "\n[ now() ]\n"),
        ["call now{}", "text \"\\n\""]
    );
    assert_eq!(
        read(
            Llama4,
            "[f(a='it]s', b=\"[\\\"'\", c=[1, {\"d\": None}], e=True)]",
        ),
        [r#"call f{"a":"it]s","b":"[\"'","c":[1,{"d":null}],"e":true}"#]
    );
}

#[test]
fn calls_may_stand_between_tags() {
    for answer in [
        "<|python_start|>[f(a=1)]<|python_end|>",
        "<|python_start|>\n[f(a=1)]\n<|python_end|>",
        "<|python_start|>[f(a=1)]",
        "<|python_start|>f(a=1)<|python_end|>",
        "<|python_start|>f(a=1)",
        "<|python_start|>{\"name\": \"f\", \"parameters\": {\"a\": 1}}<|python_end|>",
        "<|python_start|><|python_end|>{\"name\": \"f\", \"parameters\": {\"a\": 1}}",
        "<|python_start|>[{\"name\": \"f\", \"parameters\": {\"a\": 1}}]<|python_end|>",
    ] {
        assert_eq!(read(Llama4, answer), ["call f{\"a\":1}"], "{answer}");
    }
    let parts = super::parts(
        &grammar(Some(Llama4)),
        ["<|python_start|>[f(a=1)]\n<|python_end|>"],
    );
    let Some(Part::Call(call)) = parts.last() else {
        panic!("{parts:?}");
    };
    assert_eq!(call.text, "<|python_start|>[f(a=1)]\n<|python_end|>");
    assert_eq!(
        read(
            Llama4,
            "Well. <|python_start|>[f()]<|python_end|> Then <|python_start|>[g()]<|python_end|>",
        ),
        ["text \"Well. \"", "call f{}", "text \" Then \"", "call g{}"]
    );
}

#[test]
fn calls_may_be_objects() {
    assert_eq!(
        read(
            Llama4,
            "{\"name\": \"f\", \"parameters\": {\"a\": \"]'\"}}{\"name\": \"g\", \"parameters\": \
             {}}",
        ),
        ["call f{\"a\":\"]'\"}", "call g{}"]
    );
    assert_eq!(
        read(
            Llama4,
            "<|python_start|>Let me look.<|python_end|>{\"name\": \"f\", \"parameters\": {}}",
        ),
        ["text \"Let me look.\"", "call f{}"]
    );
}

#[test]
fn text_between_tags_is_text_without_them() {
    for (answer, text) in [
        (
            "<|python_start|>\nimport os\n<|python_end|>",
            "\nimport os\n",
        ),
        ("<|python_start|>print(1)<|python_end|>!", "print(1)!"),
        ("a <|python_start|> b", "a  b"),
        ("Yes.<|python_end|>", "Yes."),
        ("<|python_start|>{\"a\": 1}", "{\"a\": 1}"),
    ] {
        assert_eq!(read(Llama4, answer), [format!("text {text:?}")]);
    }
}

#[test]
fn brackets_that_are_no_call_are_text() {
    for answer in [
        "[sin(x), cos(x)]",
        "[1, 2]",
        "[Note] That is it.",
        "[f(",
        "[f",
        "[",
        "[see (1) below](https://example.org)",
        "get_weather(city=\"Paris\")",
        "Look: [f(a=1)]",
        "{\"answer\": 1}",
        "{\"name\": \"Ada\", \"born\": 1815}",
    ] {
        assert_eq!(read(Llama4, answer), [format!("text {answer:?}")]);
    }
}

#[test]
fn malformed_calls_say_why() {
    for (answer, reason) in [
        ("[f(a=)]", "\")]\" is no value"),
        ("[f(a=b)]", "\"b)]\" is no value"),
        ("[f(a=1 b=2)]", "it needs \")\" and has \"b=2)]\""),
        (
            "[f(a=1) g()]",
            "calls of a list must be separated by commas",
        ),
        ("[f(a=1), 2]", "it needs \"(\" and has \"]\""),
        ("[f(a=\"x", "the answer ended inside it"),
        ("<|python_start|>[f(a=1)", "the answer ended inside it"),
        (
            "<|python_start|>f(a=1, 2)<|python_end|>",
            "its arguments must have names",
        ),
        (
            "{\"name\": \"f\", \"parameters\": [1]}",
            "its arguments are no JSON object",
        ),
        (
            "{\"name\": \"f\", \"parameters\": {",
            "the answer ended inside it",
        ),
    ] {
        let read = read(Llama4, answer);
        assert_eq!(read, [format!("bad {reason}")], "{answer}");
    }
}

#[test]
fn text_comes_as_soon_as_it_can_be_no_call() {
    let mut parser = OutputParser::new(&grammar(Some(Llama4)));
    assert_eq!(parser.push("[Not"), []);
    assert_eq!(parser.push("e] th"), [Part::Text("[Note] th".into())]);
    assert_eq!(parser.push("at"), [Part::Text("at".into())]);
}
