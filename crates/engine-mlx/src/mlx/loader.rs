//! A checkpoint's weights as a decoder.

use std::collections::HashMap;

use engine_core::{LoadProgress, LoadStage, Progress, Result};
use mlx_rs::{Array, Dtype};
use model_arch::{Activation, DecoderSpec, LayerAttention, NormKind, TensorRole, TensorSpec};
use model_files::{Checkpoint, Dtype as Stored};

use super::{
    affine::{Affine, CpuAffine},
    attention::Attention,
    block::Block,
    compute::Compute,
    decoder::Decoder,
    device::Device,
    embedding::Embedding,
    exception::{Doing, MlxResult},
    file_errors::{from_files, missing, unsupported},
    linear::{Linear, Matrix},
    manifest::{Form, Manifest, biases_of, form, scales_of},
    mlp::Mlp,
    norm::RmsNorm,
    rope::Rope,
    upload::upload,
};

/// What weights are read from, and what they become.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    pub(super) checkpoint: &'a Checkpoint,
    pub(super) spec: &'a DecoderSpec,
    pub(super) manifest: &'a Manifest,
    pub(super) device: &'a Device,
    pub(super) compute: Compute,
}

/// Reads all weights, and returns them with the bytes that they take.
pub(super) fn load(source: Source<'_>, progress: &Progress) -> Result<(Decoder, u64)> {
    ensure_implemented(source.spec)?;
    let mut reading = Reading {
        source,
        progress,
        done: 0,
        held: 0,
    };
    reading.report()?;
    let mut weights = Weights::default();
    for tensor in source.spec.tensors() {
        let weight = reading.weight(&tensor)?;
        weights
            .0
            .insert((tensor.layer, tensor.role, tensor.is_bias()), weight);
    }
    let decoder = weights.assemble(source.spec)?;
    Ok((decoder, reading.held))
}

/// The spec can say more than this decoder can do.
fn ensure_implemented(spec: &DecoderSpec) -> Result<()> {
    if spec.norm.kind != NormKind::RmsNorm {
        return Err(unsupported(format!(
            "norms of the kind {:?} are not implemented",
            spec.norm.kind
        )));
    }
    if spec.mlp.activation != Activation::Silu {
        return Err(unsupported(format!(
            "the activation {:?} is not implemented",
            spec.mlp.activation
        )));
    }
    Ok(())
}

/// Reads tensors one after another, and tells how far it has come.
struct Reading<'a> {
    source: Source<'a>,
    progress: &'a Progress,
    done: u64,
    held: u64,
}

impl Reading<'_> {
    fn weight(&mut self, tensor: &TensorSpec) -> Result<Weight> {
        let Source {
            checkpoint,
            spec,
            device,
            ..
        } = self.source;
        let Form::Affine(affine, _) = form(checkpoint, spec, tensor)? else {
            return Ok(Weight::Plain(self.array(&tensor.name)?));
        };
        let module = tensor.module();
        let matrix = Affine {
            packed: self.array(&tensor.name)?,
            scales: self.array(&scales_of(module))?,
            biases: self.array(&biases_of(module))?,
            group_size: affine.group_size as i32,
            bits: affine.bits as i32,
        };
        let on_cpu = device
            .is_cpu()
            .then(|| device.run(|| CpuAffine::new(&matrix, device.cpu_streams())))
            .transpose()
            .doing("divide a matrix among streams")?;
        Ok(Weight::Packed(Matrix::Affine { matrix, on_cpu }))
    }

    /// A tensor in memory: numbers in the compute type, packed words as they are.
    fn array(&mut self, name: &str) -> Result<Array> {
        let Source {
            checkpoint,
            device,
            compute,
            ..
        } = self.source;
        let tensor = checkpoint
            .read(name)
            .map_err(|error| from_files(checkpoint.path(), error))?;
        let shape: Vec<i32> = tensor.info.shape.iter().map(|dim| *dim as i32).collect();
        let array = device
            .run(|| {
                let array = match tensor.info.dtype {
                    Stored::U32 => upload(&tensor.data, &shape, Dtype::Uint32)?,
                    Stored::F16 => upload(&tensor.data, &shape, Dtype::Float16)?,
                    Stored::BF16 => upload(&tensor.data, &shape, Dtype::Bfloat16)?,
                    _ => upload(&tensor.data, &shape, Dtype::Float32)?,
                };
                let array = match tensor.info.dtype {
                    Stored::U32 => array,
                    _ => array.as_dtype(compute.dtype())?,
                };
                array.eval()?;
                MlxResult::Ok(array)
            })
            .doing(&format!("load the tensor {name}"))?;
        self.done += tensor.data.len() as u64;
        self.held += array.nbytes() as u64;
        self.report()?;
        Ok(array)
    }

    fn report(&self) -> Result<()> {
        let total = self.source.manifest.bytes();
        self.progress.report(LoadProgress {
            stage: LoadStage::Weights,
            done_bytes: self.done.min(total),
            total_bytes: total,
        })
    }
}

