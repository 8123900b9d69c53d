//! Thoughts and calls of tools, from a script to the events.

use engine_core::{
    Completion, Constraint, Engine, EngineExt, Error, Field, FinishReason, GenerateParams,
    GenerateRequest, GenerationEvent, Message, ReasoningOptions, Result, ToolCallProblem,
    ToolChoice, ToolDefinition, ToolFormat, ToolOptions,
};
use engine_mock::{MockBackend, MockBuilder, Script};
use futures_executor::block_on;
use futures_util::StreamExt;
use serde_json::json;

use crate::support::load;

const CALL: &str =
    "<tool_call>{\"name\": \"time\", \"arguments\": {\"zone\": \"CET\"}}</tool_call>";

fn time() -> ToolDefinition {
    let parameters = json!({
        "type": "object",
        "properties": { "zone": { "type": "string" }, "days": { "type": "integer" } },
        "required": ["zone"],
    });
    ToolDefinition::new("time", "The time in a zone.", parameters).expect("a tool")
}

fn tools() -> ToolOptions {
    ToolOptions::new([time()])
}

fn saying(reply: &str) -> MockBuilder {
    MockBackend::builder().scripted(Script::new().reply(reply))
}

fn ask(tools: ToolOptions) -> GenerateRequest {
    GenerateRequest::chat([Message::user("What time is it?")])
        .with_params(GenerateParams::greedy())
        .with_tools(tools)
}

fn events(engine: &dyn Engine, request: GenerateRequest) -> Vec<GenerationEvent> {
    let stream = engine.stream(request).expect("a stream");
    block_on(stream.map(|event| event.expect("an event")).collect())
}

fn complete(mock: MockBuilder, request: GenerateRequest) -> Result<Completion> {
    block_on(load(mock).complete(request))
}

#[test]
fn thoughts_text_and_calls_are_events_of_their_own() {
    let engine = load(saying(&format!("<think>\nHm.\n</think>\n\nI look.{CALL}")));
    let mut seen: Vec<(&str, String)> = Vec::new();
    let mut delivered = Vec::new();
    let mut usage = None;
    let mut shown = String::new();
    for event in events(engine.as_ref(), ask(tools())) {
        let (kind, text, tokens) = match event {
            GenerationEvent::Prefill { .. } => continue,
            GenerationEvent::Reasoning { text, tokens, .. } => ("think", text, tokens),
            GenerationEvent::Delta { text, tokens, .. } => ("text", text, tokens),
            GenerationEvent::ToolCallDelta {
                index: 0,
                name,
                arguments,
            } => {
                shown += &(name.unwrap_or_default() + &arguments);
                continue;
            }
            GenerationEvent::ToolCall {
                call, text, tokens, ..
            } => {
                assert_eq!(text, CALL);
                let arguments = serde_json::to_string(&call.arguments).expect("JSON");
                assert_eq!(
                    shown.replace("\": ", "\":"),
                    format!("{}{arguments}", call.name)
                );
                ("call", call.id + &call.name, tokens)
            }
            GenerationEvent::Done(summary) => {
                usage = Some(summary.usage);
                continue;
            }
            other => panic!("{other:?}"),
        };
        delivered.extend(tokens);
        match seen.last_mut() {
            Some((last, all)) if *last == kind => all.push_str(&text),
            _ => seen.push((kind, text)),
        }
    }
    assert_eq!(
        seen,
        [
            ("think", "Hm.".to_owned()),
            ("text", "I look.".to_owned()),
            ("call", "call00000time".to_owned()),
        ]
    );
    let usage = usage.expect("a summary");
    assert_eq!(usage.generated_tokens, delivered.len());
    let thought = engine.tokenize("<think>\nHm.\n</think>").expect("tokens");
    assert_eq!(usage.reasoning_tokens, thought.len());
    // Special tokens and all: what the events deliver is what the model wrote.
    let written = format!("<think>\nHm.\n</think>\n\nI look.{CALL}");
    assert_eq!(delivered, engine.tokenize(&written).expect("tokens"));
}

#[test]
fn text_streams_up_to_a_call() {
    let engine = load(saying(&format!("one two{CALL}three")));
    let mut texts = Vec::new();
    for event in events(engine.as_ref(), ask(tools())) {
        match event {
            GenerationEvent::Delta { text, .. } => texts.push(text),
            GenerationEvent::ToolCall { .. } => texts.push("CALL".to_owned()),
            _ => {}
        }
    }
    let call = texts
        .iter()
        .position(|text| text == "CALL")
        .expect("a call");
    assert_eq!(texts[..call].concat(), "one two");
    assert!(call > 3, "text came in {call} pieces");
    assert_eq!(texts[call + 1..].concat(), "three");
}

