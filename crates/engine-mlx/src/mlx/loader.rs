//! A checkpoint's weights as a decoder.

use std::collections::HashMap;

use engine_core::{LoadProgress, LoadStage, Progress, Result};
use mlx_rs::{Array, Dtype, ops::stack};
use model_arch::{
    Activation, DecoderSpec, LayerAttention, LayerMlp, NormKind, TensorRole, TensorSpec,
};
use model_files::{Checkpoint, Dtype as Stored};

use super::{
    affine::Affine,
    attention::{Attention, HeadNorms},
    block::Block,
    compute::Compute,
    decoder::Decoder,
    device::Device,
    embedding::Embedding,
    exception::{Doing, MlxResult},
    experts::{self, ExpertMatrices, Experts, Places},
    file_errors::{from_files, missing, unsupported},
    kv_numbers::KvForm,
    linear::{Linear, Matrix},
    manifest::{Form, Manifest, biases_of, form, scales_of},
    mlp::{DenseMlp, Mlp},
    norm::RmsNorm,
    projections::Projections,
    rope::Rope,
    swiglu::Swiglu,
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
    /// How caches store their numbers.
    pub(super) kv_form: KvForm,
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
    let decoder = source.device.run(|| weights.assemble(&source))?;
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
    let activations = spec.layer_mlp.iter().map(|mlp| match mlp {
        LayerMlp::Dense(mlp) => Ok(mlp.activation),
        LayerMlp::Experts(experts) => Ok(experts.activation),
        other => Err(unsupported(format!(
            "feed-forward parts of the kind {other:?} are not implemented"
        ))),
    });
    for activation in activations {
        let activation = activation?;
        if activation != Activation::Silu {
            return Err(unsupported(format!(
                "the activation {activation:?} is not implemented"
            )));
        }
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
            checkpoint, spec, ..
        } = self.source;
        let module = tensor.module();
        match form(checkpoint, spec, tensor)? {
            Form::Plain(_) => Ok(Weight::Plain(self.array(&tensor.name)?)),
            Form::Affine(affine, _) => Ok(Weight::Packed(Affine {
                packed: self.array(&tensor.name)?,
                scales: self.array(&scales_of(module))?,
                biases: self.array(&biases_of(module))?,
                group_size: affine.group_size as i32,
                bits: affine.bits as i32,
            })),
            Form::PlainParts(_) => Ok(Weight::Plain(self.stacked(tensor)?)),
        }
    }

    /// The parts of a tensor as one, each as long in memory as it takes to copy it there.
    fn stacked(&mut self, tensor: &TensorSpec) -> Result<Array> {
        let parts = tensor
            .expert_parts()
            .iter()
            .map(|part| self.array(part))
            .collect::<Result<Vec<_>>>()?;
        self.source
            .device
            .run(|| {
                let stacked = stack(&parts, 0)?;
                stacked.eval()?;
                MlxResult::Ok(stacked)
            })
            .doing(&format!("stack the tensor {}", tensor.name))
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
    Packed(Affine),
}

/// What the layers of a decoder have in common.
struct Shared<'a> {
    spec: &'a DecoderSpec,
    device: &'a Device,
    rope: Rope,
    swiglu: Swiglu,
    places: Places,
    kv_form: KvForm,
}

/// Weights by layer, by what they do, and by whether they are added.
#[derive(Debug, Default)]
struct Weights(HashMap<(Option<u32>, TensorRole, bool), Weight>);

/// Joining and dividing matrices for the device.
const ARRANGING: &str = "arrange the weights";

impl Weights {
    fn assemble(mut self, source: &Source<'_>) -> Result<Decoder> {
        let Source { spec, device, .. } = *source;
        let shared = Shared {
            spec,
            device,
            rope: Rope::new(&spec.rope),
            swiglu: Swiglu::new(device),
            places: Places::default(),
            kv_form: source.kv_form,
        };
        let matrix = self.matrix(None, TensorRole::Embedding)?;
        let embedding = Embedding {
            matrix: matrix.prepared(device).doing(ARRANGING)?,
        };
        let blocks = (0..spec.layers)
            .map(|layer| self.block(&shared, layer))
            .collect::<Result<_>>()?;
        let norm = self.norm(spec, None, TensorRole::FinalNorm)?;
        let head = if spec.tie_embeddings {
            None
        } else {
            Some(self.prepared(&shared, None, TensorRole::OutputHead)?)
        };
        Ok(Decoder {
            embedding,
            blocks,
            norm,
            head,
        })
    }

