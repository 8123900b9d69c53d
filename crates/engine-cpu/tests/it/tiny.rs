//! Tiny models, written to a folder of their own.
//!
//! Each number is a hash of its tensor's name and its place, as in `make_goldens.py` of `engine-mlx`.

use std::{collections::BTreeMap, fs, path::Path};

use engine_core::{LoadRequest, Logits, LogitsWanted, Model, Progress, Run, TokenId};
use engine_cpu::CpuModel;
use half::{bf16, f16};
use model_arch::{DecoderSpec, TensorSpec};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

/// A tensor as it is written.
#[derive(Clone, Debug)]
pub(super) struct TinyTensor {
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    pub(super) bytes: Vec<u8>,
}

/// A model about to be written.
#[derive(Clone, Debug)]
pub(super) struct Tiny {
    pub(super) config: Map<String, Value>,
    pub(super) tensors: BTreeMap<String, TinyTensor>,
}

impl Tiny {
    /// The model of a configuration, its numbers of this type.
    pub(super) fn new(config: &Value, dtype: Dtype) -> Self {
        let config = config.as_object().unwrap().clone();
        let spec = DecoderSpec::from_config(&config).unwrap();
        let mut tensors = BTreeMap::new();
        for tensor in spec.tensors() {
            let affine = spec
                .quantization
                .as_ref()
                .filter(|_| tensor.quantizable)
                .and_then(|plan| plan.for_module(tensor.module()));
            match affine {
                None => {
                    let numbers = plain(&tensor);
                    let written = numbers_as(dtype, &tensor.shape, &numbers);
                    tensors.insert(tensor.name, written);
                }
                Some(affine) => packed(
                    &tensor,
                    affine.group_size as usize,
                    affine.bits as usize,
                    dtype,
                    &mut tensors,
                ),
            }
        }
        Self { config, tensors }
    }

    /// A llama of two layers with 288 tokens.
    pub(super) fn llama() -> Self {
        Self::new(&llama_config(), Dtype::F32)
    }

    /// Writes the model with a tokenizer of bytes, in one safetensors file.
    pub(super) fn write(&self) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        self.write_text(folder.path());
        let names: Vec<_> = self.tensors.keys().cloned().collect();
        self.write_shard(folder.path(), "model.safetensors", &names);
        folder
    }

    /// Configuration, tokenizer and chat template.
    pub(super) fn write_text(&self, folder: &Path) {
        let write = |name: &str, value: String| fs::write(folder.join(name), value).unwrap();
        write("config.json", Value::from(self.config.clone()).to_string());
        write("tokenizer.json", tokenizer_json());
        write(
            "tokenizer_config.json",
            json!({"eos_token": "<|end|>", "chat_template": CHAT_TEMPLATE}).to_string(),
        );
    }

    /// Some of the tensors as a file.
    pub(super) fn write_shard(&self, folder: &Path, file: &str, names: &[String]) {
        let views = names.iter().map(|name| {
            let tensor = &self.tensors[name];
            let view = TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes).unwrap();
            (name, view)
        });
        safetensors::serialize_to_file(views, None, &folder.join(file)).unwrap();
    }

    /// Sets a member of the configuration, leaving the tensors as they are.
    pub(super) fn with_config(mut self, key: &str, value: Value) -> Self {
        self.config.insert(key.to_owned(), value);
        self
    }
}

pub(super) fn llama_config() -> Value {
    json!({
        "model_type": "llama",
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "intermediate_size": 128,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-5,
        "vocab_size": 288,
        "max_position_embeddings": 512,
        "rope_theta": 10000.0,
        "tie_word_embeddings": false,
        "eos_token_id": 257,
    })
}

/// Loads a model with two threads.
pub(super) fn load(path: &Path) -> CpuModel {
    CpuModel::load(&with_threads(path, 2), &Progress::silent()).unwrap()
}

/// A request for a number of threads.
pub(super) fn with_threads(path: &Path, threads: u32) -> LoadRequest {
    let mut request = LoadRequest::new(path);
    request.options.threads = Some(threads);
    request
}

/// All rows of logits of one run in a new sequence.
pub(super) fn rows_of(model: &mut CpuModel, tokens: &[TokenId]) -> Vec<Vec<f32>> {
    let sequence = model.open().unwrap();
    let mut logits = Logits::new();
    let run = Run {
        sequence,
        tokens,
        logits: LogitsWanted::All,
    };
    model.forward(&[run], &mut logits).unwrap();
    model.close(sequence).unwrap();
    logits.rows(0).map(<[f32]>::to_vec).collect()
}

/// The likeliest tokens one after another.
pub(super) fn greedy(model: &mut CpuModel, prompt: &[TokenId], count: usize) -> Vec<TokenId> {
    let sequence = model.open().unwrap();
    let mut logits = Logits::new();
    let mut tokens = Vec::new();
    let mut input = prompt.to_vec();
    while tokens.len() < count {
        let run = Run {
            sequence,
            tokens: &input,
            logits: LogitsWanted::Last,
        };
        model.forward(&[run], &mut logits).unwrap();
        let row = logits.last(0).unwrap();
        let best = (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b]));
        input = vec![best.unwrap() as TokenId];
        tokens.extend(&input);
    }
    model.close(sequence).unwrap();
    tokens
}

