//! Every family against what mlx-lm computes: `fixtures/goldens.json`.

use engine_core::{
    ComputeType, DeviceInput, DeviceRun, Error, Logits, LogitsWanted, Model, Progress, Run, TokenId,
};
use engine_mlx::MlxModel;
use safetensors::Dtype;
use serde_json::Value;

use super::{
    mlx_process::beside_others,
    tiny::{Tiny, greedy_on_host, on_cpu, rows_of},
};

struct Golden {
    name: String,
    tiny: Tiny,
    prompt: Vec<TokenId>,
    last_logits: Vec<Vec<f32>>,
    greedy: Vec<TokenId>,
}

fn goldens() -> Vec<Golden> {
    let goldens: Vec<Value> =
        serde_json::from_str(include_str!("../../fixtures/goldens.json")).unwrap();
    assert_eq!(goldens.len(), 12);
    let tokens = |value: &Value| -> Vec<TokenId> { serde_json::from_value(value.clone()).unwrap() };
    goldens
        .iter()
        .map(|golden| {
            let dtype = match golden["dtype"].as_str().unwrap() {
                "F16" => Dtype::F16,
                "BF16" => Dtype::BF16,
                _ => Dtype::F32,
            };
            Golden {
                name: golden["name"].as_str().unwrap().to_owned(),
                tiny: Tiny::new(&golden["config"], dtype),
                prompt: tokens(&golden["prompt"]),
                last_logits: serde_json::from_value(golden["last_logits"].clone()).unwrap(),
                greedy: tokens(&golden["greedy"]),
            }
        })
        .collect()
}

impl Golden {
    /// MLX's CPU device has no kernel for them in half types.
    fn has_plain_experts(&self) -> bool {
        let config = &self.tiny.config;
        config.contains_key("num_experts") && !config.contains_key("quantization")
    }
}

fn load(golden: &Golden, compute: ComputeType) -> MlxModel {
    let folder = golden.tiny.write();
    let mut request = on_cpu(folder.path());
    request.options.compute = compute;
    MlxModel::load(&request, &Progress::silent()).unwrap()
}

/// The largest difference of two rows, over the largest magnitude of the expected one.
fn apart(row: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(row.len(), expected.len());
    let largest = expected.iter().fold(0f32, |most, x| most.max(x.abs()));
    let most = row
        .iter()
        .zip(expected)
        .map(|(a, b)| (a - b).abs())
        .fold(0f32, f32::max);
    most / largest
}

#[test]
fn logits_are_those_of_mlx_lm() {
    let _process = beside_others();
    for golden in goldens() {
        let mut model = load(&golden, ComputeType::Auto);
        assert_eq!(model.info().compute, ComputeType::F32);
        let rows = rows_of(&mut model, &golden.prompt);
        assert_eq!(rows.len(), golden.prompt.len());
        let last = &rows[rows.len() - golden.last_logits.len()..];
        for (row, expected) in last.iter().zip(&golden.last_logits) {
            let apart = apart(row, expected);
            assert!(apart < 1e-5, "{}: {apart} apart", golden.name);
        }
    }
}

#[test]
fn likeliest_tokens_are_those_of_mlx_lm() {
    let _process = beside_others();
    for golden in goldens() {
        let mut model = load(&golden, ComputeType::Auto);
        let count = golden.greedy.len();
        assert_eq!(
            greedy_on_host(&mut model, &golden.prompt, count),
            golden.greedy,
            "{} on the host",
            golden.name
        );
        assert_eq!(
            greedy_on_device(&mut model, &golden.prompt, count),
            golden.greedy,
            "{} on the device",
            golden.name
        );
    }
}

/// As a generation does it: a step starts before the token of the last one is read.
fn greedy_on_device(model: &mut MlxModel, prompt: &[TokenId], count: usize) -> Vec<TokenId> {
    let sequence = model.open().unwrap();
    let mut step = |input| {
        let run = DeviceRun { sequence, input };
        model.step_greedy(&[run]).unwrap()[0]
    };
    let mut chosen = vec![step(DeviceInput::Tokens(prompt))];
    while chosen.len() < count {
        chosen.push(step(DeviceInput::Chosen(chosen[chosen.len() - 1])));
    }
    let tokens = chosen
        .into_iter()
        .map(|token| model.read_token(token).unwrap())
        .collect();
    model.close(sequence).unwrap();
    tokens
}

#[test]
fn pieces_of_any_size_give_the_logits_of_the_whole() {
    let _process = beside_others();
    for golden in goldens() {
        let mut model = load(&golden, ComputeType::Auto);
        let whole = rows_of(&mut model, &golden.prompt);
        for piece in [1, 2, 5] {
            let sequence = model.open().unwrap();
            let mut logits = Logits::new();
            let mut rows = Vec::new();
            for tokens in golden.prompt.chunks(piece) {
                let run = Run {
                    sequence,
                    tokens,
                    logits: LogitsWanted::All,
                };
                model.forward(&[run], &mut logits).unwrap();
                rows.extend(logits.rows(0).map(<[f32]>::to_vec));
            }
            for (row, expected) in rows.iter().zip(&whole) {
                let apart = apart(row, expected);
                assert!(apart < 1e-5, "{} by {piece}: {apart} apart", golden.name);
            }
        }
    }
}

