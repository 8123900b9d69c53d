//! Answers of a given form, written by a model that knows nothing of it.

use engine_core::{
    Constraint, Engine, EngineExt, Error, Field, FinishReason, GenerateParams, GenerateRequest,
    GenerationEvent,
};
use futures_executor::block_on;
use futures_util::{
    StreamExt,
    future::{join, join_all},
};
use serde_json::Value;

use crate::{
    random_model::{Settings, answer, engine},
    tokenizers::{byte_fallback, byte_level, llama_decoder},
};

/// Characters that end things in JSON.
const CLOSING: &str = "\"}],";

fn schemas() -> Vec<(String, Value)> {
    cases(include_str!("../schemas.json"))
}

fn cases(json: &str) -> Vec<(String, Value)> {
    let cases: Vec<Value> = serde_json::from_str(json).expect("a list of schemas");
    let name = |case: &Value| case["name"].as_str().expect("a name").to_owned();
    cases
        .into_iter()
        .map(|case| (name(&case), case["schema"].clone()))
        .collect()
}

fn noise(tokenizer: &Value, seed: u64) -> std::sync::Arc<dyn Engine> {
    engine(&Settings {
        tokenizer,
        seed,
        favoured: CLOSING,
    })
}

fn of_schema(schema: &Value) -> GenerateParams {
    GenerateParams::default()
        .with_max_tokens(600)
        .with_temperature(1.0)
        .with_constraint(Constraint::JsonSchema(schema.clone()))
}

/// Whether the answer came to its end by itself.
fn is_finished(finish: &FinishReason) -> bool {
    matches!(
        finish,
        FinishReason::EndOfText(_) | FinishReason::ConstraintMet
    )
}

/// Runs every schema with several seeds, and returns how many answers were finished, and how many
/// there were.
fn run_suite(tokenizer: &Value, seeds: std::ops::Range<u64>) -> (usize, usize) {
    let engine = noise(tokenizer, 5);
    let (mut finished, mut all) = (0, 0);
    for (name, schema) in schemas() {
        let validator = jsonschema::options()
            .should_validate_formats(true)
            .build(&schema)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        for seed in seeds.clone() {
            let greedy = GenerateParams {
                temperature: 0.0,
                ..of_schema(&schema)
            };
            let params = if seed == 0 {
                greedy
            } else {
                of_schema(&schema).with_seed(seed)
            };
            let answer =
                answer(engine.as_ref(), params).unwrap_or_else(|error| panic!("{name}: {error}"));
            all += 1;
            if !is_finished(&answer.summary.finish) {
                assert_eq!(answer.summary.finish, FinishReason::MaxTokens, "{name}");
                continue;
            }
            finished += 1;
            let value: Value = serde_json::from_str(&answer.text)
                .unwrap_or_else(|error| panic!("{name}: {error} in {:?}", answer.text));
            if let Err(error) = validator.validate(&value) {
                panic!("{name}, seed {seed}: {error} in {}", answer.text);
            }
        }
    }
    (finished, all)
}

#[test]
fn every_schema_is_kept_by_noise_over_byte_level_tokens() {
    let (finished, all) = run_suite(&byte_level(), 0..12);
    assert!(all >= 1200, "{all} answers");
    assert!(finished * 100 >= all * 98, "{finished} of {all} finished");
}

#[test]
fn every_schema_is_kept_by_noise_over_tokens_with_byte_fallback() {
    let (finished, all) = run_suite(&byte_fallback(&llama_decoder()), 0..6);
    assert!(finished * 100 >= all * 98, "{finished} of {all} finished");
}

#[test]
fn what_cannot_be_enforced_is_refused_before_a_token_is_written() {
    let engine = noise(&byte_level(), 5);
    let reasons: Vec<Value> =
        serde_json::from_str(include_str!("../schemas_refused.json")).expect("a list of schemas");
    for ((name, schema), case) in cases(include_str!("../schemas_refused.json"))
        .into_iter()
        .zip(reasons)
    {
        let expected = case["reason"].as_str().expect("a reason");
        match answer(engine.as_ref(), of_schema(&schema)) {
            Err(error @ Error::InvalidConstraint { .. }) => {
                let Error::InvalidConstraint { field, reason } = &error else {
                    unreachable!()
                };
                assert_eq!(*field, Field::Constraint, "{name}");
                assert!(reason.contains(expected), "{name}: {reason}");
                assert!(!reason.contains("panic"), "{name}: {reason}");
                assert!(!error.suggestion().is_empty());
            }
            other => panic!("{name}: expected a refusal, got {other:?}"),
        }
    }
}

