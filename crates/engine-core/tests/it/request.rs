//! The one border between what a caller asks and what an engine can do.

use engine_core::{
    Capabilities, Dry, Error, Field, FieldSet, GenerateParams, GenerateRequest, LoopGuard, Message,
    Prompt, SamplerStage, Xtc,
};

fn everything() -> Capabilities {
    Capabilities::default().with_fields(FieldSet::GENERATION)
}

fn asks_for_all() -> GenerateParams {
    GenerateParams {
        temperature: 0.5,
        top_p: 0.5,
        top_k: Some(3),
        min_p: 0.1,
        repetition_penalty: 1.1,
        presence_penalty: 0.1,
        frequency_penalty: 0.1,
        penalty_window: Some(8),
        seed: Some(1),
        stop: vec!["x".into()],
        stop_tokens: vec![1],
        ignore_eos: true,
        typical_p: 0.9,
        xtc: Some(Xtc::default()),
        dry: Some(Dry::default()),
        logit_bias: [(1, 2.0)].into(),
        sampler_order: SamplerStage::DEFAULT_ORDER.to_vec(),
        logprobs: Some(3),
        loop_guard: Some(LoopGuard::default()),
        ..GenerateParams::default()
    }
}

#[test]
fn each_field_that_the_engine_lacks_is_refused_by_name() {
    for field in asks_for_all().fields_set().iter() {
        let lacking = Capabilities::default().with_fields(FieldSet::GENERATION.without(field));
        let request = GenerateRequest::text("a").with_params(asks_for_all());
        match request.validate("x", &lacking) {
            Err(Error::Unsupported { backend, field: f }) => {
                assert_eq!((backend.as_str(), f), ("x", field));
            }
            other => panic!("{field}: {other:?}"),
        }
    }
}

#[test]
fn each_field_that_the_engine_lacks_is_listed_and_neutral_in_lenient_mode() {
    for field in asks_for_all().fields_set().iter() {
        let lacking = Capabilities::default().with_fields(FieldSet::GENERATION.without(field));
        let request = GenerateRequest::text("a")
            .with_params(asks_for_all())
            .lenient()
            .validate("x", &lacking)
            .unwrap();
        assert_eq!(request.ignored(), [field]);
        if field != Field::MaxTokens {
            assert!(!request.params().fields_set().contains(field), "{field}");
        }
    }
}

#[test]
fn an_engine_that_does_everything_ignores_nothing() {
    let request = GenerateRequest::chat([Message::user("hi")])
        .with_params(asks_for_all())
        .lenient()
        .validate("x", &everything())
        .unwrap();
    assert_eq!(request.ignored(), []);
    assert_eq!(request.params(), &asks_for_all());
    assert_eq!(
        request.prompt(),
        &Prompt::Messages(vec![Message::user("hi")])
    );
}

#[test]
fn lenience_does_not_extend_to_ranges_or_prompts() {
    let nan = GenerateParams::default().with_temperature(f32::NAN);
    let request = GenerateRequest::text("a").with_params(nan).lenient();
    assert!(matches!(
        request.validate("x", &everything()),
        Err(Error::InvalidParameter {
            field: Field::Temperature,
            ..
        })
    ));
    let no_template =
        Capabilities::default().with_fields(FieldSet::GENERATION.without(Field::Messages));
    let request = GenerateRequest::chat([Message::user("hi")]).lenient();
    assert!(matches!(
        request.validate("x", &no_template),
        Err(Error::Unsupported {
            field: Field::Messages,
            ..
        })
    ));
}

#[test]
fn an_empty_prompt_of_any_kind_is_refused() {
    for (request, field) in [
        (GenerateRequest::text(""), Field::Prompt),
        (GenerateRequest::tokens([]), Field::Prompt),
        (GenerateRequest::chat([]), Field::Messages),
    ] {
        match request.validate("x", &everything()) {
            Err(Error::InvalidParameter { field: named, .. }) => assert_eq!(named, field),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_request_is_json_with_defaults() {
    let request: GenerateRequest =
        serde_json::from_str(r#"{"prompt": {"messages": [{"role": "user", "content": "hi"}]}}"#)
            .unwrap();
    assert_eq!(request, GenerateRequest::chat([Message::user("hi")]));
}
