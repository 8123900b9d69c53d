//! Calls that are shown while they are written.

use engine_core::ToolFormat::{
    self, Cohere, DeepSeek, Gemma, Gemma4, Glm4, Harmony, Hermes, Jamba, Json, Lfm2, Llama3,
    Llama4, Mistral, Phi4Mini, SeedOss,
};
use engine_runtime::{OutputParser, Part};

use super::{grammar, read_all};

/// Parts of the pieces that each piece gives.
fn pieces(format: ToolFormat, answer: &[&str]) -> Vec<Vec<Part>> {
    let mut parser = OutputParser::new(&grammar(Some(format)));
    answer.iter().map(|piece| parser.push(piece)).collect()
}

fn shows(name: Option<&str>, arguments: &str) -> Part {
    Part::CallDelta {
        name: name.map(str::to_owned),
        arguments: arguments.to_owned(),
    }
}

#[test]
fn the_name_and_the_arguments_come_as_they_are_written() {
    let given = pieces(
        Hermes,
        &[
            "<tool_call>\n{\"name\": \"ti",
            "me\"",
            ", \"arguments\": ",
            "{\"zo",
            "ne\": \"CET",
            "\"}}\n</tool",
        ],
    );
    assert_eq!(
        given,
        [
            vec![],
            vec![shows(Some("time"), "")],
            vec![],
            vec![shows(None, "{\"zo")],
            vec![shows(None, "ne\": \"CET")],
            vec![shows(None, "\"}")],
        ]
    );
}