fn splitmix(x: u64) -> u64 {
    let z = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn hashes(name: &str, count: usize) -> impl Iterator<Item = u64> {
    let seed = name.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |seed, byte| {
        (seed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    (0..count as u64)
        .map(move |place| splitmix(seed.wrapping_add(place.wrapping_mul(0x9E37_79B9_7F4A_7C15))))
}

/// Numbers from -1 to 1.
fn units(name: &str, count: usize) -> impl Iterator<Item = f32> {
    hashes(name, count).map(|hash| (hash >> 40) as f32 * 2f32.powi(-23) - 1.0)
}

fn plain(tensor: &TensorSpec) -> Vec<f32> {
    let count = tensor.shape.iter().product();
    let is_embedding = tensor.name.ends_with("embed_tokens.weight");
    let is_vector = tensor.shape.len() == 1;
    units(&tensor.name, count)
        .map(|unit| {
            if is_embedding {
                unit
            } else if tensor.is_bias() || !is_vector {
                unit * 0.25
            } else {
                1.0 + unit * 0.125
            }
        })
        .collect()
}

fn packed(
    tensor: &TensorSpec,
    group_size: usize,
    bits: usize,
    dtype: Dtype,
    tensors: &mut BTreeMap<String, TinyTensor>,
) {
    let module = tensor.module();
    let (&inputs, outer) = tensor.shape.split_last().unwrap();
    let with_columns = |columns: usize| [outer, &[columns]].concat();
    let numbers: usize = tensor.shape.iter().product();
    let words: Vec<u8> = hashes(&tensor.name, numbers * bits / 32)
        .flat_map(|hash| ((hash >> 32) as u32).to_le_bytes())
        .collect();
    let groups = with_columns(inputs / group_size);
    let spread = if module.ends_with("embed_tokens") {
        4.0
    } else {
        1.0
    };
    let width = spread * 0.5 / (1u32 << bits) as f32;
    let middle = ((1u32 << bits) - 1) as f32 / 2.0;
    let (scales, biases) = (format!("{module}.scales"), format!("{module}.biases"));
    let count = groups.iter().product();
    let scale: Vec<f32> = units(&scales, count)
        .map(|unit| width * (1.0 + unit * 0.5))
        .collect();
    let bias: Vec<f32> = units(&biases, count)
        .zip(&scale)
        .map(|(unit, scale)| -(scale * middle * (1.0 + unit * 0.125)))
        .collect();
    tensors.insert(scales, numbers_as(dtype, &groups, &scale));
    tensors.insert(biases, numbers_as(dtype, &groups, &bias));
    tensors.insert(
        tensor.name.clone(),
        TinyTensor {
            dtype: Dtype::U32,
            shape: with_columns(inputs * bits / 32),
            bytes: words,
        },
    );
}

/// Numbers as a file stores them.
pub(super) fn numbers_as(dtype: Dtype, shape: &[usize], numbers: &[f32]) -> TinyTensor {
    let bytes = match dtype {
        Dtype::F16 => bytes_of(numbers, |x| f16::from_f32(x).to_le_bytes()),
        Dtype::BF16 => bytes_of(numbers, |x| bf16::from_f32(x).to_le_bytes()),
        Dtype::F32 => bytes_of(numbers, f32::to_le_bytes),
        other => panic!("numbers are not written as {other:?}"),
    };
    TinyTensor {
        dtype,
        shape: shape.to_vec(),
        bytes,
    }
}

fn bytes_of<const N: usize>(numbers: &[f32], convert: impl Fn(f32) -> [u8; N]) -> Vec<u8> {
    numbers.iter().flat_map(|x| convert(*x)).collect()
}

const CHAT_TEMPLATE: &str = "{%- for message in messages -%}\
{{ '<|turn|>' + message['role'] + ': ' + message['content'] + '<|end|>' }}\
{%- endfor -%}{{ '<|turn|>assistant: ' }}";

/// Bytes as tokens 0 to 255, `<|turn|>` as 256 and `<|end|>` as 257.
fn tokenizer_json() -> String {
    // GPT-2's stand-ins: printable Latin-1 for itself, the others from U+0100 on.
    let printable = |byte: u8| matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
    let mut others = 0x100..;
    let vocab: Map<String, Value> = (0..=u8::MAX)
        .map(|byte| {
            let stand_in = if printable(byte) {
                char::from(byte)
            } else {
                char::from_u32(others.next().unwrap()).unwrap()
            };
            (stand_in.to_string(), json!(byte))
        })
        .collect();
    let special = |id: u32, content: &str| {
        json!({
            "id": id, "content": content, "special": true, "normalized": false,
            "single_word": false, "lstrip": false, "rstrip": false,
        })
    };
    let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [special(256, "<|turn|>"), special(257, "<|end|>")],
        "normalizer": null,
        "pre_tokenizer": byte_level,
        "post_processor": null,
        "decoder": byte_level,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null,
            "continuing_subword_prefix": null, "end_of_word_suffix": null,
            "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": vocab, "merges": [],
        },
    })
    .to_string()
}
