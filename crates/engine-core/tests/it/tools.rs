//! Tools and thinking in requests: what is refused, and how it looks in JSON.

use engine_core::{
    Capabilities, Constraint, Error, Field, FieldSet, GenerateParams, GenerateRequest, Message,
    ReasoningOptions, Role, ToolCall, ToolChoice, ToolDefinition, ToolFormat, ToolOptions,
    ToolPrompt, ValidRequest,
};
use serde_json::{Map, json};

fn everything() -> Capabilities {
    let chat = FieldSet::NONE
        .with(Field::Tools)
        .with(Field::Thinking)
        .with(Field::ReasoningTokens);
    Capabilities::default().with_fields(FieldSet::GENERATION.with_all(chat))
}

fn plain() -> Capabilities {
    Capabilities::default().with_fields(FieldSet::GENERATION)
}

fn tool(name: &str) -> ToolDefinition {
    ToolDefinition::without_parameters(name, "Tells the time.").expect("a tool")
}

fn chat() -> GenerateRequest {
    GenerateRequest::chat([Message::user("hi")])
}

fn refused(request: GenerateRequest, capabilities: &Capabilities) -> Error {
    request.validate("x", capabilities).expect_err("a refusal")
}

#[track_caller]
fn assert_invalid(outcome: Result<ValidRequest, Error>, expected: Field) {
    match outcome {
        Err(Error::InvalidParameter { field, .. }) => assert_eq!(field, expected),
        other => panic!("{other:?}"),
    }
}

#[test]
fn names_and_schemas_of_tools_are_checked() {
    let object = || json!({ "type": "object" });
    for name in ["time", "a", "A-b_c.9", &"x".repeat(64)] {
        assert!(ToolDefinition::new(name, "", object()).is_ok(), "{name}");
    }
    for name in ["", "two words", "é", "a/b", &"x".repeat(65)] {
        assert!(ToolDefinition::new(name, "", object()).is_err(), "{name}");
    }
    for schema in [
        json!(null),
        json!(true),
        json!({}),
        json!({ "type": "string" }),
        json!({ "type": ["object"] }),
        json!([]),
    ] {
        let refused = ToolDefinition::new("time", "", schema).unwrap_err();
        let Error::InvalidParameter { field, .. } = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(field, Field::Tools);
    }
}

#[test]
fn a_tool_is_json_as_in_other_apis() {
    let json = json!({ "type": "function", "function": {
        "name": "time",
        "description": "Tells the time.",
        "parameters": { "type": "object", "properties": {} },
    }});
    assert_eq!(serde_json::to_value(tool("time")).unwrap(), json);
    assert_eq!(
        serde_json::from_value::<ToolDefinition>(json).unwrap(),
        tool("time")
    );
    let short = json!({ "function": { "name": "time" } });
    let short: ToolDefinition = serde_json::from_value(short).unwrap();
    assert_eq!(short.parameters(), tool("time").parameters());
    for wrong in [
        json!({ "function": { "name": "two words" } }),
        json!({ "function": { "name": "f", "strict": true } }),
        json!({ "type": "search", "function": { "name": "f" } }),
    ] {
        assert!(serde_json::from_value::<ToolDefinition>(wrong).is_err());
    }
}

#[test]
fn a_request_with_tools_and_thinking_survives_json() {
    let request = chat()
        .with_tools(
            ToolOptions::new([tool("time")])
                .with_choice(ToolChoice::Named("time".into()))
                .with_format(ToolFormat::Mistral)
                .described_by_messages(),
        )
        .with_reasoning(
            ReasoningOptions::default()
                .with_thinking(true)
                .with_max_tokens(9),
        );
    let json = serde_json::to_value(&request).unwrap();
    assert_eq!(json["tools"]["choice"], json!({ "named": "time" }));
    assert_eq!(json["tools"]["prompt"], json!("messages"));
    assert_eq!(
        json["reasoning"],
        json!({ "thinking": true, "max_tokens": 9 })
    );
    assert_eq!(
        serde_json::from_value::<GenerateRequest>(json).unwrap(),
        request
    );
}

#[test]
fn what_the_engine_can_do_reaches_it_unchanged() {
    let tools = ToolOptions::new([tool("time"), tool("date")]);
    let reasoning = ReasoningOptions::default()
        .with_thinking(false)
        .with_max_tokens(0);
    let request = chat()
        .with_tools(tools.clone())
        .with_reasoning(reasoning)
        .validate("x", &everything())
        .unwrap();
    assert_eq!(request.tools(), &tools);
    assert_eq!(request.reasoning(), reasoning);
}