#[test]
fn a_json_object_is_one() {
    let engine = noise(&byte_level(), 9);
    let mut finished = 0;
    for seed in 0..20 {
        let params = GenerateParams::default()
            .with_max_tokens(400)
            .with_temperature(1.0)
            .with_seed(seed)
            .with_constraint(Constraint::JsonObject);
        let answer = answer(engine.as_ref(), params).expect("an answer");
        if is_finished(&answer.summary.finish) {
            finished += 1;
            let value: Value = serde_json::from_str(&answer.text).expect("JSON");
            assert!(value.is_object(), "{value}");
        }
    }
    assert!(finished > 10, "{finished} of 20 finished");
}

#[test]
fn a_regular_expression_matches_the_whole_answer() {
    let rules = [
        "(yes|no|maybe)",
        "[a-f]{3,8}(, [a-f]{1,3}){0,2}",
        "(the|an) (cat|hat)s?",
        "[0-9]{2}/[0-9]{2}",
        "é{2,4}🙂",
        "a{0,3}",
    ];
    for tokenizer in [byte_level(), byte_fallback(&llama_decoder())] {
        let engine = noise(&tokenizer, 2);
        for rule in rules {
            let whole = regex(rule);
            for seed in 0..10 {
                let params = GenerateParams::default()
                    .with_temperature(1.0)
                    .with_seed(seed)
                    .with_constraint(Constraint::Regex(rule.to_owned()));
                let answer = answer(engine.as_ref(), params).expect("an answer");
                assert!(is_finished(&answer.summary.finish), "{rule}: {answer:?}");
                assert!(whole(&answer.text), "{rule}: {:?}", answer.text);
            }
        }
    }
}

/// Whether a text matches as a whole, by another implementation.
fn regex(rule: &str) -> impl Fn(&str) -> bool {
    let schema = serde_json::json!({ "pattern": format!("^(?:{rule})$") });
    let validator = jsonschema::validator_for(&schema).expect("a pattern");
    move |text| validator.is_valid(&text.into())
}

#[test]
fn a_lark_grammar_is_followed() {
    let grammar = r#"
        start: expr
        expr: NUMBER | "(" expr OPERATOR expr ")"
        NUMBER: /[1-9][0-9]?/
        OPERATOR: "+" | "*"
    "#;
    let engine = noise(&byte_level(), 4);
    for seed in 0..20 {
        let params = GenerateParams::default()
            .with_max_tokens(200)
            .with_temperature(1.0)
            .with_seed(seed)
            .with_constraint(Constraint::Lark(grammar.to_owned()));
        let answer = answer(engine.as_ref(), params).expect("an answer");
        if is_finished(&answer.summary.finish) {
            assert_eq!(expression(&answer.text), Some(""), "{:?}", answer.text);
        }
    }
}

/// What is left behind an expression of the grammar above.
fn expression(text: &str) -> Option<&str> {
    if let Some(rest) = text.strip_prefix('(') {
        let rest = expression(rest)?.strip_prefix(['+', '*'])?;
        return expression(rest)?.strip_prefix(')');
    }
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    (1..=2).contains(&digits).then(|| &text[digits..])
}

#[test]
fn a_broken_rule_or_grammar_is_refused() {
    let engine = noise(&byte_level(), 4);
    for constraint in [
        Constraint::Regex("(".to_owned()),
        Constraint::Regex("(?=a)b".to_owned()),
        Constraint::Lark("start: missing".to_owned()),
        Constraint::Lark(String::new()),
        Constraint::Lark(
            "start: %json { \"x-guidance\": { \"lenient\": true }, \"not\": {} }".into(),
        ),
    ] {
        let params = GenerateParams::default().with_constraint(constraint.clone());
        let outcome = answer(engine.as_ref(), params);
        assert!(
            matches!(outcome, Err(Error::InvalidConstraint { .. })),
            "{constraint:?}: {outcome:?}"
        );
    }
}

#[test]
fn a_text_that_the_vocabulary_cannot_write_is_refused() {
    // A vocabulary with byte fallback drops a space at the front of a text.
    let engine = noise(&byte_fallback(&llama_decoder()), 4);
    let params = GenerateParams::default().with_constraint(Constraint::Regex(" a".to_owned()));
    let outcome = answer(engine.as_ref(), params);
    assert!(
        matches!(&outcome, Err(Error::InvalidConstraint { reason, .. }) if reason.contains("vocabulary")),
        "{outcome:?}"
    );
}