#[test]
fn a_call_that_cannot_be_carried_out_keeps_its_text_and_says_why() {
    for (reply, expected) in [
        (
            "<tool_call>{\"name\"</tool_call>",
            "the call can't be read: it is no JSON: ",
        ),
        (
            "<tool_call>{\"name\": \"weather\"}</tool_call>",
            "there is no tool named \"weather\"",
        ),
        (
            "<tool_call>{\"name\": \"time\", \"arguments\": {}}</tool_call>",
            "the arguments of \"time\" don't fit: \"zone\" is a required property",
        ),
        (
            "<tool_call>{\"name\": \"time\", \"arguments\": {\"zone\": \"x\", \"days\": \"y\"}}\
             </tool_call>",
            "the arguments of \"time\" don't fit: \"y\" is not of type \"integer\" at /days",
        ),
    ] {
        let answer = complete(saying(reply), ask(tools())).expect("an answer");
        assert_eq!(answer.tool_calls, []);
        assert_eq!(answer.text, reply);
        let [invalid] = answer.invalid_tool_calls.as_slice() else {
            panic!("{answer:?}");
        };
        assert_eq!(invalid.text, reply);
        assert!(invalid.to_string().starts_with(expected), "{invalid}");
        let is_readable = !matches!(invalid.problem, ToolCallProblem::Malformed { .. });
        assert_eq!(invalid.problem.call().is_some(), is_readable);
    }
}

#[test]
fn a_call_that_max_tokens_cuts_off_is_invalid() {
    let mut request = ask(tools());
    request.params.max_tokens = 20;
    let answer = complete(saying(CALL), request).expect("an answer");
    assert_eq!(answer.summary.finish, FinishReason::MaxTokens);
    assert_eq!(answer.tokens.len(), 20);
    assert_eq!(answer.invalid_tool_calls.len(), 1);
    assert!(CALL.starts_with(&answer.text) && !answer.text.is_empty());
}

#[test]
fn text_parameters_are_read_as_the_schema_says() {
    let reply = "<tool_call><function=time><parameter=zone>\n7\n</parameter><parameter=days>\n3\n\
                 </parameter></function></tool_call>";
    let answer = complete(saying(reply), ask(tools())).expect("an answer");
    let arguments = &answer.tool_calls[0].arguments;
    assert_eq!(json!(arguments), json!({ "zone": "7", "days": 3 }));
}

#[test]
fn without_tools_what_looks_like_a_call_is_text() {
    for tools in [
        ToolOptions::default(),
        tools().with_choice(ToolChoice::None),
    ] {
        let answer = complete(saying("say {\"name\": \"time\"}"), ask(tools)).expect("an answer");
        assert_eq!(answer.text, "say {\"name\": \"time\"}");
        assert_eq!(answer.tool_calls, []);
    }
}

#[test]
fn the_format_can_be_given() {
    let reply = "[TOOL_CALLS]time[ARGS]{\"zone\": \"CET\"}";
    let options = tools().with_format(ToolFormat::Mistral);
    let answer = complete(saying(reply), ask(options)).expect("an answer");
    assert_eq!(answer.tool_calls[0].name, "time");
    assert_eq!(answer.text, "");
}

#[test]
fn a_call_that_only_its_name_marks_is_told_from_code_by_the_tools() {
    for (reply, calls) in [("time\n{zone: CET}", 1), ("try\n{\n}", 0)] {
        let options = tools().with_format(ToolFormat::Glm4);
        let answer = complete(saying(reply), ask(options)).expect("an answer");
        assert_eq!(answer.invalid_tool_calls.len(), calls, "{reply}");
        assert_eq!(answer.text, reply);
    }
}

#[test]
fn a_chat_goes_on_with_the_result_of_a_call() {
    let script = Script::new().when("12:00", "It is noon.").reply(CALL);
    let engine = load(MockBackend::builder().scripted(script));
    let mut chat = vec![Message::user("What time is it?")];
    let request = |chat: &Vec<Message>| GenerateRequest::chat(chat.clone()).with_tools(tools());
    let answer = block_on(engine.complete(request(&chat))).expect("an answer");
    let call = answer.tool_calls[0].clone();
    chat.push(answer.into_message());
    chat.push(Message::tool_result(&call, "12:00"));
    let answer = block_on(engine.complete(request(&chat))).expect("an answer");
    assert_eq!(answer.text, "It is noon.");
    // Ids of a chat's calls differ.
    chat.pop();
    let answer = block_on(engine.complete(request(&chat))).expect("an answer");
    assert_eq!(answer.tool_calls[0].id, "call00001");
}

