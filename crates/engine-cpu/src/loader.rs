//! A checkpoint's weights as a decoder: each tensor is read, packed for the kernels and let go of.

use std::{
    cmp::Reverse,
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use engine_core::{LoadProgress, LoadStage, Progress, Result};
use model_arch::{
    Activation, DecoderSpec, LayerAttention, LayerMlp, NormKind, TensorRole, TensorSpec,
};
use model_files::{Checkpoint, Dtype, Tensor};

use crate::{
    decoder::{Attention, Decoder, Layer, Linear, Mlp, Norm, Precisions, Rope},
    file_errors::{from_files, invalid, missing, unsupported},
    manifest::{Form, Manifest, names},
    matrix::{
        AffineMatrix, AffineSource, Form as Packed, Matrix, NumberKind, PlainMatrix, SourceNumbers,
    },
    memory::ArenaBuilder,
    parallel::Pool,
};

/// Reads all weights, several tensors at a time.
pub(crate) fn load(
    checkpoint: &Checkpoint,
    spec: &DecoderSpec,
    manifest: &Manifest,
    precision: Precisions,
    pool: &mut Pool,
    progress: &Progress,
) -> Result<Decoder> {
    let reading = Reading {
        checkpoint,
        progress,
        total: manifest.bytes,
        done: Mutex::new(0),
        arena: ArenaBuilder::new(),
    };
    reading.report(0)?;
    let mut slots: Vec<_> = manifest
        .tensors
        .iter()
        .map(|(tensor, form)| Slot {
            tensor,
            form: *form,
            weight: None,
        })
        .collect();
    // The largest first: while one is packed it is held twice, and then the others are not yet there.
    slots.sort_by_key(|slot| Reverse(slot.tensor.shape.iter().product::<usize>()));
    pool.for_chunks(&mut slots, 1, 1, |_, _, slots| {
        for slot in slots {
            slot.weight = Some(reading.weight(slot.tensor, slot.form));
        }
    });
    let mut weights = Weights::default();
    for slot in slots {
        let tensor = slot.tensor;
        if let Some(weight) = slot.weight {
            weights
                .0
                .insert((tensor.layer, tensor.role, tensor.is_bias()), weight?);
        }
    }
    weights.assemble(spec, precision, reading.arena)
}

/// The spec can say more than this decoder can do.
pub(crate) fn ensure_implemented(spec: &DecoderSpec) -> Result<()> {
    if spec.norm.kind != NormKind::RmsNorm {
        return Err(unsupported(format!(
            "norms of the kind {:?} are not implemented",
            spec.norm.kind
        )));
    }
    for mlp in &spec.layer_mlp {
        let LayerMlp::Dense(mlp) = mlp else {
            return Err(unsupported(
                "mixtures of experts are not implemented here; the MLX backend has them".to_owned(),
            ));
        };
        if mlp.activation != Activation::Silu {
            return Err(unsupported(format!(
                "the activation {:?} is not implemented",
                mlp.activation
            )));
        }
    }
    Ok(())
}

/// A tensor to read, and what became of it.
struct Slot<'a> {
    tensor: &'a TensorSpec,
    form: Form,
    weight: Option<Result<Weight>>,
}

#[derive(Debug)]
enum Weight {
    Matrix(Matrix),
    Vector(Vec<f32>),
}

/// What the threads that read share.
struct Reading<'a> {
    checkpoint: &'a Checkpoint,
    progress: &'a Progress,
    total: u64,
    done: Mutex<u64>,
    arena: ArenaBuilder,
}

