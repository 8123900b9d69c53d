//! Large models of random weights: speed does not depend on what the weights are.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, json};

use crate::error::Error;
use crate::layout::{self, Layout, Workshop};
use crate::progress;

/// The sizes of a Llama.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) name: &'static str,
    hidden: usize,
    inner: usize,
    layers: usize,
    heads: usize,
    kv_heads: usize,
    vocab: usize,
}

/// 1.5 billion weights.
pub(super) const SMALL: Shape = Shape {
    name: "1.5B",
    hidden: 2048,
    inner: 8192,
    layers: 22,
    heads: 32,
    kv_heads: 8,
    vocab: 32_000,
};

/// The 7 billion weights of Llama 2.
pub(super) const LARGE: Shape = Shape {
    name: "7B",
    hidden: 4096,
    inner: 11_008,
    layers: 32,
    heads: 32,
    kv_heads: 32,
    vocab: 32_000,
};

const CONTEXT: usize = 4096;
const GROUP: usize = 64;

/// A model in both forms: four bits in groups of 64 for us, and for llama.cpp its two kinds of
/// blocks.
#[derive(Clone, Debug)]
pub(super) struct RandomModel {
    pub(super) shape: Shape,
    pub(super) mlx: PathBuf,
    pub(super) q4_0: PathBuf,
    pub(super) q4_1: PathBuf,
}

/// A matrix: the name of its module in Hugging Face's and in GGML's terms, and its sizes.
type MatrixShape = (String, String, usize, usize);

impl Shape {
    fn matrices(&self) -> Vec<MatrixShape> {
        let Self {
            hidden,
            inner,
            vocab,
            ..
        } = *self;
        let kv = hidden / self.heads * self.kv_heads;
        let mut all = vec![(
            "model.embed_tokens".to_owned(),
            "token_embd".to_owned(),
            vocab,
            hidden,
        )];
        for layer in 0..self.layers {
            for (hf, ggml, rows, columns) in [
                ("self_attn.q_proj", "attn_q", hidden, hidden),
                ("self_attn.k_proj", "attn_k", kv, hidden),
                ("self_attn.v_proj", "attn_v", kv, hidden),
                ("self_attn.o_proj", "attn_output", hidden, hidden),
                ("mlp.gate_proj", "ffn_gate", inner, hidden),
                ("mlp.up_proj", "ffn_up", inner, hidden),
                ("mlp.down_proj", "ffn_down", hidden, inner),
            ] {
                let hf = format!("model.layers.{layer}.{hf}");
                all.push((hf, format!("blk.{layer}.{ggml}"), rows, columns));
            }
        }
        all.push(("lm_head".to_owned(), "output".to_owned(), vocab, hidden));
        all
    }

    fn norms(&self) -> Vec<(String, String)> {
        let layers = (0..self.layers).flat_map(|layer| {
            [
                ("input_layernorm", "attn_norm"),
                ("post_attention_layernorm", "ffn_norm"),
            ]
            .map(|(hf, ggml)| {
                (
                    format!("model.layers.{layer}.{hf}.weight"),
                    format!("blk.{layer}.{ggml}.weight"),
                )
            })
        });
        layers
            .chain([(
                "model.norm.weight".to_owned(),
                "output_norm.weight".to_owned(),
            )])
            .collect()
    }

    /// Bytes of weights that a token takes in our form: all but the embedding, of which it takes a
    /// row.
    pub(super) fn bytes_per_token(&self) -> f64 {
        let weights: usize = self
            .matrices()
            .iter()
            .skip(1)
            .map(|(_, _, rows, columns)| rows * columns)
            .sum();
        weights as f64 * (0.5 + 4.0 / GROUP as f64)
    }
}

/// Writes the model unless it is there.
pub(super) fn ensure(layout: &Layout, shape: Shape) -> Result<RandomModel, Error> {
    let folder = layout.models().join(format!("random-{}", shape.name));
    let model = |folder: &Path| RandomModel {
        shape,
        mlx: folder.join("mlx"),
        q4_0: folder.join("q4_0.gguf"),
        q4_1: folder.join("q4_1.gguf"),
    };
    if !folder.is_dir() {
        let workshop: Workshop = layout.lock()?;
        let unfinished = workshop.unfinished()?;
        let new = unfinished.path().join("model");
        let parts = model(&new);
        let _step = progress::spinner(&format!("Writing a random model of {}", shape.name));
        fs::create_dir_all(&parts.mlx).map_err(|e| Error::io("create", &parts.mlx, e))?;
        write_mlx(&shape, &parts.mlx)?;
        write_gguf(&shape, &parts.q4_0, 2, 18)?;
        write_gguf(&shape, &parts.q4_1, 3, 20)?;
        layout::put_in_place(&new, &folder)?;
    }
    Ok(model(&folder))
}

