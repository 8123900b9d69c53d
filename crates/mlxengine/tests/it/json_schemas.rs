//! A real model under every schema of the suite, where it is there.
//!
//! `MLXENGINE_TEST_MODELS` names the folder of models. Without it this test says that it is
//! skipped; with `MLXENGINE_TEST_REQUIRE=1` it fails instead.

use std::{env, future::IntoFuture, path::PathBuf, sync::Arc};

use futures_executor::block_on;
use futures_util::{StreamExt, stream};
use mlxengine::{
    BackendPolicy, Constraint, EngineExt, FinishReason, GenerateParams, GenerateRequest,
    InferenceEngine, Message, ModelConfiguration,
};
use serde_json::Value;

const FOLDER: &str = "SmolLM2-135M-Instruct-MLX-4bit";
const SCHEMAS: &str = include_str!("../../../engine-runtime/tests/schemas.json");

/// The model's path, or `None` with a word about why it is skipped.
fn model_or_skip() -> Option<PathBuf> {
    let path =
        env::var_os("MLXENGINE_TEST_MODELS").map(|models| PathBuf::from(models).join(FOLDER));
    let path = path.filter(|path| path.exists());
    if path.is_none() {
        let reason = format!("MLXENGINE_TEST_MODELS names no folder with {FOLDER}");
        assert!(
            env::var_os("MLXENGINE_TEST_REQUIRE").is_none_or(|value| value != "1"),
            "required, but {reason}"
        );
        println!("skipped: {reason}");
    }
    path
}

/// A question that asks for the schema's kind of answer, as an application would.
fn request(name: &str, schema: &Value, greedy: bool) -> GenerateRequest {
    let question = format!("Answer in JSON, and with nothing else. Make up an example of: {name}");
    let params = GenerateParams::greedy()
        .with_max_tokens(160)
        .with_constraint(Constraint::JsonSchema(schema.clone()));
    let params = if greedy {
        params
    } else {
        params.with_temperature(0.8).with_seed(1)
    };
    GenerateRequest::chat([Message::user(question)]).with_params(params)
}

#[test]
fn a_real_model_keeps_to_every_schema() {
    let Some(path) = model_or_skip() else {
        return;
    };
    let load = InferenceEngine::load(ModelConfiguration::from_path(path))
        .backend(BackendPolicy::require("cpu"));
    let loaded = block_on(load.into_future()).expect("a model");
    let engine = Arc::clone(loaded.as_engine());
    let cases: Vec<Value> = serde_json::from_str(SCHEMAS).expect("a list of schemas");
    assert!(cases.len() >= 100);
    let requests = cases.iter().enumerate().map(|(index, case)| {
        let name = case["name"].as_str().expect("a name");
        // Half of them greedy.
        let answer = engine.complete(request(name, &case["schema"], index % 2 == 0));
        async move { (name, &case["schema"], answer.await) }
    });
    let answers: Vec<_> = block_on(stream::iter(requests).buffer_unordered(4).collect());
    let mut finished = 0;
    for (name, schema, answer) in answers {
        let answer = answer.unwrap_or_else(|error| panic!("{name}: {error}"));
        match answer.summary.finish {
            FinishReason::EndOfText(_) | FinishReason::ConstraintMet => finished += 1,
            FinishReason::MaxTokens => continue,
            reason => panic!("{name}: ended by {reason:?}"),
        }
        let value: Value = serde_json::from_str(&answer.text)
            .unwrap_or_else(|error| panic!("{name}: {error} in {:?}", answer.text));
        let validator = jsonschema::options()
            .should_validate_formats(true)
            .build(schema)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        if let Err(error) = validator.validate(&value) {
            panic!("{name}: {error} in {}", answer.text);
        }
    }
    println!("{finished} of {} finished", cases.len());
    assert!(
        finished * 100 >= cases.len() * 95,
        "{finished} of {} finished",
        cases.len()
    );
}
