//! Golden answers of each family's format.

use engine_core::ToolFormat::{
    Cohere, DeepSeek, Gemma, Gemma4, Hermes, Jamba, Json, Lfm2, Llama3, Llama4, Mistral, Phi4Mini,
    SeedOss,
};
use engine_runtime::{OutputParser, Part};

use super::{arguments, covered, grammar, parts, read, read_all};

#[test]
fn hermes_calls_stand_between_tags() {
    assert_eq!(
        read(
            Hermes,
            "<think>\nThey want it.\n</think>\n\nLet me look.\n<tool_call>\n{\"name\": \"time\", \
             \"arguments\": {\"zone\": \"CET\"}}\n</tool_call>\n<tool_call>\n{\"name\": \"date\", \
             \"arguments\": {}}\n</tool_call>",
        ),
        [
            "think \"They want it.\"",
            "text \"Let me look.\\n\"",
            "call time{\"zone\":\"CET\"}",
            "text \"\\n\"",
            "call date{}",
        ]
    );
}

#[test]
fn a_closing_tag_inside_an_argument_is_part_of_it() {
    let answer =
        r#"<tool_call>{"name": "say", "arguments": {"text": "a </tool_call> \" b"}}</tool_call>!"#;
    assert_eq!(
        read(Hermes, answer),
        [r#"call say{"text":"a </tool_call> \" b"}"#, "text \"!\""]
    );
}

#[test]
fn a_call_keeps_the_text_that_it_was_written_as() {
    let answer = "x<tool_call>{\"name\": \"f\"}</tool_call>";
    let parts = parts(&grammar(Some(Hermes)), [answer]);
    let Some(Part::Call(call)) = parts.last() else {
        panic!("{parts:?}");
    };
    assert_eq!(call.text, &answer[1..]);
    assert_eq!((&call.id, call.untyped), (&None, false));
}

#[test]
fn the_last_closing_tag_may_be_missing() {
    assert_eq!(
        read(
            Hermes,
            "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n"
        ),
        ["call f{}"]
    );
}

#[test]
fn qwen_coder_writes_parameters_as_text() {
    let answer = "<tool_call>\n<function=write>\n<parameter=path>\na.txt\n</parameter>\n\
                  <parameter=text>\n1\n 2\n</parameter>\n</function>\n</tool_call>";
    let parts = parts(&grammar(Some(Hermes)), [answer]);
    let Some(Part::Call(call)) = parts.last() else {
        panic!("{parts:?}");
    };
    assert_eq!(call.name, "write");
    assert!(call.untyped);
    assert_eq!(
        call.arguments,
        arguments(r#"{"path": "a.txt", "text": "1\n 2"}"#)
    );
}

#[test]
fn glm_writes_keys_and_values() {
    let answer = "<tool_call>time\n<arg_key>zone</arg_key>\n<arg_value>CET</arg_value>\n\
                  <arg_key>days</arg_key>\n<arg_value>3</arg_value>\n</tool_call>";
    assert_eq!(
        read(Hermes, answer),
        [r#"call time{"zone":"CET","days":"3"}"#]
    );
}

#[test]
fn malformed_calls_between_tags_say_why() {
    for (answer, reason) in [
        ("<tool_call>{\"name\": 1}</tool_call>", "it has no \"name\""),
        ("<tool_call>{\"name\": }</tool_call>", "it is no JSON: "),
        ("<tool_call>[1]</tool_call>", "it is no JSON object"),
        ("<tool_call>\n</tool_call>", "it is no JSON object, and"),
        ("<tool_call>[]</tool_call>", "it is empty"),
        (
            "<tool_call>{\"name\": \"f\", \"arguments\": [1]}</tool_call>",
            "its arguments are no JSON object",
        ),
        (
            "<tool_call><function=f></tool_call>",
            "it needs </function>",
        ),
        (
            "<tool_call>f<arg_key>k</arg_key></tool_call>",
            "it is no JSON object, and",
        ),
        (
            "<tool_call>{\"name\": \"f\", \"argu",
            "the answer ended inside it",
        ),
        ("<tool_call>time", "the answer ended inside it"),
    ] {
        let read = read(Hermes, answer);
        assert_eq!(read.len(), 1, "{answer}: {read:?}");
        assert!(read[0].starts_with(&format!("bad {reason}")), "{read:?}");
    }
}

#[test]
fn mistral_calls_are_a_list_or_a_name_with_arguments() {
    assert_eq!(
        read(
            Mistral,
            "[TOOL_CALLS] [{\"name\": \"time\", \"arguments\": {\"zone\": \"CET\"}, \"id\": \
             \"abcdefghi\"}, {\"name\": \"date\", \"arguments\": {}}]",
        ),
        ["call time#abcdefghi{\"zone\":\"CET\"}", "call date{}"]
    );
    assert_eq!(
        read(
            Mistral,
            "Well.[TOOL_CALLS]time[ARGS]{\"zone\": \"[CET]\"}[TOOL_CALLS]date[CALL_ID]abc123def\
             [ARGS]{}",
        ),
        [
            "text \"Well.\"",
            "call time{\"zone\":\"[CET]\"}",
            "call date#abc123def{}"
        ]
    );
    assert_eq!(
        read(Mistral, "[TOOL_CALLS]time{\"zone\": 1} and"),
        ["call time{\"zone\":1}", "text \" and\""]
    );
}

#[test]
fn malformed_calls_of_mistral_say_why() {
    for (answer, expected) in [
        (
            "[TOOL_CALLS]!",
            &[
                "bad neither a list nor the name of a tool follows",
                "text \"!\"",
            ][..],
        ),
        (
            "[TOOL_CALLS]time? no",
            &[
                "bad no JSON object follows the name of the tool",
                "text \"? no\"",
            ],
        ),
        ("[TOOL_CALLS]time", &["bad the answer ended inside it"]),
        ("[TOOL_CALLS]", &["bad the answer ended inside it"]),
        (
            "[TOOL_CALLS][{\"name\"",
            &["bad the answer ended inside it"],
        ),
        (
            "[TOOL_CALLS][1] x",
            &["bad it is no JSON object", "text \" x\""],
        ),
    ] {
        assert_eq!(read(Mistral, answer), expected, "{answer}");
    }
}

#[test]
fn a_word_without_end_begins_no_call() {
    let word = "é".repeat(400);
    for (format, before) in [
        (Gemma, "["),
        (Gemma, "[f("),
        (Llama4, "["),
        (Llama4, "[f( "),
    ] {
        let answer = format!("{before}{word}");
        let mut parser = OutputParser::new(&grammar(Some(format)));
        assert_eq!(parser.push(&answer), [Part::Text(answer.clone())]);
        assert_eq!(read(format, &answer), [format!("text {answer:?}")]);
    }
    for before in ["[TOOL_CALLS]", "[TOOL_CALLS]f[CALL_ID]"] {
        let answer = format!("{before}{word}");
        let mut parser = OutputParser::new(&grammar(Some(Mistral)));
        let given = parser.push(&answer);
        assert_eq!(covered(&given), answer);
        let read = read(Mistral, &answer);
        assert_eq!(
            read[0],
            "bad neither a list nor arguments follow soon enough"
        );
        assert_eq!(read.len(), 2, "{read:?}");
    }
}

#[test]
fn llama_calls_begin_the_answer() {
    assert_eq!(
        read(
            Llama3,
            "{\"name\": \"time\", \"parameters\": {\"zone\": \"CET\"}}; {\"name\": \"date\", \
             \"parameters\": {}}",
        ),
        ["call time{\"zone\":\"CET\"}", "call date{}"]
    );
    assert_eq!(
        read(
            Llama3,
            "\n{\"type\": \"function\", \"function\": {\"name\": \"time\", \"parameters\": {}}}",
        ),
        ["call time{}"]
    );
    assert_eq!(
        read(
            Llama3,
            "Look: <|python_tag|>{\"name\": \"time\", \"parameters\": {}}",
        ),
        ["text \"Look: \"", "call time{}"]
    );
    assert_eq!(
        read(
            Llama3,
            "<|python_tag|>brave_search.call(query=\"x y\", n=2)"
        ),
        ["call brave_search.call{\"query\":\"x y\",\"n\":2}"]
    );
}

#[test]
fn an_answer_of_json_that_is_no_call_is_text() {
    for format in [Llama3, Json, Gemma] {
        for answer in [
            "{\"name\": \"Ada\", \"born\": 1815}",
            "{\"answer\": {\"name\": \"f\", \"arguments\": {}}}",
            "{\"answer\": 1, \"name\": \"f\", \"arguments\": {}}",
            "{\"name\": \"cut o",
            "{}",
            "{",
            "{not JSON}",
            "[\"name\", \"arguments\"]",
            "[1, 2]",
            "Use {\"name\": \"f\", \"arguments\": {}}",
        ] {
            let expected = format!("text {answer:?}");
            assert_eq!(read(format, answer), [expected], "{format:?}");
        }
    }
}

#[test]
fn text_comes_at_once_where_json_can_be_no_call() {
    let mut parser = engine_runtime::OutputParser::new(&grammar(Some(Llama3)));
    assert_eq!(parser.push("{\"na"), []);
    assert_eq!(parser.push("tion"), [Part::Text("{\"nation".into())]);
    assert_eq!(parser.push("\": \"F"), [Part::Text("\": \"F".into())]);
}

#[test]
fn a_list_of_objects_may_stand_behind_the_python_tag() {
    assert_eq!(
        read_all(
            Llama3,
            "<|python_tag|> [{\"name\": \"time\", \"parameters\": {\"zone\": \"CET\"}}, {\"name\": \
             \"date\", \"parameters\": {}}]; {\"name\": \"now\", \"parameters\": {}} Done.",
        ),
        [
            "shows time{\"zone\": \"CET\"}",
            "shows date{}",
            "call time{\"zone\":\"CET\"}",
            "call date{}",
            "shows now{}",
            "call now{}",
            "text \" Done.\""
        ]
    );
}

#[test]
fn python_behind_its_tag_that_is_no_call_says_why() {
    for (answer, reason) in [
        ("<|python_tag|>import os", "it needs \"(\""),
        ("<|python_tag|>f(1)", "its arguments must have names"),
        ("<|python_tag|>f(x=y)", "\"y)\" is no value"),
        ("<|python_tag|>f(x=\"y", "a text has no end"),
        (
            "<|python_tag|>{\"name\": \"f\"",
            "the answer ended inside it",
        ),
        (
            "<|python_tag|>[{\"name\": \"f\"}",
            "the answer ended inside it",
        ),
        ("<|python_tag|>[", "the answer ended inside it"),
        ("<|python_tag|>[1, 2]", "it is no JSON object"),
    ] {
        let read = read(Llama3, answer);
        assert_eq!(read.len(), 1, "{read:?}");
        assert!(read[0].starts_with(&format!("bad {reason}")), "{read:?}");
    }
}

#[test]
fn gemma_calls_stand_in_blocks_or_begin_the_answer() {
    assert_eq!(
        read(
            Gemma,
            "Sure.\n```tool_code\ntime(zone='CET', at=[1, 2.5, None], exact=True)\n```\nDone.",
        ),
        [
            "text \"Sure.\\n\"",
            "call time{\"zone\":\"CET\",\"at\":[1,2.5,null],\"exact\":true}",
            "text \"\\nDone.\""
        ]
    );
    assert_eq!(
        read(Gemma, "[time(zone=\"CET\"), date()]"),
        ["call time{\"zone\":\"CET\"}", "call date{}"]
    );
    assert_eq!(
        read(
            Gemma,
            "```json\n[{\"name\": \"time\", \"parameters\": {}}]\n```",
        ),
        ["call time{}"]
    );
    assert_eq!(
        read(
            Gemma,
            "{\"name\": \"time\", \"parameters\": {\"n\": {\"m\": 1}}}"
        ),
        ["call time{\"n\":{\"m\":1}}"]
    );
}

#[test]
fn a_block_of_json_that_is_no_call_is_text_and_one_of_tools_must_be_a_call() {
    let answer = "```json\n{\"a\": 1}\n```";
    assert_eq!(read(Gemma, answer), [format!("text {answer:?}")]);
    assert_eq!(read(Json, answer), [format!("text {answer:?}")]);
    assert_eq!(
        read(Gemma, "```tool_code\nprint 1\n```"),
        ["bad it needs \"(\" and has \"1\""]
    );
    assert_eq!(
        read(Gemma, "```tool_code\ntime("),
        ["bad the answer ended inside it"]
    );
}

#[test]
fn json_calls_are_an_object_or_a_list() {
    for answer in [
        "{\"name\": \"time\", \"arguments\": {}}",
        " [{\"name\": \"time\", \"arguments\": \"{}\"}]",
        "```json\n{\"tool\": \"time\", \"parameters\": null}\n```",
        "{\"id\": \"\", \"function\": {\"name\": \"time\", \"arguments\": {}}}",
    ] {
        assert_eq!(read(Json, answer), ["call time{}"], "{answer}");
    }
    assert_eq!(
        read(Json, "{\"name\": \"time\", \"arguments\": {\"zo"),
        ["bad the answer ended inside it"]
    );
}

#[test]
fn families_with_tags_of_their_own() {
    for (format, answer) in [
        (
            SeedOss,
            "<seed:tool_call>\n<function=time>\n<parameter=zone>CET</parameter>\n</function>\n\
             </seed:tool_call>",
        ),
        (
            DeepSeek,
            "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>time<｜tool▁sep｜>{\"zone\": \"CET\"}\
             <｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        ),
        (
            DeepSeek,
            "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>time\n```json\n\
             {\"zone\": \"CET\"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        ),
        (
            Cohere,
            "<|START_ACTION|>[{\"tool_call_id\": \"0\", \"tool_name\": \"time\", \"parameters\": \
             {\"zone\": \"CET\"}}]<|END_ACTION|>",
        ),
        (
            Jamba,
            "<tool_calls>[{\"name\": \"time\", \"arguments\": {\"zone\": \"CET\"}}]</tool_calls>",
        ),
        (
            Phi4Mini,
            "<|tool_call|>[{\"name\": \"time\", \"arguments\": {\"zone\": \"CET\"}}]<|/tool_call|>",
        ),
        (
            Lfm2,
            "<|tool_call_start|>[time(zone=\"CET\")]<|tool_call_end|>",
        ),
        (
            Gemma4,
            "<|tool_call>call:time{zone:<|\"|>CET<|\"|>}<tool_call|>",
        ),
    ] {
        assert_eq!(
            read(format, &format!("a{answer}b")),
            ["text \"a\"", "call time{\"zone\":\"CET\"}", "text \"b\""],
            "{answer}"
        );
    }
    assert_eq!(
        read(
            Gemma4,
            "<|tool_call>call:f{a:[1,-2.5,true,null],b:{c:<|\"|>}, <|\"|>}}<tool_call|>",
        ),
        ["call f{\"a\":[1,-2.5,true,null],\"b\":{\"c\":\"}, \"}}"]
    );
    assert_eq!(
        read(Gemma4, "<|tool_call>call:f{a:x}<tool_call|>"),
        ["bad \"x\" is no value"]
    );
}
