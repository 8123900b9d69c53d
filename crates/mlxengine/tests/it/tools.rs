//! A model at work with tools.

use std::{
    num::NonZeroU32,
    sync::{Arc, Mutex},
};

use futures_executor::block_on;
use mlxengine::{
    Error, Field, GenerationEvent, InferenceEngine, Message, PartialCompletion, Role, ToolBox,
    ToolCall, ToolChoice, ToolDefinition, ToolFormat, ToolRunFinish,
    mock::{MockBackend, MockBuilder, Script},
};
use serde_json::json;

use crate::mock::configuration;

const CALL: &str = r#"<tool_call>{"name": "time", "arguments": {"zone": "CET"}}</tool_call>"#;

fn load(mock: MockBuilder) -> InferenceEngine {
    let mock = Arc::new(mock.build().unwrap());
    let load = InferenceEngine::load(configuration()).with_backend(mock);
    block_on(load.into_future()).unwrap()
}

fn engine(script: Script) -> InferenceEngine {
    load(MockBackend::builder().scripted(script))
}

fn time() -> ToolDefinition {
    let parameters = json!({
        "type": "object",
        "properties": { "zone": { "type": "string" } },
        "required": ["zone"],
    });
    ToolDefinition::new("time", "The time in a zone.", parameters).unwrap()
}