#[derive(Debug)]
enum Weight {
    Plain(Array),
    Packed(Matrix),
}

/// Weights by layer, by what they do, and by whether they are added.
#[derive(Debug, Default)]
struct Weights(HashMap<(Option<u32>, TensorRole, bool), Weight>);

impl Weights {
    fn assemble(mut self, spec: &DecoderSpec) -> Result<Decoder> {
        let embedding = Embedding {
            matrix: self.matrix(None, TensorRole::Embedding)?,
        };
        let rope = Rope::new(&spec.rope);
        let blocks = (0..spec.layers)
            .map(|layer| self.block(spec, layer, &rope))
            .collect::<Result<_>>()?;
        let norm = self.norm(spec, None, TensorRole::FinalNorm)?;
        let head = if spec.tie_embeddings {
            None
        } else {
            Some(self.linear(None, TensorRole::OutputHead)?)
        };
        Ok(Decoder {
            embedding,
            blocks,
            norm,
            head,
        })
    }

    fn block(&mut self, spec: &DecoderSpec, layer: u32, rope: &Rope) -> Result<Block> {
        let of = Some(layer);
        let attention = &spec.attention;
        let mut head_norm = |role| {
            attention
                .qk_norm
                .then(|| self.norm(spec, of, role))
                .transpose()
        };
        let query_norm = head_norm(TensorRole::QueryNorm)?;
        let key_norm = head_norm(TensorRole::KeyNorm)?;
        let window = match spec.layer_attention.get(layer as usize) {
            Some(LayerAttention::Full) | None => None,
            Some(LayerAttention::Sliding { window }) => Some(*window as usize),
            Some(other) => {
                return Err(unsupported(format!(
                    "attention of the kind {other:?} is not implemented"
                )));
            }
        };
        Ok(Block {
            input_norm: self.norm(spec, of, TensorRole::AttentionNorm)?,
            attention: Attention {
                query: self.linear(of, TensorRole::Query)?,
                key: self.linear(of, TensorRole::Key)?,
                value: self.linear(of, TensorRole::Value)?,
                output: self.linear(of, TensorRole::AttentionOutput)?,
                query_norm,
                key_norm,
                rope: rope.clone(),
                heads: attention.heads as i32,
                kv_heads: attention.kv_heads as i32,
                head_dim: attention.head_dim as i32,
                scale: attention.scale,
                window,
            },
            post_attention_norm: self.norm(spec, of, TensorRole::MlpNorm)?,
            mlp: Mlp {
                gate: self.linear(of, TensorRole::Gate)?,
                up: self.linear(of, TensorRole::Up)?,
                down: self.linear(of, TensorRole::Down)?,
            },
        })
    }

    fn linear(&mut self, layer: Option<u32>, role: TensorRole) -> Result<Linear> {
        let bias = match self.0.remove(&(layer, role, true)) {
            Some(Weight::Plain(bias)) => Some(bias),
            _ => None,
        };
        Ok(Linear {
            matrix: self.matrix(layer, role)?,
            bias,
        })
    }

    fn matrix(&mut self, layer: Option<u32>, role: TensorRole) -> Result<Matrix> {
        match self.take(layer, role)? {
            Weight::Plain(matrix) => Ok(Matrix::Plain {
                transposed: matrix.transpose().doing("transpose a matrix")?,
            }),
            Weight::Packed(matrix) => Ok(matrix),
        }
    }

    fn norm(
        &mut self,
        spec: &DecoderSpec,
        layer: Option<u32>,
        role: TensorRole,
    ) -> Result<RmsNorm> {
        match self.take(layer, role)? {
            Weight::Plain(weight) => Ok(RmsNorm {
                weight,
                eps: spec.norm.eps,
            }),
            Weight::Packed(_) => Err(missing(layer, role)),
        }
    }

    fn take(&mut self, layer: Option<u32>, role: TensorRole) -> Result<Weight> {
        self.0
            .remove(&(layer, role, false))
            .ok_or_else(|| missing(layer, role))
    }
}
