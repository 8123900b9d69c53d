#![doc = include_str!("../README.md")]

mod config;
mod error;
mod families;
mod quantization;
mod rope;
mod sizes;
mod spec;
mod tensors;

pub use error::ArchError;
pub use families::known_model_types;
pub use quantization::{Affine, QuantizationPlan};
pub use rope::{RopeScaling, RopeSpec};
pub use spec::{
    Activation, AttentionSpec, DecoderSpec, ExpertsSpec, LayerAttention, LayerMlp, MlpSpec,
    NormKind, NormSpec,
};
pub use tensors::{TensorRole, TensorSpec};