#[test]
fn formats_with_json_show_all_of_the_arguments() {
    let arguments = r#"{"zone": "a}\"]{</tool_call>é", "n": [1, {"b": null}]}"#;
    for (format, answer) in [
        (
            Hermes,
            "<tool_call>{\"name\": \"time\", \"arguments\": ARGS}</tool_call>",
        ),
        (
            Hermes,
            "<tool_call>{\"arguments\": ARGS, \"name\": \"time\"}</tool_call>",
        ),
        (
            Hermes,
            "<tool_call>{\"id\": \"7\", \"type\": \"function\", \"function\": {\"name\": \
                  \"time\", \"arguments\": ARGS}}</tool_call>",
        ),
        (Llama3, "{\"name\": \"time\", \"parameters\": ARGS}"),
        (
            Llama3,
            "<|python_tag|>{\"name\": \"time\", \"parameters\": ARGS}",
        ),
        (Llama4, "{\"name\": \"time\", \"parameters\": ARGS}"),
        (
            Llama4,
            "<|python_start|>{\"name\": \"time\", \"parameters\": ARGS}<|python_end|>",
        ),
        (Glm4, "time\nARGS"),
        (
            Mistral,
            "[TOOL_CALLS][{\"name\": \"time\", \"arguments\": ARGS}]",
        ),
        (Mistral, "[TOOL_CALLS]time[CALL_ID]abc[ARGS]ARGS"),
        (Mistral, "[TOOL_CALLS]timeARGS"),
        (Gemma, "{\"name\": \"time\", \"parameters\": ARGS}"),
        (
            Gemma,
            "```json\n[{\"name\": \"time\", \"parameters\": ARGS}]\n```",
        ),
        (
            Gemma,
            "```tool_code\n{\"name\": \"time\", \"parameters\": ARGS}\n```",
        ),
        (Json, "[{\"tool\": \"time\", \"arguments\": ARGS}]"),
        (
            Harmony,
            "<|channel|>commentary to=functions.time <|constrain|>json<|message|>ARGS\
                   <|call|>",
        ),
        (
            DeepSeek,
            "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>time<｜tool▁sep｜>ARGS\
                    <｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        ),
        (
            DeepSeek,
            "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>time\n\
                    ```json\nARGS\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        ),
        (
            Cohere,
            "<|START_ACTION|>[{\"tool_call_id\": \"0\", \"tool_name\": \"time\", \
                  \"parameters\": ARGS}]<|END_ACTION|>",
        ),
        (
            Jamba,
            "<tool_calls>[{\"name\": \"time\", \"arguments\": ARGS}]</tool_calls>",
        ),
        (
            Phi4Mini,
            "<|tool_call|>[{\"name\": \"time\", \"arguments\": ARGS}]<|/tool_call|>",
        ),
    ] {
        let answer = answer
            .replace("[ARGS]ARGS", "[!]ARGS")
            .replace("ARGS", arguments)
            .replace("[!]", "[ARGS]");
        let read = read_all(format, &answer);
        assert_eq!(read.len(), 2, "{answer}: {read:?}");
        assert_eq!(read[0], format!("shows time{arguments}"), "{answer}");
        assert!(read[1].starts_with("call time"), "{answer}: {read:?}");
    }
}

#[test]
fn other_formats_show_the_name() {
    for (format, answer) in [
        (
            Hermes,
            "<tool_call><function=time>\n<parameter=zone>CET</parameter></function></tool_call>",
        ),
        (
            Hermes,
            "<tool_call>time\n<arg_key>zone</arg_key><arg_value>CET</arg_value></tool_call>",
        ),
        (
            SeedOss,
            "<seed:tool_call><function=time></function></seed:tool_call>",
        ),
        (
            Lfm2,
            "<|tool_call_start|>[time(zone=\"CET\")]<|tool_call_end|>",
        ),
        (
            Gemma4,
            "<|tool_call>call:time{zone:<|\"|>CET<|\"|>}<tool_call|>",
        ),
        (Gemma, "[time(zone='CET')]"),
        (Gemma, "```tool_code\ntime(zone='CET')\n```"),
        (Llama3, "<|python_tag|>time(zone='CET')"),
        (Llama4, "[time(zone='CET')]"),
        (Llama4, "<|python_start|>time(zone='CET')<|python_end|>"),
        (Glm4, "time\n{'zone': 'CET'}"),
        // A text of JSON in JSON.
        (
            Hermes,
            "<tool_call>{\"name\": \"time\", \"arguments\": \"{}\"}</tool_call>",
        ),
        (Hermes, "<tool_call>{\"name\": \"time\"}</tool_call>"),
    ] {
        let read = read_all(format, answer);
        assert_eq!(read.len(), 2, "{answer}: {read:?}");
        assert_eq!(read[0], "shows time", "{answer}");
        assert!(read[1].starts_with("call time"), "{answer}: {read:?}");
    }
}

#[test]
fn calls_that_are_written_as_one_are_shown_one_after_another() {
    assert_eq!(
        read_all(
            Mistral,
            "[TOOL_CALLS][{\"name\": \"a\", \"arguments\": {\"x\": 1}}, {\"name\": \"b\", \
             \"arguments\": {}}]",
        ),
        [
            "shows a{\"x\": 1}",
            "shows b{}",
            "call a{\"x\":1}",
            "call b{}"
        ]
    );
    assert_eq!(
        read_all(
            DeepSeek,
            "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>a<｜tool▁sep｜>{}<｜tool▁call▁end｜>\n\
             <｜tool▁call▁begin｜>b<｜tool▁sep｜>{\"x\": 1}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        ),
        [
            "shows a{}",
            "shows b{\"x\": 1}",
            "call a{}",
            "call b{\"x\":1}"
        ]
    );
}

#[test]
fn what_is_shown_and_turns_out_to_be_no_call_is_malformed() {
    for (format, answer, shown, reason) in [
        (
            Hermes,
            "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": }}</tool_call>",
            "shows f{\"a\": }",
            "it is no JSON: ",
        ),
        (
            Hermes,
            "<tool_call>{\"name\": \"f\", \"arguments\": {\"a",
            "shows f{\"a",
            "the answer ended inside it",
        ),
        (
            Llama3,
            "{\"name\": \"f\", \"parameters\": {\"a\": }}",
            "shows f{\"a\": }",
            "it is no JSON: ",
        ),
        (
            Gemma,
            "```json\n{\"name\": \"f\", \"parameters\": {\"a\": }}\n```",
            "shows f{\"a\": }",
            "it is no JSON: ",
        ),
        (
            Harmony,
            "<|channel|>commentary to=functions.f<|message|>{\"zo<|call|>",
            "shows f{\"zo",
            "its arguments are no JSON: ",
        ),
        (
            Glm4,
            "f\n{\"a\": x}",
            "shows f{\"a\": x}",
            "its arguments are no JSON: ",
        ),
        // A call may not say one thing first and another in the end.
        (
            Hermes,
            "<tool_call>{\"name\": \"f\", \"name\": \"g\", \"arguments\": {}}</tool_call>",
            "shows f{}",
            "it names two tools, \"f\" and \"g\"",
        ),
        (
            Hermes,
            "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1}, \"arguments\": {\"a\": 2}}\
             </tool_call>",
            "shows f{\"a\": 1}",
            "it gives arguments of \"f\" twice, and they differ",
        ),
        (
            Json,
            "{\"name\": \"f\", \"parameters\": {}, \"arguments\": {\"a\": 1}}",
            "shows f{}",
            "it gives arguments of \"f\" twice, and they differ",
        ),
        (
            Llama3,
            "<|python_tag|>[{\"name\": \"f\", \"parameters\": {\"a\": }}]",
            "shows f{\"a\": }",
            "it is no JSON: ",
        ),
        (
            Llama3,
            "<|python_tag|>[{\"name\": \"f\", \"parameters\": {\"a",
            "shows f{\"a",
            "the answer ended inside it",
        ),
    ] {
        let read = read_all(format, answer);
        assert_eq!(read.len(), 2, "{answer}: {read:?}");
        assert_eq!(read[0], shown, "{answer}");
        assert!(read[1].starts_with(&format!("bad {reason}")), "{read:?}");
    }
}

#[test]
fn a_call_may_say_the_same_twice() {
    assert_eq!(
        read_all(
            Hermes,
            "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1}, \"name\": \"f\", \"arguments\": \
             {\"a\":1}}</tool_call>",
        ),
        ["shows f{\"a\": 1}", "call f{\"a\":1}"]
    );
}

#[test]
fn arguments_that_are_null_count_for_nothing_beside_others() {
    for (format, answer) in [
        (
            Json,
            "{\"name\": \"f\", \"arguments\": null, \"parameters\": {\"a\": 1}}",
        ),
        (
            Hermes,
            "<tool_call>{\"name\": \"f\", \"parameters\": {\"a\": 1}, \"arguments\": null}\
             </tool_call>",
        ),
    ] {
        assert_eq!(
            read_all(format, answer),
            ["shows f{\"a\": 1}", "call f{\"a\":1}"]
        );
    }
    assert_eq!(
        read_all(
            Json,
            "{\"name\": \"f\", \"arguments\": null, \"parameters\": null}"
        ),
        ["shows f", "call f{}"]
    );
}

#[test]
fn a_name_that_does_not_end_is_not_shown() {
    let long = "name".repeat(100);
    for (format, answer) in [
        (Hermes, "<tool_call><function=NAME></function></tool_call>"),
        (
            Hermes,
            "<tool_call>NAME\n<arg_key>a</arg_key><arg_value>1</arg_value></tool_call>",
        ),
        (Gemma4, "<|tool_call>call:NAME{}<tool_call|>"),
        (Llama3, "<|python_tag|>NAME()"),
    ] {
        let read = read_all(format, &answer.replace("NAME", &long));
        assert_eq!(read.len(), 1, "{read:?}");
        assert!(read[0].starts_with(&format!("call {long}{{")), "{read:?}");
    }
}

#[test]
fn text_that_may_be_a_call_is_not_shown_as_one() {
    for (format, answer) in [
        (Llama3, "{\"name\": \"Ada\", \"born\": 1815}"),
        (Json, "[{\"name\": \"Ada\"}]"),
        (Gemma, "```python\nprint(1)\n```"),
        (Llama4, "[sin(x)]"),
        (Hermes, "{\"name\": \"f\", \"arguments\": {}}"),
    ] {
        assert_eq!(read_all(format, answer), [format!("text {answer:?}")]);
    }
}
