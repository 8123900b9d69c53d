//! What a decoder consists of.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{ArchError, QuantizationPlan, RopeSpec, families};

/// A decoder-only transformer, completely described except for its weights.
///
/// Each layer computes `h = x + attention(norm(x))` and then `h + mlp(norm(h))`; a last norm and
/// the output head follow.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DecoderSpec {
    /// The family: `model_type` of `config.json`.
    pub model_type: String,
    /// Numbers that stand for a token between layers.
    pub hidden_size: u32,
    /// Layers.
    pub layers: u32,
    /// Rows of the embedding, which may exceed the tokenizer's vocabulary.
    pub vocab_size: u32,
    /// Tokens for which the positions were trained.
    pub context_length: u32,
    /// All norms.
    pub norm: NormSpec,
    /// All layers' attention.
    pub attention: AttentionSpec,
    /// How positions enter.
    pub rope: RopeSpec,
    /// The layers' feed-forward parts; as many as there are layers.
    pub layer_mlp: Vec<LayerMlp>,
    /// Whether the embedding serves as the output head.
    pub tie_embeddings: bool,
    /// How modules are quantized, if any are.
    pub quantization: Option<QuantizationPlan>,
    /// What each layer's attention sees; as many as there are layers.
    pub layer_attention: Vec<LayerAttention>,
    /// A window that the configuration has and its family does not know, so that it is not in
    /// `layer_attention`. Answers that reach further back than this many tokens go
    /// beyond what the model was trained for.
    pub ignored_sliding_window: Option<u32>,
    /// Token with which a text begins.
    pub bos_token_id: Option<u32>,
    /// Tokens that end an answer, according to `config.json`.
    pub eos_token_ids: Vec<u32>,
}

/// A normalisation over the last dimension.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NormSpec {
    /// Which.
    pub kind: NormKind,
    /// Added to the mean square before its root is taken.
    pub eps: f32,
}

/// Kinds of normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NormKind {
    /// `w * x / sqrt(mean(x^2) + eps)` (<https://arxiv.org/abs/1910.07467>).
    RmsNorm,
}

/// Attention with grouped key and value heads.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AttentionSpec {
    /// Query heads.
    pub heads: u32,
    /// Key and value heads, each shared by `heads / kv_heads` query heads.
    pub kv_heads: u32,
    /// Numbers in a head.
    pub head_dim: u32,
    /// What scores are multiplied by before the softmax.
    pub scale: f32,
    /// Whether the query, key and value projections add a bias.
    pub qkv_bias: bool,
    /// Whether the output projection adds a bias.
    pub output_bias: bool,
    /// Whether each head's queries and keys are normalised before rotation.
    pub qk_norm: bool,
}

impl AttentionSpec {
    /// Numbers in all query heads together.
    pub const fn query_size(&self) -> u32 {
        self.heads * self.head_dim
    }

    /// Numbers in all key heads together, and in all value heads.
    pub const fn kv_size(&self) -> u32 {
        self.kv_heads * self.head_dim
    }
}

/// The feed-forward part: `down(activation(gate(x)) * up(x))`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MlpSpec {
    /// Numbers between the projections.
    pub intermediate_size: u32,
    /// What is applied to the gate.
    pub activation: Activation,
    /// Whether the projections add a bias.
    pub bias: bool,
}

/// A layer's feed-forward part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LayerMlp {
    /// One for all tokens.
    Dense(MlpSpec),
    /// Several, of which a router picks some for each token.
    Experts(ExpertsSpec),
}

/// A sparse mixture of experts (<https://arxiv.org/abs/2101.03961>).
///
/// The router's probabilities are the softmax of one linear layer over all experts; a token goes
/// to the likeliest `per_token` of them, and their outputs are added with these weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ExpertsSpec {
    /// Experts.
    pub count: u32,
    /// Experts that a token goes to, at most all.
    pub per_token: u32,
    /// Whether the weights of a token's experts are divided by their sum.
    pub normalized: bool,
    /// Numbers between the projections of each.
    pub intermediate_size: u32,
    /// What is applied to each one's gate.
    pub activation: Activation,
}

/// Activation functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Activation {
    /// `x * sigmoid(x)`, also called swish.
    Silu,
}

/// What a layer's attention sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LayerAttention {
    /// Everything before, and the token itself.
    Full,
    /// The last `window` tokens, the token itself included.
    Sliding {
        /// Tokens seen.
        window: u32,
    },
}

impl DecoderSpec {
    /// Reads the members of `config.json`.
    ///
    /// # Errors
    ///
    /// [`ArchError`]: a missing field, a value outside its range, or something that is not
    /// implemented, each by name.
    pub fn from_config(config: &Map<String, Value>) -> Result<Self, ArchError> {
        families::read(config)
    }

    /// Numbers between the projections of the widest feed-forward part that a token goes through:
    /// of a mixture, all its experts together.
    pub fn widest_mlp(&self) -> u64 {
        let width = |mlp: &LayerMlp| match mlp {
            LayerMlp::Dense(mlp) => u64::from(mlp.intermediate_size),
            LayerMlp::Experts(experts) => {
                u64::from(experts.per_token) * u64::from(experts.intermediate_size)
            }
        };
        self.layer_mlp.iter().map(width).max().unwrap_or(0)
    }

    /// Bytes that the KV cache of one sequence of `context` tokens takes, with numbers of
    /// `element_bytes` bytes: in a layer with a window as many tokens as it has. Scales that a backend
    /// keeps beside the numbers are left out.
    pub fn kv_bytes(&self, context: u32, element_bytes: u32) -> u64 {
        let kept = |attention: &LayerAttention| match attention {
            LayerAttention::Full => u64::from(context),
            LayerAttention::Sliding { window } => u64::from(context.min(*window)),
        };
        let tokens: u64 = self.layer_attention.iter().map(kept).sum();
        let per_token = 2 * u64::from(self.attention.kv_size()) * u64::from(element_bytes);
        tokens.saturating_mul(per_token)
    }
}
