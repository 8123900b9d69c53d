//! A checkpoint's weights as a decoder: each tensor is read, packed for the kernels and let go of.

use std::{cmp::Reverse, collections::HashMap};

use engine_core::{Progress, Result};
use model_arch::{
    Activation, DecoderSpec, ExpertsSpec, LayerAttention, LayerMlp, NormKind, TensorRole,
    TensorSpec,
};
use model_files::Checkpoint;

use crate::{
    decoder::{
        Attention, Decoder, Dense, ExpertMatrices, Experts, Layer, Linear, Mlp, Norm, Precisions,
        Rope,
    },
    file_errors::{missing, unsupported},
    manifest::{Form, Manifest},
    matrix::Matrix,
    memory::Arena,
    parallel::Pool,
    reading::{Reading, Weight},
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
    let reading = Reading::new(checkpoint, progress, manifest.bytes);
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
    weights.assemble(spec, precision, reading.into_arena())
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
        let activation = match mlp {
            LayerMlp::Dense(mlp) => mlp.activation,
            LayerMlp::Experts(experts) => experts.activation,
            other => {
                return Err(unsupported(format!(
                    "feed-forward parts of the kind {other:?} are not implemented"
                )));
            }
        };
        if activation != Activation::Silu {
            return Err(unsupported(format!(
                "the activation {activation:?} is not implemented"
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

/// Weights by layer, by what they do, and by whether they are added.
#[derive(Debug, Default)]
struct Weights(HashMap<(Option<u32>, TensorRole, bool), Weight>);

impl Weights {
    fn assemble(
        mut self,
        spec: &DecoderSpec,
        precision: Precisions,
        arena: Arena,
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
            arena,
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
            mlp: match spec.layer_mlp.get(layer as usize) {
                Some(LayerMlp::Experts(experts)) => {
                    Mlp::Experts(Box::new(self.experts(of, experts)?))
                }
                _ => Mlp::Dense(Box::new(Dense {
                    gate: self.linear(of, TensorRole::Gate)?,
                    up: self.linear(of, TensorRole::Up)?,
                    down: self.linear(of, TensorRole::Down)?,
                })),
            },
        })
    }

    fn experts(&mut self, layer: Option<u32>, spec: &ExpertsSpec) -> Result<Experts> {
        let router = self.linear(layer, TensorRole::Router)?;
        let mut all = |role| match self.0.remove(&(layer, role, false)) {
            Some(Weight::Experts(matrices)) => Ok(matrices),
            _ => Err(missing(layer, role)),
        };
        let gates = all(TensorRole::ExpertGate)?;
        let ups = all(TensorRole::ExpertUp)?;
        let downs = all(TensorRole::ExpertDown)?;
        Ok(Experts {
            router,
            matrices: gates
                .into_iter()
                .zip(ups)
                .zip(downs)
                .map(|((gate, up), down)| ExpertMatrices { gate, up, down })
                .collect(),
            per_token: spec.per_token as usize,
            normalized: spec.normalized,
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
