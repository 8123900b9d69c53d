//! What a loaded engine does.

use futures_executor::{block_on, block_on_stream};
use mlxengine::{
    Error, Field, FinishReason, GenerateParams, GenerateRequest, GenerationEvent, InferenceEngine,
    Message, Result, Usage, mock::MockBackend,
};

use crate::mock::{configuration, engine};

#[test]
fn generate_stream_and_events_give_the_same_answer() {
    let engine = engine("A crab: 🦀.");
    let whole = block_on(engine.generate("Which?", None)).unwrap();
    assert_eq!(whole.text, "A crab: 🦀.");

    let streamed: Result<String> =
        block_on_stream(engine.stream("Which?", None).unwrap()).collect();
    assert_eq!(streamed.unwrap(), whole.text);

    let mut text = String::new();
    let mut tokens = Vec::new();
    let mut ends = Vec::new();
    for event in block_on_stream(engine.events("Which?", None).unwrap()) {
        match event.unwrap() {
            GenerationEvent::Delta {
                text: piece,
                tokens: ids,
                ..
            } => {
                text += &piece;
                tokens.extend(ids);
            }
            GenerationEvent::Done(summary) => ends.push(summary),
            _ => {}
        }
    }
    assert_eq!((text, tokens), (whole.text, whole.tokens));
    assert_eq!(ends.len(), 1);
    assert_eq!(ends[0].finish, whole.summary.finish);
    let counts = |usage: Usage| (usage.prompt_tokens, usage.generated_tokens);
    assert_eq!(counts(ends[0].usage), counts(whole.summary.usage));
}

#[test]
fn the_configuration_says_how_to_generate_unless_the_call_does() {
    let load = InferenceEngine::load(
        configuration().with_generate(GenerateParams::greedy().with_max_tokens(2)),
    );
    let load = load.with_backend(crate::mock::saying("one two three four five"));
    let engine = block_on(load.into_future()).unwrap();
    assert_eq!(engine.params().max_tokens, 2);
    let usage = |params: Option<GenerateParams>| {
        let answer = block_on(engine.generate("x", params)).unwrap();
        (answer.summary.usage.generated_tokens, answer.summary.finish)
    };
    assert_eq!(usage(None), (2, FinishReason::MaxTokens));
    let more = GenerateParams::greedy().with_max_tokens(3);
    assert_eq!(usage(Some(more)), (3, FinishReason::MaxTokens));
}

#[test]
fn a_chat_is_read_through_the_template_and_a_text_is_not() {
    let engine = engine("Good.");
    let messages = [Message::system("Be brief."), Message::user("How?")];
    let rendered = engine.render_chat(&messages).unwrap();
    let read = |text: &str| engine.tokenize(text).unwrap().len();
    let chat = block_on(engine.chat(messages.to_vec(), None)).unwrap();
    assert_eq!(chat.summary.usage.prompt_tokens, read(&rendered));
    let text = block_on(engine.generate("How?", None)).unwrap();
    assert_eq!(text.summary.usage.prompt_tokens, read("How?"));
    let tokens = block_on(engine.generate(vec![72, 111, 119], None)).unwrap();
    assert_eq!(tokens.summary.usage.prompt_tokens, 3);
}

#[test]
fn tokens_and_text_turn_into_each_other() {
    let engine = engine("x");
    let text = "Grüße 你好 🦀";
    let tokens = engine.tokenize(text).unwrap();
    assert_eq!(engine.detokenize(&tokens).unwrap(), text);
}

#[test]
fn a_value_out_of_range_is_refused_before_anything_runs() {
    let engine = engine("x");
    let params = GenerateParams::greedy().with_temperature(f32::NAN);
    let refused = |error| {
        matches!(
            error,
            Error::InvalidParameter {
                field: Field::Temperature,
                ..
            }
        )
    };
    assert!(refused(engine.stream("x", params.clone()).err().unwrap()));
    assert!(refused(engine.events("x", params.clone()).err().unwrap()));
    assert!(refused(block_on(engine.generate("x", params)).unwrap_err()));
}

#[test]
fn the_mock_says_that_it_is_one() {
    let engine = engine("x");
    assert!(engine.is_simulated());
    assert!(engine.backend().simulated);
    assert_eq!(engine.backend().name, "mock");
    assert_eq!(engine.info().name, "tiny");
}

#[test]
fn a_clone_is_the_same_model() {
    let engine = engine("Still here.");
    let clone = engine.clone();
    drop(engine);
    let answer = block_on(clone.generate("x", None)).unwrap();
    assert_eq!(answer.text, "Still here.");
}

#[test]
fn unloading_is_for_all_handles_and_may_be_repeated() {
    let engine = engine("x");
    let clone = engine.clone();
    block_on(engine.unload()).unwrap();
    block_on(clone.unload()).unwrap();
    let error = block_on(clone.generate("x", None)).unwrap_err();
    assert!(matches!(error, Error::Unloaded { model } if model == "tiny"));
}

#[test]
fn unloading_ends_a_running_generation() {
    let backend = MockBackend::builder()
        .token_delay(std::time::Duration::from_millis(5))
        .build()
        .unwrap();
    let load = InferenceEngine::load(configuration()).with_backend(std::sync::Arc::new(backend));
    let engine = block_on(load.into_future()).unwrap();
    let mut params = GenerateParams::greedy().with_max_tokens(8000);
    params.ignore_eos = true;
    let mut events = block_on_stream(engine.events("Go on", params).unwrap());
    while !matches!(
        events.next().unwrap().unwrap(),
        GenerationEvent::Delta { .. }
    ) {}
    block_on(engine.unload()).unwrap();
    let end = events.find(Result::is_err).unwrap();
    assert!(matches!(end, Err(Error::Unloaded { .. })));
    assert!(events.next().is_none());
}

#[test]
fn memory_is_reported_and_trimmed() {
    let engine = engine("x");
    let memory = block_on(engine.memory()).unwrap();
    assert_eq!(memory.weight_bytes, engine.info().model.weight_bytes);
    assert_eq!(memory.sequences, 0);
    block_on(engine.trim()).unwrap();
}

#[test]
fn an_engine_from_elsewhere_can_be_wrapped() {
    let inner = engine("Wrapped.");
    let outer = InferenceEngine::new(inner.as_engine().clone(), GenerateParams::greedy());
    let request = GenerateRequest::text("x").with_params(outer.params().clone());
    let events = block_on_stream(outer.start(request).unwrap());
    let text: String = events
        .filter_map(|event| match event.unwrap() {
            GenerationEvent::Delta { text, .. } => Some(text),
            _ => None,
        })
        .collect();
    assert_eq!(text, "Wrapped.");
}