#[test]
fn half_types_come_near() {
    let _process = beside_others();
    for golden in goldens()
        .iter()
        .filter(|golden| !golden.has_plain_experts())
    {
        for (compute, tolerance) in [(ComputeType::F16, 0.02), (ComputeType::Bf16, 0.1)] {
            let mut model = load(golden, compute);
            assert_eq!(model.info().compute, compute);
            let rows = rows_of(&mut model, &golden.prompt);
            let apart = apart(rows.last().unwrap(), golden.last_logits.last().unwrap());
            assert!(
                apart < tolerance,
                "{} in {compute:?}: {apart} apart",
                golden.name
            );
            assert!(
                apart > 0.0,
                "{} is not computed in {compute:?}",
                golden.name
            );
        }
    }
}

#[test]
fn the_stored_type_is_that_of_the_files() {
    let _process = beside_others();
    for golden in goldens() {
        let stored = match golden.tiny.tensors["model.norm.weight"].dtype {
            Dtype::F16 => ComputeType::F16,
            Dtype::BF16 => ComputeType::Bf16,
            _ => ComputeType::F32,
        };
        let model = load(&golden, ComputeType::Stored);
        assert_eq!(model.info().compute, stored, "{}", golden.name);
    }
}

#[test]
fn what_the_device_has_no_kernel_for_is_refused_at_load() {
    let _process = beside_others();
    let golden = goldens()
        .into_iter()
        .find(Golden::has_plain_experts)
        .unwrap();
    let folder = golden.tiny.write();
    let mut request = on_cpu(folder.path());
    request.options.compute = ComputeType::F16;
    let error = MlxModel::load(&request, &Progress::silent()).unwrap_err();
    assert!(
        matches!(&error, Error::UnsupportedModel { reason, .. } if reason.contains("f32 only")),
        "{error}"
    );
}

#[test]
fn experts_may_lie_there_one_by_one() {
    let _process = beside_others();
    for mut golden in goldens().into_iter().filter(Golden::has_plain_experts) {
        golden.tiny.separate_experts();
        let mut model = load(&golden, ComputeType::Auto);
        let count = golden.greedy.len();
        let greedy = greedy_on_host(&mut model, &golden.prompt, count);
        assert_eq!(greedy, golden.greedy, "{}", golden.name);
    }
}

#[test]
fn sequences_of_any_lengths_go_in_step() {
    let _process = beside_others();
    for golden in goldens() {
        let mut model = load(&golden, ComputeType::Auto);
        let prompts: Vec<&[TokenId]> = [12, 3, 7, 1].map(|len| &golden.prompt[..len]).to_vec();
        let alone: Vec<_> = prompts
            .iter()
            .map(|prompt| greedy_on_device(&mut model, prompt, 8))
            .collect();
        assert_eq!(
            greedy_in_step(&mut model, &prompts, 8),
            alone,
            "{}",
            golden.name
        );
    }
}

/// All prompts at once: each on its own first, then all in one batch, whose members change.
fn greedy_in_step(model: &mut MlxModel, prompts: &[&[TokenId]], count: usize) -> Vec<Vec<TokenId>> {
    let sequences: Vec<_> = prompts.iter().map(|_| model.open().unwrap()).collect();
    let mut last: Vec<_> = sequences
        .iter()
        .zip(prompts)
        .map(|(sequence, prompt)| {
            let input = DeviceInput::Tokens(prompt);
            let run = DeviceRun {
                sequence: *sequence,
                input,
            };
            model.step_greedy(&[run]).unwrap()[0]
        })
        .collect();
    let mut tokens = vec![Vec::new(); prompts.len()];
    for step in 1..=count {
        // Now all of them, now all but one, now in another order.
        let mut members: Vec<usize> = (0..prompts.len()).collect();
        if step % 3 == 0 {
            members.rotate_left(1);
        }
        let left_out = (step % 4 == 2).then(|| members.remove(step % prompts.len()));
        let mut groups = vec![members];
        groups.extend(left_out.map(|one| vec![one]));
        for group in groups {
            let runs: Vec<_> = group
                .iter()
                .map(|index| DeviceRun {
                    sequence: sequences[*index],
                    input: DeviceInput::Chosen(last[*index]),
                })
                .collect();
            let next = if step < count {
                model.step_greedy(&runs).unwrap()
            } else {
                Vec::new()
            };
            for (place, index) in group.into_iter().enumerate() {
                tokens[index].push(model.read_token(last[index]).unwrap());
                if let Some(next) = next.get(place) {
                    last[index] = *next;
                }
            }
        }
    }
    for sequence in sequences {
        model.close(sequence).unwrap();
    }
    assert_eq!(model.memory().kv_bytes, 0);
    tokens
}
