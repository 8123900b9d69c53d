//! Tools that must be called, by a model that knows of nothing.

use std::sync::Arc;

use engine_core::{
    Completion, Engine, EngineExt, Error, Field, FinishReason, GenerateParams, GenerateRequest,
    GenerationEvent, Message, ReasoningOptions, ToolChoice, ToolDefinition, ToolFormat,
    ToolOptions,
};
use futures_executor::block_on;
use serde_json::{Value, json};

use crate::{
    random_model::{Settings, engine_for_chats},
    tokenizers::{byte_fallback, byte_level, llama_decoder, with_tokens},
};

/// Shows tools and messages, behind what tells the family.
fn template(family: &str, end: &str) -> String {
    format!(
        "{{% if tools %}}{family}{{{{ tools | tojson }}}}{{% endif %}}\
         {{% for message in messages %}}{{{{ message.content }}}}{{% endfor %}}{end}"
    )
}

struct Family {
    name: &'static str,
    template: String,
    tokenizer: Value,
    /// What a call looks like, as a regular expression with `ARGUMENTS` for these.
    shape: &'static str,
}

fn family(
    name: &'static str,
    template_text: &str,
    tokenizer: Value,
    shape: &'static str,
) -> Family {
    Family {
        name,
        template: template(template_text, ""),
        tokenizer,
        shape,
    }
}

const HERMES: &str =
    "^<tool_call>\n\\{\"name\": \"NAME\", \"arguments\": \\{[^]*\\}\\}\n</tool_call>$";
const LIST: &str = "^\\[TOOL_CALLS\\] ?\\[\\{\"name\": \"NAME\", \"arguments\": \\{[^]*\\}\\}\\]$";

/// Every way in which a call can be forced.
fn families() -> Vec<Family> {
    let mistral = [
        ("[TOOL_CALLS]", true),
        ("[ARGS]", true),
        ("[CALL_ID]", true),
    ];
    let llama = || byte_fallback(&llama_decoder());
    let tags = |special| [("<tool_call>", special), ("</tool_call>", special)];
    vec![
        family("text tags", "<tool_call>", byte_level(), HERMES),
        family(
            "text tags over byte fallback",
            "<tool_call>",
            llama(),
            HERMES,
        ),
        family(
            "token tags",
            "<tool_call>",
            with_tokens(byte_level(), &tags(false)),
            HERMES,
        ),
        family(
            "special tags",
            "<tool_call>",
            with_tokens(byte_level(), &tags(true)),
            HERMES,
        ),
        family(
            "Llama 3",
            "<|python_tag|>",
            byte_level(),
            "^\\{\"name\": \"NAME\", \"parameters\": \\{[^]*\\}\\}$",
        ),
        family(
            "a list",
            "[TOOL_CALLS]",
            with_tokens(llama(), &mistral),
            LIST,
        ),
        family("a list behind text", "[TOOL_CALLS]", byte_level(), LIST),
        family(
            "a name",
            "[TOOL_CALLS] [ARGS]",
            with_tokens(byte_level(), &mistral),
            "^\\[TOOL_CALLS\\]NAME\\[ARGS\\]\\{[^]*\\}$",
        ),
        family(
            "a name of text",
            "[TOOL_CALLS] [ARGS]",
            byte_level(),
            "^\\[TOOL_CALLS\\]NAME\\[ARGS\\]\\{[^]*\\}$",
        ),
        family(
            "a name and an id",
            "[TOOL_CALLS] [CALL_ID] [ARGS]",
            with_tokens(byte_level(), &mistral),
            "^\\[TOOL_CALLS\\]NAME\\[CALL_ID\\][a-zA-Z0-9]{9}\\[ARGS\\]\\{[^]*\\}$",
        ),
        family(
            "JSON",
            "Tools: ",
            byte_level(),
            "^\\{\"name\": \"NAME\", \"arguments\": \\{[^]*\\}\\}$",
        ),
    ]
}

fn noise(tokenizer: &Value, template: &str) -> Arc<dyn Engine> {
    let settings = Settings {
        tokenizer,
        seed: 5,
        favoured: "\"}],",
    };
    engine_for_chats(&settings, Some(template))
}

fn request(tools: ToolOptions, seed: u64) -> GenerateRequest {
    let params = GenerateParams::default()
        .with_max_tokens(900)
        .with_temperature(if seed == 0 { 0.0 } else { 1.0 })
        .with_seed(seed);
    GenerateRequest::chat([Message::user("hi")])
        .with_params(params)
        .with_tools(tools)
}