/// Numbers that look random, and are the same each time.
struct Random(u64);

impl Random {
    fn fill(&mut self, bytes: &mut [u8]) {
        for eight in bytes.chunks_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            eight.copy_from_slice(&self.0.to_le_bytes()[..eight.len()]);
        }
    }
}

/// A scale that keeps activations about as large as they were: nibbles spread by 4.6.
fn scale(columns: usize) -> f32 {
    1.0 / (4.6 * (columns as f32).sqrt())
}

/// The bits of a half for a number from 2^-14 to 2^15, cut off.
fn half(x: f32) -> [u8; 2] {
    let bits = x.to_bits();
    let exponent = (bits >> 23 & 0xff).saturating_sub(112);
    let half = bits >> 16 & 0x8000 | exponent << 10 | bits >> 13 & 0x3ff;
    (half as u16).to_le_bytes()
}

fn write_mlx(shape: &Shape, folder: &Path) -> Result<(), Error> {
    let config = json!({
        "model_type": "llama", "hidden_size": shape.hidden, "num_hidden_layers": shape.layers,
        "intermediate_size": shape.inner, "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads, "rms_norm_eps": 1e-5, "vocab_size": shape.vocab,
        "max_position_embeddings": CONTEXT, "rope_theta": 10000.0, "tie_word_embeddings": false,
        "quantization": {"group_size": GROUP, "bits": 4},
    });
    layout::write_whole(&folder.join("config.json"), &config.to_string())?;
    layout::write_whole(&folder.join("tokenizer.json"), "{}")?;
    let mut header = Map::new();
    let mut end = 0;
    let mut add = |name: String, dtype: &str, shape: Vec<usize>, bytes: usize| {
        let offsets = [end, end + bytes];
        end += bytes;
        header.insert(
            name,
            json!({"dtype": dtype, "shape": shape, "data_offsets": offsets}),
        );
    };
    for (name, _) in shape.norms() {
        add(name, "F32", vec![shape.hidden], shape.hidden * 4);
    }
    for (module, _, rows, columns) in shape.matrices() {
        let groups = columns / GROUP;
        add(
            format!("{module}.weight"),
            "U32",
            vec![rows, columns / 8],
            rows * columns / 2,
        );
        for part in ["scales", "biases"] {
            add(
                format!("{module}.{part}"),
                "F16",
                vec![rows, groups],
                rows * groups * 2,
            );
        }
    }
    let mut header = json!(header).to_string();
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    write_file(&folder.join("model.safetensors"), |out| {
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(header.as_bytes())?;
        for _ in shape.norms() {
            write_ones(out, shape.hidden)?;
        }
        let mut random = Random(1);
        for (_, _, rows, columns) in shape.matrices() {
            let mut row = vec![0; columns / 2];
            for _ in 0..rows {
                random.fill(&mut row);
                out.write_all(&row)?;
            }
            let scale = scale(columns);
            for number in [scale, -7.5 * scale] {
                out.write_all(&half(number).repeat(rows * columns / GROUP))?;
            }
        }
        Ok(())
    })
}

