//! Messages and calls of tools in JSON.

use engine_core::{Message, Role, ToolCall};
use serde_json::{Value, json};

fn call() -> ToolCall {
    let arguments = json!({ "zone": "Europe/Paris", "at": [1, 2.5, null], "exact": true });
    let Value::Object(arguments) = arguments else {
        unreachable!("an object");
    };
    ToolCall::new("call00000", "time", arguments)
}

fn read(message: &Value) -> Result<Message, String> {
    serde_json::from_value(message.clone()).map_err(|error| error.to_string())
}

#[test]
fn what_is_empty_is_absent() {
    let message = serde_json::to_value(Message::user("hi")).expect("JSON");
    assert_eq!(message, json!({ "role": "user", "content": "hi" }));
}

#[test]
fn a_chat_with_tools_survives_json() {
    let call = call();
    let chat = [
        Message::assistant("")
            .with_reasoning("They want the time.")
            .with_tool_calls([call.clone()]),
        Message::tool_result(&call, "12:00"),
    ];
    let json = serde_json::to_value(&chat).expect("JSON");
    assert_eq!(
        json,
        json!([
            {
                "role": "assistant",
                "content": "",
                "reasoning": "They want the time.",
                "tool_calls": [{
                    "id": "call00000",
                    "type": "function",
                    "function": {
                        "name": "time",
                        "arguments": r#"{"zone":"Europe/Paris","at":[1,2.5,null],"exact":true}"#,
                    },
                }],
            },
            { "role": "tool", "content": "12:00", "tool_call_id": "call00000", "name": "time" },
        ])
    );
    let back: Vec<Message> = serde_json::from_value(json).expect("messages");
    assert_eq!(back, chat);
}

#[test]
fn reads_the_forms_that_other_clients_write() {
    let message = read(&json!({
        "role": "assistant",
        "content": null,
        "reasoning_content": "Hm.",
        "tool_calls": [{ "function": { "name": "time", "arguments": { "b": 1, "a": 2 } } }],
    }))
    .expect("a message");
    assert_eq!(message.content, "");
    assert_eq!(message.reasoning.as_deref(), Some("Hm."));
    let keys: Vec<_> = message.tool_calls[0].arguments.keys().collect();
    assert_eq!(keys, ["b", "a"]);

    let parts = json!([{ "type": "text", "text": "one " }, { "type": "text", "text": "two" }]);
    let message = read(&json!({ "role": "user", "content": parts, "tool_calls": null }));
    assert_eq!(message, Ok(Message::user("one two")));
}

#[test]
fn refuses_content_that_is_not_text_and_says_so() {
    for (part, expected) in [
        (
            json!({ "type": "image_url", "image_url": { "url": "data:" } }),
            "\"image_url\" can't be read: messages are text alone",
        ),
        (json!({ "type": "image" }), "\"image\" can't be read"),
        (json!({ "type": "text" }), "must have a text"),
        (
            json!({ "type": "text", "text": "x", "image": "y" }),
            "nothing else",
        ),
        (json!({ "text": "x" }), "must have a \"type\""),
    ] {
        let text = json!({ "type": "text", "text": "Look:" });
        let refused =
            read(&json!({ "role": "user", "content": [text, part] })).expect_err("refused");
        assert!(refused.contains(expected), "{refused}");
    }
    for content in [json!(7), json!({ "text": "x" }), json!(["x"])] {
        assert!(read(&json!({ "role": "user", "content": content })).is_err());
    }
}

#[test]
fn refuses_unknown_keys_and_arguments_that_are_no_object() {
    for message in [
        json!({ "role": "user", "content": "x", "images": [] }),
        json!({ "role": "robot", "content": "x" }),
        json!({ "role": "assistant", "tool_calls": [{ "function": { "name": "f" } }] }),
        json!({ "role": "assistant", "tool_calls": [
            { "function": { "name": "f", "arguments": "[1]" } }] }),
        json!({ "role": "assistant", "tool_calls": [
            { "function": { "name": "f", "arguments": "{" } }] }),
        json!({ "role": "assistant", "tool_calls": [
            { "function": { "name": "f", "arguments": 7 } }] }),
        json!({ "role": "assistant", "tool_calls": [
            { "type": "search", "function": { "name": "f", "arguments": {} } }] }),
    ] {
        assert!(read(&message).is_err(), "{message}");
    }
}

#[test]
fn a_result_names_its_call_and_tool() {
    let result = Message::tool_result(&call(), "12:00");
    assert_eq!(result.role, Role::Tool);
    assert_eq!(result.tool_call_id.as_deref(), Some("call00000"));
    assert_eq!(result.name.as_deref(), Some("time"));
}