/// Tells the time of any zone, and remembers which were asked for.
fn clock(asked: &Arc<Mutex<Vec<String>>>) -> ToolBox {
    let asked = Arc::clone(asked);
    ToolBox::new().with_fn(time(), move |call: ToolCall| {
        let zone = call.arguments["zone"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        asked.lock().unwrap().push(zone.clone());
        async move {
            match zone.as_str() {
                "nowhere" => Err("there is no such zone".into()),
                _ => Ok("12:00".to_owned()),
            }
        }
    })
}

fn question() -> Vec<Message> {
    vec![Message::user("What time is it?")]
}

fn roles(messages: &[Message]) -> Vec<Role> {
    messages.iter().map(|message| message.role).collect()
}

#[test]
fn calls_are_carried_out_until_there_is_an_answer() {
    let engine = engine(
        Script::new()
            .when("12:00", "Noon.")
            .reply(format!("Wait.{CALL}")),
    );
    let asked = Arc::default();
    let texts = Arc::new(Mutex::new(String::new()));
    let seen = Arc::clone(&texts);
    let run = engine
        .use_tools(question(), clock(&asked))
        .events(move |event| {
            if let GenerationEvent::Delta { text, .. } = event {
                seen.lock().unwrap().push_str(text);
            }
        })
        .run();
    let run = block_on(run).unwrap();
    assert_eq!(run.finish, ToolRunFinish::Answered);
    assert_eq!((run.answer.text.as_str(), run.steps), ("Noon.", 2));
    assert_eq!(*asked.lock().unwrap(), ["CET"]);
    assert_eq!(*texts.lock().unwrap(), "Wait.Noon.");
    let [_, call, result, answer] = run.messages.as_slice() else {
        panic!("{:?}", run.messages);
    };
    assert_eq!((call.content.as_str(), call.tool_calls.len()), ("Wait.", 1));
    assert_eq!(result, &Message::tool_result(&call.tool_calls[0], "12:00"));
    assert_eq!(answer, &Message::assistant("Noon."));
}

#[test]
fn a_call_is_shown_while_it_is_written() {
    let unknown = r#"<tool_call>{"name": "date", "arguments": {"a": 1}}</tool_call>"#;
    let engine = engine(
        Script::new()
            .when("error: ", "Noon.")
            .reply(format!("{CALL}\n{unknown}")),
    );
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&events);
    let run = engine
        .use_tools(question(), clock(&Arc::default()))
        .events(move |event| seen.lock().unwrap().push(event.clone()))
        .run();
    let run = block_on(run).unwrap();
    assert_eq!(run.answer.text, "Noon.");
    let mut answer = PartialCompletion::default();
    let mut shown = Vec::new();
    for event in events.lock().unwrap().drain(..) {
        let done = matches!(event, GenerationEvent::Done(_));
        let is_call = matches!(event, GenerationEvent::ToolCall { .. });
        let before = answer.tool_call_previews().to_vec();
        answer.add(event);
        if is_call {
            let preview = &before[0];
            assert_eq!((preview.index, preview.name.as_str()), (0, "time"));
            assert_eq!(preview.arguments, r#"{"zone": "CET"}"#);
        }
        for preview in answer.tool_call_previews() {
            shown.push(format!("{}{}", preview.name, preview.arguments));
        }
        if done {
            assert_eq!(answer.tool_call_previews(), []);
        }
    }
    // The mock writes a few characters at a time.
    assert!(shown.iter().any(|text| text == "time"), "{shown:?}");
    let begun = r#"time{"zone": ""#;
    assert!(
        shown.iter().any(|text| text.starts_with(begun)),
        "{shown:?}"
    );
    assert!(shown.iter().any(|text| text.starts_with("date")));
}

#[test]
fn a_model_that_never_stops_calling_reaches_the_limit() {
    let engine = engine(Script::new().reply(CALL));
    let asked = Arc::default();
    let run = engine
        .use_tools(question(), clock(&asked))
        .max_steps(NonZeroU32::new(3).unwrap())
        .run();
    let run = block_on(run).unwrap();
    assert_eq!((run.finish, run.steps), (ToolRunFinish::StepLimit, 3));
    // The calls of the last answer are not carried out.
    assert_eq!(asked.lock().unwrap().len(), 2);
    let expected = [
        Role::User,
        Role::Assistant,
        Role::Tool,
        Role::Assistant,
        Role::Tool,
        Role::Assistant,
    ];
    assert_eq!(roles(&run.messages), expected);
    let calls: Vec<_> = run.messages.iter().flat_map(|m| &m.tool_calls).collect();
    assert_eq!(calls.len(), 3);
    assert!(calls.windows(2).all(|pair| pair[0].id != pair[1].id));
}

#[test]
fn errors_of_tools_and_calls_that_do_not_fit_are_told_to_the_model() {
    let wrong = r#"<tool_call>{"name": "time", "arguments": {}}</tool_call>"#;
    let unknown = r#"<tool_call>{"name": "date", "arguments": {}}</tool_call>"#;
    let nowhere = CALL.replace("CET", "nowhere");
    for (reply, expected) in [
        (wrong, "error: the arguments of \"time\" don't fit"),
        (unknown, "error: there is no tool named \"date\""),
        (nowhere.as_str(), "error: there is no such zone"),
    ] {
        let script = Script::new().when("error: ", "I can't.").reply(reply);
        let run = engine(script)
            .use_tools(question(), clock(&Arc::default()))
            .run();
        let run = block_on(run).unwrap();
        assert_eq!(run.answer.text, "I can't.", "{reply}");
        assert_eq!(run.messages[1].content, "");
        let result = &run.messages[2].content;
        assert!(result.starts_with(expected), "{result}");
    }
}

#[test]
fn a_call_that_cannot_be_read_ends_the_work_and_says_so() {
    let engine = engine(Script::new().reply("<tool_call>{</tool_call>"));
    let run = engine.use_tools(question(), clock(&Arc::default())).run();
    let run = block_on(run).unwrap();
    assert_eq!((run.finish, run.steps), (ToolRunFinish::UnreadableCall, 1));
    assert_eq!(run.answer.invalid_tool_calls.len(), 1);
    assert_eq!(run.messages[1].content, "<tool_call>{</tool_call>");
}

#[test]
fn an_error_of_the_engine_ends_the_work() {
    let script = Script::new().reply(CALL);
    let mock = MockBackend::builder().scripted(script);
    let engine = load(mock.chat_template("{{ '<|im_start|>assistant\\n' }}"));
    let run = engine.use_tools(question(), clock(&Arc::default())).run();
    assert!(matches!(
        block_on(run),
        Err(Error::UnsupportedByModel {
            field: Field::Tools,
            ..
        })
    ));
}

#[test]
fn a_tool_that_must_be_called_is_called_once_and_then_the_model_answers() {
    let parameters = json!({
        "type": "object",
        "properties": { "zone": { "enum": ["CET"] } },
        "required": ["zone"],
        "additionalProperties": false,
    });
    let time = ToolDefinition::new("time", "The time in a zone.", parameters).unwrap();
    for choice in [ToolChoice::Required, ToolChoice::Named("time".into())] {
        let tools = ToolBox::new().with_fn(time.clone(), |_| async { Ok("12:00".to_owned()) });
        let script = Script::new().when("12:00", "Noon.").reply("I won't call.");
        let run = engine(script).use_tools(question(), tools).choice(choice);
        let run = block_on(run.run()).unwrap();
        assert_eq!(run.finish, ToolRunFinish::Answered);
        assert_eq!((run.answer.text.as_str(), run.steps), ("Noon.", 2));
        assert_eq!(run.messages[1].content, "");
        assert_eq!(run.messages[1].tool_calls[0].name, "time");
    }
}

#[test]
fn what_looks_like_a_call_is_text_where_no_tool_may_be_called() {
    let asked = Arc::default();
    let run = engine(Script::new().reply(CALL))
        .use_tools(question(), clock(&asked))
        .choice(ToolChoice::None)
        .run();
    let run = block_on(run).unwrap();
    assert_eq!((run.finish, run.steps), (ToolRunFinish::Answered, 1));
    assert!(run.answer.text.contains("CET"), "{:?}", run.answer);
    assert!(asked.lock().unwrap().is_empty());
}

#[test]
fn the_format_can_be_given() {
    let script = Script::new()
        .when("12:00", "Noon.")
        .reply(r#"[TOOL_CALLS]time[ARGS]{"zone": "CET"}"#);
    let run = engine(script)
        .use_tools(question(), clock(&Arc::default()))
        .format(ToolFormat::Mistral)
        .run();
    assert_eq!(block_on(run).unwrap().answer.text, "Noon.");
}

#[cfg(feature = "schemars")]
#[test]
fn a_type_describes_a_tool() {
    #[derive(schemars::JsonSchema, serde::Deserialize)]
    struct Weather {
        /// The city's name.
        city: String,
        #[serde(default)]
        unit: Option<Unit>,
    }

    #[derive(Debug, schemars::JsonSchema, serde::Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Unit {
        Celsius,
        Fahrenheit,
    }

    let tools = ToolBox::new()
        .with_typed("weather", "The weather.", |weather: Weather| async move {
            Ok(format!("{} {:?}", weather.city, weather.unit))
        })
        .unwrap();
    let schema = json!(tools.definitions()[0].parameters());
    assert_eq!(
        schema["properties"]["city"]["description"],
        "The city's name."
    );
    assert_eq!(schema["required"], json!(["city"]));
    for absent in ["$schema", "$defs", "title"] {
        assert_eq!(schema.get(absent), None);
    }
    let call = json!({ "name": "weather", "arguments": { "city": "Rome", "unit": "celsius" } });
    let script = Script::new()
        .when("Rome Some(Celsius)", "Warm.")
        .reply(format!("<tool_call>{call}</tool_call>"));
    let run = engine(script).use_tools(question(), tools).run();
    assert_eq!(block_on(run).unwrap().answer.text, "Warm.");
}