#[test]
fn tools_that_the_template_does_not_show_are_an_error_in_lenient_mode_too() {
    let plain = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n\
                 {% endfor %}{{ '<|im_start|>assistant\n' }}";
    let engine = load(saying(CALL).chat_template(plain));
    assert!(!engine.capabilities().fields.contains(Field::Tools));
    for request in [ask(tools()), ask(tools()).lenient()] {
        match engine.stream(request) {
            Err(Error::UnsupportedByModel { field, .. }) => assert_eq!(field, Field::Tools),
            other => panic!("{:?}", other.err()),
        }
    }
    // Where the messages describe them, the template need not.
    let answer = block_on(engine.complete(ask(tools().described_by_messages())));
    let answer = answer.expect("an answer");
    assert_eq!(answer.text + &answer.tool_calls.len().to_string(), "1");
}

#[test]
fn tools_that_the_template_shows_only_elsewhere_are_an_error_before_anything_is_generated() {
    let only_for_hello = "{% if tools and messages[0].content == 'Hello' %}{{ tools | tojson }}\
                          {% endif %}<|im_start|>assistant\n";
    let engine = load(saying(CALL).chat_template(only_for_hello));
    assert!(engine.capabilities().fields.contains(Field::Tools));
    let outcome = block_on(engine.complete(ask(tools())));
    assert!(matches!(
        outcome,
        Err(Error::UnsupportedByModel {
            field: Field::Tools,
            ..
        })
    ));
}

#[test]
fn a_tool_that_must_be_called_is_refused_and_can_be_ignored() {
    let gemma = "{{ tools }}tool_code{% for m in messages %}{{ m.content }}{% endfor %}";
    let engine = load(saying("No.").chat_template(gemma));
    let named = ToolChoice::Named("time".into());
    for choice in [ToolChoice::Required, named] {
        let request = ask(tools().with_choice(choice));
        match engine.stream(request.clone()) {
            Err(Error::Unsupported { field, .. }) => assert_eq!(field, Field::ToolChoice),
            other => panic!("{:?}", other.err()),
        }
        let answer = block_on(engine.complete(request.lenient())).expect("an answer");
        assert_eq!(answer.summary.ignored, [Field::ToolChoice]);
    }
}

#[test]
fn a_tool_that_must_be_called_is_called_wherever_tokens_are_chosen() {
    let parameters = json!({
        "type": "object",
        "properties": { "zone": { "enum": ["CET", "UTC"] } },
        "required": ["zone"],
        "additionalProperties": false,
    });
    let tools = ["date", "time"]
        .map(|name| ToolDefinition::new(name, "", parameters.clone()).expect("a tool"));
    for on_device in [false, true] {
        let engine = load(saying("No.").device_choice(on_device));
        let named = ToolChoice::Named("time".into());
        let request = ask(ToolOptions::new(tools.clone()).with_choice(named));
        let request = request.with_params(GenerateParams::greedy());
        let answer = block_on(engine.complete(request)).expect("an answer");
        assert_eq!(answer.text, "");
        let [call] = answer.tool_calls.as_slice() else {
            panic!("{answer:?}");
        };
        assert_eq!(call.name, "time");
        assert_eq!(answer.summary.finish, FinishReason::ConstraintMet);
    }
}

#[test]
fn a_schema_that_is_none_is_refused() {
    let broken = json!({ "type": "object", "properties": { "a": { "type": "no such type" } } });
    let tool = ToolDefinition::new("f", "", broken).expect("looks like a schema");
    let outcome = complete(saying("x"), ask(ToolOptions::new([tool])));
    assert!(matches!(
        outcome,
        Err(Error::InvalidParameter {
            field: Field::Tools,
            ..
        })
    ));
}

const THINKING: &str = "<think>\nLet me think about the time.\n</think>\n\nNoon.";

fn thinking(options: ReasoningOptions) -> GenerateRequest {
    ask(ToolOptions::default()).with_reasoning(options)
}

#[test]
fn thinking_can_be_turned_off_where_the_template_has_a_switch() {
    let on = ReasoningOptions::default().with_thinking(true);
    let off = ReasoningOptions::default().with_thinking(false);
    let engine = load(saying(THINKING));
    let answer = block_on(engine.complete(thinking(on))).expect("an answer");
    assert_eq!(
        answer.reasoning.as_deref(),
        Some("Let me think about the time.")
    );
    assert_eq!(answer.text, "Noon.");
    let answer = block_on(engine.complete(thinking(off))).expect("an answer");
    assert_eq!((answer.reasoning, answer.text.as_str()), (None, "Noon."));
    assert_eq!(answer.summary.usage.reasoning_tokens, 0);

    let no_switch = "<|im_start|>assistant\n";
    let engine = load(saying(THINKING).chat_template(no_switch));
    for options in [on, off] {
        let outcome = block_on(engine.complete(thinking(options)));
        assert!(matches!(
            outcome,
            Err(Error::UnsupportedByModel {
                field: Field::Thinking,
                ..
            })
        ));
    }
}