impl Reading<'_> {
    fn weight(&self, tensor: &TensorSpec, form: Form) -> Result<Weight> {
        // Says whether the load was cancelled, before the work rather than after.
        self.report(0)?;
        let weight = match (form, &tensor.shape[..]) {
            (Form::Plain, &[rows, columns]) => {
                let read = self.read(&tensor.name)?;
                let numbers = self.numbers(&read)?;
                Weight::Matrix(Matrix {
                    rows,
                    columns,
                    form: Packed::Plain(PlainMatrix::pack(&numbers, rows, columns, &self.arena)?),
                })
            }
            (Form::Affine(affine), &[rows, columns]) => {
                let parts = names(tensor, form)
                    .iter()
                    .map(|name| self.read(name))
                    .collect::<Result<Vec<_>>>()?;
                let [packed, scales, biases] = &parts[..] else {
                    return Err(missing(tensor.layer, tensor.role));
                };
                let source = AffineSource {
                    rows,
                    columns,
                    bits: affine.bits as usize,
                    group: affine.group_size as usize,
                    packed: &packed.data,
                    scales: self.numbers(scales)?,
                    biases: self.numbers(biases)?,
                };
                Weight::Matrix(Matrix {
                    rows,
                    columns,
                    form: Packed::Affine(AffineMatrix::pack(&source, &self.arena)?),
                })
            }
            _ => {
                let read = self.read(&tensor.name)?;
                let numbers = self.numbers(&read)?;
                let count = tensor.shape.iter().product();
                Weight::Vector((0..count).map(|index| numbers.get(index)).collect())
            }
        };
        let mut bytes = 0;
        for name in names(tensor, form) {
            self.checkpoint.release(&name);
            let info = self.checkpoint.info(&name);
            bytes += info
                .and_then(model_files::TensorInfo::byte_len)
                .unwrap_or(0);
        }
        self.report(bytes as u64)?;
        Ok(weight)
    }

    fn read(&self, name: &str) -> Result<Tensor<'_>> {
        self.checkpoint
            .read(name)
            .map_err(|error| from_files(self.checkpoint.path(), error))
    }

    fn numbers<'t>(&self, tensor: &'t Tensor<'_>) -> Result<SourceNumbers<'t>> {
        let kind = match tensor.info.dtype {
            Dtype::F32 => NumberKind::F32,
            Dtype::F16 => NumberKind::F16,
            Dtype::BF16 => NumberKind::Bf16,
            other => {
                let reason = format!("the tensor {} is of the type {other}", tensor.info.name);
                return Err(invalid(self.checkpoint.path(), reason));
            }
        };
        Ok(SourceNumbers {
            kind,
            bytes: &tensor.data,
        })
    }

    /// Counts bytes as read and says so. Reports come in order, whichever thread makes them.
    fn report(&self, bytes: u64) -> Result<()> {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        *done = (*done + bytes).min(self.total);
        self.progress.report(LoadProgress {
            stage: LoadStage::Weights,
            done_bytes: *done,
            total_bytes: self.total,
        })
    }
}

/// Weights by layer, by what they do, and by whether they are added.
#[derive(Debug, Default)]
struct Weights(HashMap<(Option<u32>, TensorRole, bool), Weight>);

impl Weights {
    fn assemble(
        mut self,
        spec: &DecoderSpec,
        precision: Precisions,
        arena: ArenaBuilder,
    ) -> Result<Decoder> {
        let embedding = self.matrix(None, TensorRole::Embedding)?;
        let layers = (0..spec.layers)
            .map(|layer| self.layer(spec, layer))
            .collect::<Result<_>>()?;
        let norm = self.norm(spec, None, TensorRole::FinalNorm)?;
        let head = if spec.tie_embeddings {
            None
        } else {
            Some(self.linear(None, TensorRole::OutputHead)?)
        };
        Ok(Decoder {
            arena: arena.finish(),
            embedding,
            layers,
            norm,
            head,
            rope: Rope::new(&spec.rope),
            precision,
        })
    }

    fn layer(&mut self, spec: &DecoderSpec, layer: u32) -> Result<Layer> {
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
        Ok(Layer {
            attention_norm: self.norm(spec, of, TensorRole::AttentionNorm)?,
            attention: Attention {
                query: self.linear(of, TensorRole::Query)?,
                key: self.linear(of, TensorRole::Key)?,
                value: self.linear(of, TensorRole::Value)?,
                output: self.linear(of, TensorRole::AttentionOutput)?,
                query_norm,
                key_norm,
                heads: attention.heads as usize,
                kv_heads: attention.kv_heads as usize,
                head_dim: attention.head_dim as usize,
                scale: attention.scale,
                window,
            },
            mlp_norm: self.norm(spec, of, TensorRole::MlpNorm)?,
            mlp: Mlp {
                gate: self.linear(of, TensorRole::Gate)?,
                up: self.linear(of, TensorRole::Up)?,
                down: self.linear(of, TensorRole::Down)?,
            },
        })
    }

    fn linear(&mut self, layer: Option<u32>, role: TensorRole) -> Result<Linear> {
        let bias = match self.0.remove(&(layer, role, true)) {
            Some(Weight::Vector(bias)) => Some(bias),
            _ => None,
        };
        Ok(Linear {
            matrix: self.matrix(layer, role)?,
            bias,
        })
    }

    fn matrix(&mut self, layer: Option<u32>, role: TensorRole) -> Result<Matrix> {
        match self.0.remove(&(layer, role, false)) {
            Some(Weight::Matrix(matrix)) => Ok(matrix),
            _ => Err(missing(layer, role)),
        }
    }

    fn norm(&mut self, spec: &DecoderSpec, layer: Option<u32>, role: TensorRole) -> Result<Norm> {
        match self.0.remove(&(layer, role, false)) {
            Some(Weight::Vector(weight)) => Ok(Norm {
                weight,
                eps: spec.norm.eps,
            }),
            _ => Err(missing(layer, role)),
        }
    }
}