    fn block(&mut self, shared: &Shared<'_>, layer: u32) -> Result<Block> {
        let Shared { spec, device, .. } = *shared;
        let of = Some(layer);
        let attention = &spec.attention;
        let window = match spec.layer_attention.get(layer as usize) {
            Some(LayerAttention::Full) | None => None,
            Some(LayerAttention::Sliding { window }) => Some(*window as usize),
            Some(other) => {
                return Err(unsupported(format!(
                    "attention of the kind {other:?} is not implemented"
                )));
            }
        };
        let head_norms = if attention.qk_norm {
            Some(HeadNorms {
                query: self.norm(spec, of, TensorRole::QueryNorm)?,
                key: self.norm(spec, of, TensorRole::KeyNorm)?,
            })
        } else {
            None
        };
        let projections = [TensorRole::Query, TensorRole::Key, TensorRole::Value]
            .into_iter()
            .map(|role| self.linear(of, role))
            .collect::<Result<Vec<_>>>()?;
        Ok(Block {
            input_norm: self.norm(spec, of, TensorRole::AttentionNorm)?,
            attention: Attention {
                projections: Projections::new(projections, device).doing(ARRANGING)?,
                output: self.prepared(shared, of, TensorRole::AttentionOutput)?,
                head_norms,
                rope: shared.rope.clone(),
                heads: attention.heads as i32,
                kv_heads: attention.kv_heads as i32,
                head_dim: attention.head_dim as i32,
                scale: attention.scale,
                window,
                kv_form: shared.kv_form,
                multiplies_packed: !device.is_cuda(),
            },
            post_attention_norm: self.norm(spec, of, TensorRole::MlpNorm)?,
            mlp: self.mlp(shared, layer)?,
        })
    }

    fn mlp(&mut self, shared: &Shared<'_>, layer: u32) -> Result<Mlp> {
        let of = Some(layer);
        let swiglu = shared.swiglu.clone();
        if let Some(LayerMlp::Experts(experts)) = shared.spec.layer_mlp.get(layer as usize) {
            let parts = experts::Parts {
                router: self.prepared(shared, of, TensorRole::Router)?,
                gate: self.experts(shared, of, TensorRole::ExpertGate)?,
                up: self.experts(shared, of, TensorRole::ExpertUp)?,
                down: self.experts(shared, of, TensorRole::ExpertDown)?,
                per_token: experts.per_token as i32,
                normalized: experts.normalized,
                swiglu,
                places: shared.places.clone(),
                on_cuda: shared.device.is_cuda(),
            };
            return Ok(Mlp::Experts(Experts::new(parts).doing(ARRANGING)?));
        }
        let gate_and_up = vec![
            self.linear(of, TensorRole::Gate)?,
            self.linear(of, TensorRole::Up)?,
        ];
        Ok(Mlp::Dense(DenseMlp {
            gate_and_up: Projections::new(gate_and_up, shared.device).doing(ARRANGING)?,
            down: self.prepared(shared, of, TensorRole::Down)?,
            swiglu,
        }))
    }

    fn experts(
        &mut self,
        shared: &Shared<'_>,
        layer: Option<u32>,
        role: TensorRole,
    ) -> Result<ExpertMatrices> {
        match self.take(layer, role)? {
            Weight::Plain(matrices)
                if shared.device.is_cpu() && matrices.dtype() != Dtype::Float32 =>
            {
                Err(unsupported(
                    "MLX's CPU device multiplies with unquantized experts in f32 only; \
                     choose f32 as the compute type"
                        .to_owned(),
                ))
            }
            Weight::Plain(matrices) => Ok(ExpertMatrices::Plain {
                transposed: matrices.transpose_axes(&[0, 2, 1]).doing(ARRANGING)?,
            }),
            Weight::Packed(matrices) => Ok(ExpertMatrices::Affine(matrices)),
        }
    }

    /// A linear layer that is computed by itself.
    fn prepared(
        &mut self,
        shared: &Shared<'_>,
        layer: Option<u32>,
        role: TensorRole,
    ) -> Result<Linear> {
        let linear = self.linear(layer, role)?;
        linear.prepared(shared.device).doing(ARRANGING)
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
                transposed: matrix.transpose().doing(ARRANGING)?,
            }),
            Weight::Packed(matrix) => Ok(Matrix::affine(matrix)),
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