#[test]
fn a_template_that_opens_the_thought_itself_thinks_and_can_not_be_stopped() {
    let opens = "<|im_start|>assistant\n<think>\n";
    // The script's place in the chat is behind what the template wrote.
    let engine = load(saying(THINKING).chat_template(opens));
    let on = ReasoningOptions::default().with_thinking(true);
    let answer = block_on(engine.complete(thinking(on))).expect("an answer");
    assert_eq!(
        answer.reasoning.as_deref(),
        Some("Let me think about the time.")
    );
    assert_eq!(answer.text, "Noon.");
    let off = ReasoningOptions::default().with_thinking(false);
    assert!(block_on(engine.complete(thinking(off))).is_err());
}

/// What the template has opened ends before the answer, and only the answer has a form.
#[test]
fn a_constraint_holds_for_the_answer_and_not_for_the_thought_before_it() {
    let opens = "<|im_start|>assistant\n<think>\n";
    let reply = "<think>\nA number, say 1.\n</think>{\"a\":1}";
    let params = GenerateParams::greedy().with_constraint(Constraint::JsonObject);
    for budget in [None, Some(5)] {
        let engine = load(saying(reply).chat_template(opens));
        let mut options = ReasoningOptions::default();
        options.max_tokens = budget;
        let request = thinking(options).with_params(params.clone());
        let answer = block_on(engine.complete(request)).expect("an answer");
        let thought = answer.reasoning.unwrap_or_default();
        assert!("A number, say 1.".starts_with(&thought), "{thought:?}");
        assert!(thought.len() > 1, "{thought:?}");
        if budget.is_none() {
            assert_eq!(answer.text, "{\"a\":1}");
        }
        assert!(answer.text.starts_with('{'), "{:?}", answer.text);
    }
}

#[test]
fn probabilities_come_with_thoughts_and_calls_too() {
    let engine = load(saying(&format!("<think>\nHm.\n</think>\n\nI look.{CALL}")));
    let mut request = ask(tools());
    request.params.logprobs = Some(1);
    let mut counted = 0;
    for event in events(engine.as_ref(), request) {
        let (GenerationEvent::Delta {
            tokens, logprobs, ..
        }
        | GenerationEvent::Reasoning {
            tokens, logprobs, ..
        }
        | GenerationEvent::ToolCall {
            tokens, logprobs, ..
        }) = event
        else {
            continue;
        };
        assert_eq!(tokens.len(), logprobs.len());
        counted += tokens.len();
    }
    assert!(counted > 60, "only {counted} tokens");
}

#[test]
fn a_thought_ends_when_its_budget_is_spent() {
    for on_device in [false, true] {
        for most in [0_u32, 1, 2, 5, 10, 1000] {
            let engine = load(saying(THINKING).device_choice(on_device));
            let options = ReasoningOptions::default().with_max_tokens(most);
            let answer = block_on(engine.complete(thinking(options))).expect("an answer");
            let spent = answer.summary.usage.reasoning_tokens;
            let ending = engine.tokenize("\n</think>\n\n").expect("tokens").len();
            if most == 1000 {
                assert_eq!(answer.text, "Noon.");
            } else {
                // Two tokens of a thought and its end are what stands for no thought at all. Elsewhere
                // the answer has left the script, which then ends.
                assert_eq!(answer.text, if most == 2 { "Noon." } else { "" });
                assert!(spent <= most.max(1) as usize + ending, "{spent} for {most}");
                assert!(spent >= most as usize, "{spent} for {most}");
                let thought = answer.reasoning.unwrap_or_default();
                assert!("Let me think about the time.".starts_with(&thought));
            }
            assert_eq!(answer.tokens.len(), answer.summary.usage.generated_tokens);
        }
    }
}

#[test]
fn a_stop_string_ends_a_thought_and_a_call_too() {
    let mut request = ask(tools());
    request.params.stop = vec!["think about".into()];
    let answer = complete(saying(THINKING), request.clone()).expect("an answer");
    assert_eq!(answer.reasoning.as_deref(), Some("Let me "));
    assert_eq!(answer.text, "");
    request.params.stop = vec!["CET".into()];
    let answer = complete(saying(CALL), request).expect("an answer");
    assert_eq!(answer.invalid_tool_calls.len(), 1);
    assert_eq!(answer.text, CALL.split("CET").next().unwrap_or_default());
}

#[test]
fn plain_text_and_tokens_are_not_parted() {
    let engine = load(saying(THINKING));
    let request = GenerateRequest::text("time").with_params(GenerateParams::greedy());
    let answer = block_on(engine.complete(request)).expect("an answer");
    assert_eq!(answer.reasoning, None);
    assert_eq!(answer.text, "\nLet me think about the time.\n\n\nNoon.");
}