/// Without the bytes of "é".
fn without_accents() -> Value {
    let mut tokenizer = byte_level();
    let vocab = tokenizer["model"]["vocab"].as_object_mut();
    let vocab = vocab.expect("a vocabulary");
    // They stand in a byte-level vocabulary as the characters of the same numbers.
    for byte in "é".bytes() {
        let id = vocab.remove(&char::from(byte).to_string());
        vocab.insert(format!("unused{byte}"), id.expect("the byte's token"));
    }
    tokenizer
}

#[test]
fn a_form_that_becomes_unwritable_fails_behind_what_was_written_and_no_other_answer() {
    let engine = noise(&without_accents(), 4);
    let request = |form: &str, seed| {
        let params = GenerateParams::default()
            .with_max_tokens(40)
            .with_temperature(1.0)
            .with_seed(seed)
            .with_constraint(Constraint::Regex(form.to_owned()));
        GenerateRequest::tokens([0]).with_params(params)
    };
    let others: Vec<_> = (0..3).map(|seed| request("[a-z ]{20,30}", seed)).collect();
    let alone: Vec<_> = others
        .iter()
        .map(|request| block_on(engine.complete(request.clone())).expect("an answer"))
        .collect();
    let failing = engine.stream(request("abcdeé", 9)).expect("a stream");
    let together = others
        .iter()
        .map(|request| engine.complete(request.clone()));
    let failing = failing.collect::<Vec<_>>();
    let (failing, together) = block_on(join(failing, join_all(together)));
    let mut text = String::new();
    let (last, written) = failing.split_last().expect("events");
    for event in written {
        match event {
            Ok(GenerationEvent::Delta { text: more, .. }) => text.push_str(more),
            Ok(GenerationEvent::Prefill { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(text, "abcde");
    assert!(
        matches!(last, Err(Error::InvalidConstraint { reason, .. }) if reason.contains("vocabulary")),
        "{last:?}"
    );
    for (together, alone) in together.into_iter().zip(&alone) {
        let together = together.expect("an answer");
        assert_eq!(together.text, alone.text);
        assert_eq!(together.summary.finish, alone.summary.finish);
    }
    let memory = block_on(engine.memory()).expect("a report");
    assert_eq!(memory.sequences, 0);
}

/// Masks are found on other threads, in any order.
#[test]
fn answers_written_together_are_those_written_alone_whoever_leaves() {
    let engine = noise(&byte_level(), 7);
    let constraints = [
        Constraint::JsonObject,
        Constraint::Regex("([A-Za-z]{2,12}( |, )){4,40}".to_owned()),
        Constraint::Regex("[^\n]{20,100}".to_owned()),
    ];
    let requests: Vec<_> = (0..24)
        .map(|seed| {
            let params = GenerateParams::default()
                .with_max_tokens(60)
                .with_temperature(1.0)
                .with_seed(seed)
                .with_constraint(constraints[seed as usize % constraints.len()].clone());
            GenerateRequest::tokens([0]).with_params(params)
        })
        .collect();
    let alone: Vec<_> = requests
        .iter()
        .map(|request| block_on(engine.complete(request.clone())).expect("an answer"))
        .collect();
    let together = requests.iter().map(|request| {
        let (engine, request) = (engine.as_ref(), request.clone());
        async move {
            // Another begins the same answer and leaves in the middle of it.
            let leaving = engine.stream(request.clone()).expect("a stream");
            let few: Vec<_> = leaving.take(3).collect().await;
            assert!(few.iter().all(Result::is_ok), "{few:?}");
            engine.complete(request).await.expect("an answer")
        }
    });
    let together = block_on(join_all(together));
    for (together, alone) in together.iter().zip(&alone) {
        assert_eq!(together.tokens, alone.tokens);
        assert_eq!(together.summary.finish, alone.summary.finish);
    }
    let memory = block_on(engine.memory()).expect("a report");
    assert_eq!(memory.sequences, 0);
}

#[test]
fn an_answer_cut_short_says_so() {
    let engine = noise(&byte_level(), 4);
    let schema = serde_json::json!({ "type": "string", "minLength": 50 });
    let answer = answer(engine.as_ref(), of_schema(&schema).with_max_tokens(10)).unwrap();
    assert_eq!(answer.summary.finish, FinishReason::MaxTokens);
    assert_eq!(answer.tokens.len(), 10);
}

#[test]
fn an_answer_complete_at_its_limit_is_complete() {
    let engine = noise(&byte_level(), 4);
    let constraint = Constraint::Regex("x".to_owned());
    let params = GenerateParams::greedy()
        .with_max_tokens(1)
        .with_constraint(constraint);
    let answer = answer(engine.as_ref(), params).unwrap();
    assert_eq!(answer.text, "x");
    assert_eq!(answer.summary.finish, FinishReason::ConstraintMet);
}