fn tool(name: &str, schema: &Value) -> ToolDefinition {
    ToolDefinition::new(name, "A tool.", schema.clone()).expect("a tool")
}

/// The schemas of objects among those that answers can have.
fn schemas() -> Vec<Value> {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../schemas.json")).expect("a list of schemas");
    let schemas = cases.into_iter().map(|mut case| case["schema"].take());
    schemas
        .filter(|schema| schema["type"] == "object")
        .collect()
}

/// An answer, and all its text as the model wrote it.
fn answer(engine: &dyn Engine, request: GenerateRequest) -> Result<(Completion, String), Error> {
    let mut written = String::new();
    let events = engine.stream(request)?;
    let answer = block_on(Completion::collect(events, |event| match event {
        GenerationEvent::Delta { text, .. } | GenerationEvent::ToolCall { text, .. } => {
            written.push_str(text);
        }
        _ => {}
    }))?;
    Ok((answer, written))
}

/// Whether the answer is one call of the tool that was chosen, and nothing else; `None` if it was
/// cut short.
fn called(
    family: &Family,
    (answer, written): &(Completion, String),
    tools: &ToolOptions,
) -> Option<String> {
    let context = || format!("{}: {written:?}, {answer:?}", family.name);
    match answer.summary.finish {
        FinishReason::ConstraintMet => {}
        FinishReason::MaxTokens => return None,
        _ => panic!("{}", context()),
    }
    assert_eq!(answer.text, "", "{}", context());
    assert!(answer.invalid_tool_calls.is_empty(), "{}", context());
    let [call] = answer.tool_calls.as_slice() else {
        panic!("{}", context());
    };
    let tool = tools
        .definitions
        .iter()
        .find(|tool| tool.name() == call.name);
    let tool = tool.unwrap_or_else(|| panic!("{}", context()));
    let schema = Value::Object(tool.parameters().clone());
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .expect("a schema");
    let arguments = Value::Object(call.arguments.clone());
    if let Err(error) = validator.validate(&arguments) {
        panic!("{error}: {}", context());
    }
    let shape = family.shape.replace("NAME", &call.name.replace('.', "\\."));
    let shape = json!({ "pattern": shape.replace("[^]", "(.|\n)") });
    let shape = jsonschema::validator_for(&shape).expect("a pattern");
    assert!(
        shape.is_valid(&Value::from(written.as_str())),
        "{}",
        context()
    );
    Some(call.name.clone())
}

#[test]
fn noise_calls_one_tool_with_arguments_that_its_schema_accepts() {
    let schemas = schemas();
    assert!(schemas.len() >= 20, "{} schemas", schemas.len());
    // Names that begin as others do, with tools of all kinds.
    let names = ["get", "get_weather", "get.weather-2"];
    for family in families() {
        let engine = noise(&family.tokenizer, &family.template);
        let (mut whole, mut all) = (0, 0);
        let mut seen = std::collections::BTreeSet::new();
        for (first, schema) in schemas.iter().enumerate() {
            let tools = names
                .iter()
                .enumerate()
                .map(|(index, name)| tool(name, schemas.get(first + index).unwrap_or(schema)));
            let tools: Vec<_> = tools.collect();
            for seed in 0..4 {
                let options = ToolOptions::new(tools.clone()).with_choice(ToolChoice::Required);
                let answer = answer(engine.as_ref(), request(options.clone(), seed));
                let answer = answer.unwrap_or_else(|error| panic!("{}: {error}", family.name));
                all += 1;
                if let Some(name) = called(&family, &answer, &options) {
                    whole += 1;
                    seen.insert(name);
                }
            }
        }
        assert!(whole * 100 >= all * 95, "{}: {whole} of {all}", family.name);
        assert_eq!(seen.len(), names.len(), "{}: {seen:?}", family.name);
    }
}

#[test]
fn a_tool_that_is_named_is_the_one_that_is_called() {
    let schema = json!({
        "type": "object",
        "properties": { "city": { "$ref": "#/$defs/city" }, "days": { "type": "integer" } },
        "required": ["city"],
        "additionalProperties": false,
        "$defs": { "city": { "enum": ["Paris", "Rome"] } },
    });
    for family in families() {
        let engine = noise(&family.tokenizer, &family.template);
        assert!(engine.capabilities().fields.contains(Field::ToolChoice));
        for name in ["get", "get_weather", "set"] {
            let tools = ["get", "get_weather", "set"].map(|name| tool(name, &schema));
            let options = ToolOptions::new(tools).with_choice(ToolChoice::Named(name.to_owned()));
            for seed in 0..12 {
                let answer = answer(engine.as_ref(), request(options.clone(), seed)).unwrap();
                let called = called(&family, &answer, &options);
                assert_eq!(called.as_deref().unwrap_or(name), name, "{}", family.name);
            }
        }
    }
}

