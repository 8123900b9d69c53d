//! What it takes to read a call that comes in pieces of three characters, by format and length.
//!
//! Four times the length should take four times as long, whatever the arguments are.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use engine_core::ToolFormat::{
    self, DeepSeek, Gemma, Gemma4, Glm4, Harmony, Hermes, Llama3, Llama4, Mistral,
};
use engine_runtime::{OutputGrammar, OutputParser};

/// Bytes of arguments.
const LENGTHS: [usize; 2] = [50_000, 200_000];

/// Calls by name; `REST` stands for what is long.
const CALLS: &[(&str, ToolFormat, &str, &str)] = &[
    (
        "hermes json",
        Hermes,
        "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": \"REST\"}}</tool_call>",
        "words ",
    ),
    (
        "hermes json with tags",
        Hermes,
        "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": \"REST\"}}</tool_call>",
        "</tool_call>",
    ),
    (
        "hermes functions",
        Hermes,
        "<tool_call><function=f>REST</function></tool_call>",
        "<parameter=a>\n1\n</parameter>\n",
    ),
    ("hermes words", Hermes, "<tool_call>REST", "words"),
    (
        "llama 3 object",
        Llama3,
        "<|python_tag|>{\"name\": \"f\", \"parameters\": {\"a\": \"REST\"}}",
        "words ",
    ),
    (
        "llama 3 python",
        Llama3,
        "<|python_tag|>f(a=\"REST\")",
        "words ",
    ),
    (
        "llama 4 python",
        Llama4,
        "<|python_start|>f(a=\"REST\")<|python_end|>",
        "words ",
    ),
    (
        "mistral",
        Mistral,
        "[TOOL_CALLS]f[ARGS]{\"a\": \"REST\"}",
        "words ",
    ),
    ("mistral word", Mistral, "[TOOL_CALLS]REST", "words"),
    ("glm-4", Glm4, "f\n{\"a\": \"REST\"}", "words "),
    ("glm-4 code", Glm4, "enum\n{\n  REST}", "\"a\",\n  "),
    ("glm-4 braces", Glm4, "REST", "a\n{\"\n"),
    ("glm-4 other tools", Glm4, "REST", "a\n{\"b\":\n"),
    ("gemma word", Gemma, "[REST", "words"),
    (
        "gemma block",
        Gemma,
        "```tool_code\nf(a='REST')\n```",
        "``` words ",
    ),
    (
        "gemma 4",
        Gemma4,
        "<|tool_call>call:f{a:<|\"|>REST<|\"|>}<tool_call|>",
        "words ",
    ),
    (
        "harmony",
        Harmony,
        "<|channel|>commentary to=functions.f<|message|>{\"a\": \"REST\"}<|call|>",
        "words ",
    ),
    (
        "deepseek",
        DeepSeek,
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"a\": \"REST\"}\
         <｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        "words ",
    ),
    (
        "deepseek without arguments",
        DeepSeek,
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>REST",
        "words ",
    ),
];

fn call_pieces(criterion: &mut Criterion) {
    for (name, format, call, unit) in CALLS {
        let mut group = criterion.benchmark_group(*name);
        group.sample_size(10);
        let grammar = OutputGrammar {
            thinking: None,
            calls: Some(*format),
            tools: vec!["f".to_owned()],
            harmony: *format == Harmony,
        };
        for length in LENGTHS {
            let answer = call.replace("REST", &unit.repeat(length / unit.len()));
            let chars: Vec<char> = answer.chars().collect();
            let pieces: Vec<String> = chars.chunks(3).map(String::from_iter).collect();
            group.throughput(Throughput::Bytes(answer.len() as u64));
            group.bench_function(BenchmarkId::from_parameter(length), |bencher| {
                bencher.iter(|| {
                    let mut parser = OutputParser::new(&grammar);
                    for piece in &pieces {
                        black_box(parser.push(piece));
                    }
                    black_box(parser.finish())
                });
            });
        }
    }
}

criterion_group!(benches, call_pieces);
criterion_main!(benches);