#[test]
fn tools_and_thinking_need_a_chat() {
    let tools = ToolOptions::new([tool("time")]);
    let thinking = ReasoningOptions::default().with_thinking(true);
    let limited = ReasoningOptions::default().with_max_tokens(5);
    for (request, field) in [
        (GenerateRequest::text("x").with_tools(tools), Field::Tools),
        (
            GenerateRequest::tokens([1]).with_reasoning(thinking),
            Field::Thinking,
        ),
        (
            GenerateRequest::text("x").with_reasoning(limited),
            Field::ReasoningTokens,
        ),
    ] {
        assert_invalid(request.lenient().validate("x", &everything()), field);
    }
}

#[test]
fn what_the_model_lacks_is_refused_in_lenient_mode_too() {
    let tools = ToolOptions::new([tool("time")]);
    let thinking = ReasoningOptions::default().with_thinking(true);
    let limited = ReasoningOptions::default().with_max_tokens(5);
    for (request, expected) in [
        (chat().with_tools(tools.clone()), Field::Tools),
        (chat().with_reasoning(thinking), Field::Thinking),
        (chat().with_reasoning(limited), Field::ReasoningTokens),
    ] {
        for request in [request.clone(), request.lenient()] {
            let error = refused(request, &plain());
            let Error::UnsupportedByModel { field, .. } = &error else {
                panic!("{error:?}");
            };
            assert_eq!(*field, expected);
            assert!(error.suggestion().contains(expected.name()));
        }
    }
    // The messages describe them, or nobody is told.
    let described = tools.clone().described_by_messages();
    let unused = tools.with_choice(ToolChoice::None);
    for tools in [described, unused] {
        assert!(chat().with_tools(tools).validate("x", &plain()).is_ok());
    }
}

#[test]
fn a_tool_that_must_be_called_is_refused_or_ignored() {
    for choice in [ToolChoice::Required, ToolChoice::Named("time".into())] {
        let tools = ToolOptions::new([tool("time")]).with_choice(choice);
        let request = chat().with_tools(tools);
        assert!(matches!(
            refused(request.clone(), &everything()),
            Error::Unsupported {
                field: Field::ToolChoice,
                ..
            }
        ));
        let accepted = request.clone().lenient().validate("x", &everything());
        let accepted = accepted.unwrap();
        assert_eq!(accepted.ignored(), [Field::ToolChoice]);
        assert_eq!(accepted.tools().choice, ToolChoice::Auto);
        let able = everything();
        let able = able.with_fields(able.fields.with(Field::ToolChoice));
        assert!(request.clone().validate("x", &able).is_ok());
        let constraint = GenerateParams::default().with_constraint(Constraint::JsonObject);
        let request = request.with_params(constraint);
        assert_invalid(request.clone().validate("x", &able), Field::ToolChoice);
        assert!(request.lenient().validate("x", &everything()).is_ok());
    }
}

#[test]
fn a_choice_must_be_among_the_tools_and_names_must_differ() {
    let twice = ToolOptions::new([tool("time"), tool("time")]);
    assert_invalid(
        chat().with_tools(twice).validate("x", &everything()),
        Field::Tools,
    );
    for (tools, choice) in [
        (vec![tool("time")], ToolChoice::Named("date".into())),
        (Vec::new(), ToolChoice::Required),
    ] {
        let tools = ToolOptions::new(tools).with_choice(choice);
        assert_invalid(
            chat().with_tools(tools).validate("x", &everything()),
            Field::ToolChoice,
        );
    }
}

#[test]
fn what_belongs_to_another_role_is_refused() {
    let call = ToolCall::new("1", "time", Map::new());
    let mut result = Message::user("12:00");
    result.tool_call_id = Some("1".into());
    for message in [
        Message::user("x").with_reasoning("hm"),
        Message::system("x").with_tool_calls([call.clone()]),
        Message::new(Role::Tool, "x").with_reasoning("hm"),
        result,
    ] {
        let request = GenerateRequest::chat([message]);
        assert_invalid(request.validate("x", &everything()), Field::Messages);
    }
    let sound = [
        Message::user("When?"),
        Message::assistant("")
            .with_reasoning("hm")
            .with_tool_calls([call.clone()]),
        Message::tool_result(&call, "12:00"),
    ];
    let request = GenerateRequest::chat(sound);
    assert!(request.validate("x", &everything()).is_ok());
}

#[test]
fn only_tools_that_the_model_may_call_are_offered() {
    let tools = ToolOptions::new([tool("time")]);
    assert!(tools.are_offered());
    assert_eq!(tools.prompt, ToolPrompt::Template);
    assert!(!tools.with_choice(ToolChoice::None).are_offered());
    assert!(!ToolOptions::default().are_offered());
}