#[test]
fn a_thought_comes_before_the_call() {
    for special in [false, true] {
        let tokens = [("<think>", special), ("</think>", special)];
        let family = Family {
            template: template("<tool_call>", "<think>\n"),
            ..family("", "", with_tokens(byte_level(), &tokens), HERMES)
        };
        let engine = noise(&family.tokenizer, &family.template);
        let tools = [ToolDefinition::without_parameters("go", "Goes.").unwrap()];
        let options = ToolOptions::new(tools).with_choice(ToolChoice::Required);
        let mut whole = 0;
        for seed in 0..20 {
            let limit = ReasoningOptions::default().with_max_tokens(6);
            let request = request(options.clone(), seed).with_reasoning(limit);
            let mut answer = answer(engine.as_ref(), request).unwrap();
            assert!(answer.0.summary.usage.reasoning_tokens > 0);
            answer.1 = answer.1.trim_start_matches('\n').to_owned();
            whole += usize::from(called(&family, &answer, &options).is_some());
        }
        assert!(whole >= 15, "{whole} of 20");
    }
}

#[test]
fn a_schema_that_cannot_be_enforced_is_refused_and_its_tool_named() {
    let broken = [
        json!({ "type": "object", "not": { "required": ["a"] } }),
        json!({ "type": "object", "properties": { "a": { "uniqueItems": true } } }),
        json!({ "type": "object", "minProperties": 3 }),
        json!({ "type": "object", "properties": { "a": { "x-guidance": {} } } }),
    ];
    for family in families() {
        let engine = noise(&family.tokenizer, &family.template);
        for schema in &broken {
            let sound = ToolDefinition::without_parameters("sound", "").unwrap();
            let options = ToolOptions::new([sound, tool("broken", schema)]);
            let required = options.clone().with_choice(ToolChoice::Required);
            match answer(engine.as_ref(), request(required, 1)) {
                Err(error @ Error::InvalidConstraint { .. }) => {
                    let text = error.to_string();
                    assert!(text.starts_with("the tools can't be honoured"), "{text}");
                    assert!(text.contains("\"broken\""), "{text}");
                }
                other => panic!("{}, {schema}: {other:?}", family.name),
            }
            // Only what is called must be enforced.
            let named = options.with_choice(ToolChoice::Named("sound".to_owned()));
            assert!(answer(engine.as_ref(), request(named, 1)).is_ok());
        }
    }
}

#[test]
fn families_whose_calls_are_not_json_refuse() {
    let templates = [
        "<tool_call><function=x>",
        "<tool_call><arg_key>",
        "tool_code",
        "<|python_start|>",
        "[gMASK]",
        "<|tool_call_start|>",
        "<｜tool▁calls▁begin｜>",
        "<|channel|><|message|><|start|>",
    ];
    for family in templates {
        let engine = noise(&byte_level(), &template(family, ""));
        let fields = engine.capabilities().fields;
        assert!(fields.contains(Field::Tools), "{family}");
        assert!(!fields.contains(Field::ToolChoice), "{family}");
        let tools = [ToolDefinition::without_parameters("go", "Goes.").unwrap()];
        let options = ToolOptions::new(tools).with_choice(ToolChoice::Required);
        let outcome = answer(engine.as_ref(), request(options, 1));
        assert!(
            matches!(
                outcome,
                Err(Error::Unsupported {
                    field: Field::ToolChoice,
                    ..
                })
            ),
            "{family}: {outcome:?}"
        );
    }
}

#[test]
fn a_format_that_the_request_chooses_is_the_one_that_is_forced_or_refused() {
    let family = &families()[0];
    let engine = noise(&family.tokenizer, &family.template);
    let tools = [ToolDefinition::without_parameters("go", "Goes.").unwrap()];
    let options = ToolOptions::new(tools).with_choice(ToolChoice::Required);
    let json = options.clone().with_format(ToolFormat::Json);
    let (_, written) = answer(engine.as_ref(), request(json, 1)).unwrap();
    assert!(written.starts_with("{\"name\": \"go\""), "{written}");
    for format in [ToolFormat::Gemma, ToolFormat::Harmony] {
        let outcome = answer(
            engine.as_ref(),
            request(options.clone().with_format(format), 1),
        );
        assert!(
            matches!(
                outcome,
                Err(Error::UnsupportedByModel {
                    field: Field::ToolChoice,
                    ..
                })
            ),
            "{format:?}: {outcome:?}"
        );
    }
}