/// A GGUF file of version 3 with matrices of one kind of blocks; see the format's specification at
/// <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.
fn write_gguf(shape: &Shape, path: &Path, kind: u32, block_bytes: usize) -> Result<(), Error> {
    const ALIGNMENT: usize = 32;
    let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let mut pairs: Vec<Vec<u8>> = Vec::new();
    for (key, value) in [
        ("general.architecture", "llama"),
        ("tokenizer.ggml.model", "no_vocab"),
    ] {
        pairs.push([text(key), 8u32.to_le_bytes().to_vec(), text(value)].concat());
    }
    for (key, value) in [
        ("llama.block_count", shape.layers),
        ("llama.context_length", CONTEXT),
        ("llama.embedding_length", shape.hidden),
        ("llama.feed_forward_length", shape.inner),
        ("llama.attention.head_count", shape.heads),
        ("llama.attention.head_count_kv", shape.kv_heads),
        ("llama.rope.dimension_count", shape.hidden / shape.heads),
        ("llama.vocab_size", shape.vocab),
    ] {
        let value = (value as u32).to_le_bytes().to_vec();
        pairs.push([text(key), 4u32.to_le_bytes().to_vec(), value].concat());
    }
    for (key, value) in [
        ("llama.attention.layer_norm_rms_epsilon", 1e-5f32),
        ("llama.rope.freq_base", 10_000.0),
    ] {
        let value = value.to_le_bytes().to_vec();
        pairs.push([text(key), 6u32.to_le_bytes().to_vec(), value].concat());
    }
    let mut tensors: Vec<Vec<u8>> = Vec::new();
    let mut offset = 0usize;
    let mut add = |name: &str, dims: &[usize], kind: u32, bytes: usize| {
        let mut info = text(name);
        info.extend((dims.len() as u32).to_le_bytes());
        for dim in dims {
            info.extend((*dim as u64).to_le_bytes());
        }
        info.extend(kind.to_le_bytes());
        info.extend((offset as u64).to_le_bytes());
        offset += bytes.next_multiple_of(ALIGNMENT);
        tensors.push(info);
    };
    for (_, name) in shape.norms() {
        add(&name, &[shape.hidden], 0, shape.hidden * 4);
    }
    for (_, module, rows, columns) in shape.matrices() {
        let bytes = rows * columns / 32 * block_bytes;
        add(&format!("{module}.weight"), &[columns, rows], kind, bytes);
    }
    let mut header = b"GGUF".to_vec();
    header.extend(3u32.to_le_bytes());
    header.extend((tensors.len() as u64).to_le_bytes());
    header.extend((pairs.len() as u64).to_le_bytes());
    header.extend(pairs.concat());
    header.extend(tensors.concat());
    header.resize(header.len().next_multiple_of(ALIGNMENT), 0);
    write_file(path, |out| {
        out.write_all(&header)?;
        for _ in shape.norms() {
            write_ones(out, shape.hidden)?;
        }
        let mut random = Random(1);
        for (_, _, rows, columns) in shape.matrices() {
            let scale = scale(columns);
            let mut row = vec![0; columns / 32 * block_bytes];
            for _ in 0..rows {
                random.fill(&mut row);
                for block in row.chunks_exact_mut(block_bytes) {
                    block[..2].copy_from_slice(&half(scale));
                    if block_bytes == 20 {
                        block[2..4].copy_from_slice(&half(-7.5 * scale));
                    }
                }
                out.write_all(&row)?;
            }
        }
        Ok(())
    })
}

fn write_ones(out: &mut impl Write, count: usize) -> std::io::Result<()> {
    out.write_all(&1f32.to_le_bytes().repeat(count))
}

fn write_file(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
) -> Result<(), Error> {
    let failed = |e| Error::io("write", path, e);
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).map_err(failed)?);
    write(&mut out).map_err(failed)?;
    out.flush().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_what_they_stand_for() {
        for (number, bits) in [(1.0, 0x3c00u16), (-7.5, 0xc780), (0.0034, 0x1af6)] {
            assert_eq!(half(number), bits.to_le_bytes(), "{number}");
        }
    }

    #[test]
    fn both_forms_of_a_small_model_are_sound() {
        let shape = Shape {
            name: "tiny",
            hidden: 64,
            inner: 128,
            layers: 2,
            heads: 4,
            kv_heads: 2,
            vocab: 96,
        };
        let folder = tempfile::tempdir().unwrap();
        write_mlx(&shape, folder.path()).unwrap();
        let mlx = model_files::Checkpoint::open(folder.path()).unwrap();
        assert_eq!(mlx.tensors().count(), 2 * 2 + 1 + 3 * (2 + 2 * 7));
        for (kind, block_bytes) in [(2, 18), (3, 20)] {
            let path = folder.path().join("model.gguf");
            write_gguf(&shape, &path, kind, block_bytes).unwrap();
            let gguf = model_files::gguf::GgufFile::open(&path).unwrap();
            assert_eq!(gguf.tensors().len(), 2 * 2 + 1 + 2 + 2 * 7);
            let matrix = gguf.tensor("blk.1.ffn_down.weight").unwrap();
            assert_eq!(matrix.shape, [64, 128]);
        }
    }
}
