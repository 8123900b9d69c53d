//! What a token costs beside the model, at a vocabulary of 150,000.
//!
//! The time from the moment a model has handed out its logits to the moment it is asked for the
//! next ones: mask, samplers, detokenizer, stop strings, delivery of the event. Each figure is the
//! median over the tokens of many answers.

mod model;
mod vocabulary;

use std::{hint::black_box, sync::Arc, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use engine_core::{
    Constraint, Dry, Engine, EngineExt, GenerateParams, GenerateRequest, LoopGuard, Mirostat, Xtc,
};
use engine_runtime::{Sampler, TokenClasses};
use futures_executor::block_on;
use serde_json::json;

use self::model::{Gaps, Shape, load};

/// Tokens of an answer that is measured.
const ANSWER: u32 = 256;

fn sampled() -> GenerateParams {
    GenerateParams {
        ignore_eos: true,
        ..GenerateParams::default()
            .with_temperature(0.8)
            .with_seed(1)
            .with_max_tokens(ANSWER)
    }
}

/// Settings by name, from the plainest to the fullest.
fn settings() -> Vec<(&'static str, GenerateParams)> {
    let filtered = GenerateParams {
        top_k: Some(40),
        top_p: 0.95,
        min_p: 0.05,
        ..sampled()
    };
    vec![
        (
            "greedy",
            GenerateParams {
                temperature: 0.0,
                ..sampled()
            },
        ),
        ("temperature", sampled()),
        (
            "top_p",
            GenerateParams {
                top_p: 0.95,
                ..sampled()
            },
        ),
        (
            "top_p min_p",
            GenerateParams {
                top_p: 0.95,
                min_p: 0.05,
                ..sampled()
            },
        ),
        ("top_k top_p min_p", filtered.clone()),
        (
            "typical_p",
            GenerateParams {
                typical_p: 0.95,
                ..sampled()
            },
        ),
        (
            "mirostat",
            GenerateParams {
                mirostat: Some(Mirostat::default()),
                ..sampled()
            },
        ),
        (
            "everything",
            GenerateParams {
                typical_p: 0.98,
                xtc: Some(Xtc::default()),
                repetition_penalty: 1.1,
                presence_penalty: 0.2,
                frequency_penalty: 0.1,
                dry: Some(Dry::default()),
                logit_bias: [(1000, 2.0), (2000, -3.0)].into(),
                loop_guard: Some(LoopGuard::default()),
                stop: vec!["\u{1}never".to_owned(), "neither".repeat(3)],
                ..filtered.clone()
            },
        ),
        ("logprobs", sampled().with_logprobs(5)),
        (
            "logprobs top_p",
            GenerateParams {
                top_p: 0.95,
                ..sampled().with_logprobs(5)
            },
        ),
        ("logprobs top_k top_p min_p", filtered.with_logprobs(5)),
    ]
}

/// Answers until `count` tokens are there, and returns the median gap, `count` times.
fn measure(engine: &dyn Engine, gaps: &Gaps, params: &GenerateParams, count: u64) -> Duration {
    let mut all = Vec::new();
    let mut seed = 0;
    // A few answers each time, so that a median says something.
    while all.len() < 512 || (all.len() as u64) < count.min(2048) {
        seed += 1;
        let params = params.clone().with_seed(seed);
        let request = GenerateRequest::text("Once upon a time").with_params(params);
        block_on(engine.complete(black_box(request))).expect("an answer");
        all.extend(gaps.take());
    }
    let middle = all.len() / 2;
    let (_, median, _) = all.select_nth_unstable(middle);
    *median * count as u32
}

fn samplers(criterion: &mut Criterion) {
    for (shape_name, shape) in [("peaked", Shape::Peaked), ("broad", Shape::Broad)] {
        let (engine, gaps) = load(shape, Duration::ZERO);
        let mut group = criterion.benchmark_group(format!("token/{shape_name}"));
        for (name, params) in settings() {
            group.bench_function(name, |bench| {
                bench.iter_custom(|count| measure(engine.as_ref(), &gaps, &params, count));
            });
        }
    }
}

fn constraints(criterion: &mut Criterion) {
    let person = json!({
        "type": "object",
        "properties": {
            "name": { "type": "string", "maxLength": 40 },
            "age": { "type": "integer", "minimum": 0, "maximum": 120 },
            "tags": { "type": "array", "items": { "type": "string" }, "maxItems": 5 },
            "address": {
                "type": "object",
                "properties": {
                    "street": { "type": "string" },
                    "zip": { "type": "string", "pattern": "^[0-9]{5}$" },
                    "kind": { "enum": ["home", "work", "other"] },
                },
                "required": ["street", "zip", "kind"],
                "additionalProperties": false,
            },
        },
        "required": ["name", "age", "tags", "address"],
        "additionalProperties": false,
    });
    let forms = [
        ("json_object", Constraint::JsonObject),
        ("json_schema", Constraint::JsonSchema(person)),
        (
            "regex",
            Constraint::Regex("([A-Z][a-z]{2,12}( |, )){4,40}".to_owned()),
        ),
        (
            "lark",
            Constraint::Lark(
                "start: (WORD \"=\" NUMBER \";\")+\nWORD: /[a-z]{1,12}/\nNUMBER: /[0-9]{1,6}/"
                    .to_owned(),
            ),
        ),
    ];
    // The mask for a token is found while the model computes. One that takes no time shows what it
    // costs, and one that is faster than any real model what is left of that.
    for (group, step) in [("constraint", 0), ("constraint, step of 1 ms", 1)] {
        let (engine, gaps) = load(Shape::Peaked, Duration::from_millis(step));
        let engine: Arc<dyn Engine> = engine;
        let mut group = criterion.benchmark_group(group);
        for (name, constraint) in &forms {
            for (choice, temperature) in [("greedy", 0.0), ("sampled", 0.8)] {
                let params = GenerateParams {
                    temperature,
                    ignore_eos: false,
                    ..sampled().with_constraint(constraint.clone())
                };
                group.bench_function(format!("{name}, {choice}"), |bench| {
                    bench.iter_custom(|count| measure(engine.as_ref(), &gaps, &params, count));
                });
            }
        }
    }
}

/// The choice alone, without engine and events.
fn choice(criterion: &mut Criterion) {
    let rows = Shape::Peaked.rows(8);
    let mut group = criterion.benchmark_group("choice");
    for (name, params) in settings() {
        let mut sampler =
            Sampler::new("bench", &params, &[1, 2, 3], TokenClasses::default()).expect("a sampler");
        let mut next = 0;
        group.bench_function(name, |bench| {
            bench.iter(|| {
                next = (next + 1) % rows.len();
                sampler
                    .choose(black_box(&rows[next]), None)
                    .expect("a token")
            });
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = choice, samplers, constraints
}
criterion_main!(benches);
