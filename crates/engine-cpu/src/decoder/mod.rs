//! The decoder: weights, and a step through all layers.

mod attention;
mod experts;
mod inputs;
mod linear;
mod mlp;
mod panels;
mod rope;
mod step;

use crate::{kernels::Precision, matrix::Matrix, memory::Arena};

pub(crate) use attention::Attention;
pub(crate) use linear::Linear;
pub(crate) use rope::Rope;
pub(crate) use step::{Machine, Part, Rows, Workspace};

/// All weights of a model, and what they are for.
#[derive(Debug)]
pub(crate) struct Decoder {
    pub(crate) arena: Arena,
    pub(crate) embedding: Matrix,
    pub(crate) layers: Vec<Layer>,
    pub(crate) norm: Norm,
    /// `None` if the embedding serves as the output head.
    pub(crate) head: Option<Linear>,
    pub(crate) rope: Rope,
    pub(crate) precision: Precisions,
}

/// How exactly activations are rounded before they meet quantized weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Precisions {
    pub(crate) head: Precision,
    /// All four projections of attention, and the router of experts.
    pub(crate) attention: Precision,
    pub(crate) feed_forward: Precision,
}

impl Precisions {
    /// What costs little where it matters most: of the divergence that eight bits cause in a small
    /// model, the output head's input has a third and the queries', keys' and values' a quarter. The
    /// attention's output is small.
    pub(crate) const MIXED: Self = Self {
        head: Precision::Fifteen,
        attention: Precision::Fifteen,
        feed_forward: Precision::Eight,
    };
    /// Fifteen bits everywhere.
    pub(crate) const EXACT: Self = Self {
        head: Precision::Fifteen,
        attention: Precision::Fifteen,
        feed_forward: Precision::Fifteen,
    };
}

/// Attention and feed-forward part, each behind a norm and beside a shortcut.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) attention_norm: Norm,
    pub(crate) attention: Attention,
    pub(crate) mlp_norm: Norm,
    pub(crate) mlp: Mlp,
}

/// Root mean square normalization (<https://arxiv.org/abs/1910.07467>).
#[derive(Debug)]
pub(crate) struct Norm {
    pub(crate) weight: Vec<f32>,
    pub(crate) eps: f32,
}

/// A layer's feed-forward part.
#[derive(Debug)]
pub(crate) enum Mlp {
    Dense(Box<Dense>),
    Experts(Box<Experts>),
}

/// `down(silu(gate(x)) * up(x))`.
#[derive(Debug)]
pub(crate) struct Dense {
    pub(crate) gate: Linear,
    pub(crate) up: Linear,
    pub(crate) down: Linear,
}

/// A sparse mixture of experts (<https://arxiv.org/abs/2101.03961>).
#[derive(Debug)]
pub(crate) struct Experts {
    pub(crate) router: Linear,
    /// All of one shape and form.
    pub(crate) matrices: Vec<ExpertMatrices>,
    /// Experts that a token goes to.
    pub(crate) per_token: usize,
    /// Whether the weights of a token's experts are divided by their sum.
    pub(crate) normalized: bool,
}

/// `down(silu(gate(x)) * up(x))`, of one expert.
#[derive(Debug)]
pub(crate) struct ExpertMatrices {
    pub(crate) gate: Matrix,
    pub(crate) up: Matrix,
    pub(crate) down: Matrix,
}

impl Decoder {
    /// The matrices that a layer begins with, or the output head behind the last one.
    fn first_of_layer(&self, index: usize) -> Vec<&Matrix> {
        match self.layers.get(index) {
            Some(layer) => layer.projections().map(|linear| &linear.matrix).to_vec(),
            None => vec![self.head_matrix()],
        }
    }

    fn head_matrix(&self) -> &Matrix {
        self.head
            .as_ref()
            .map_or(&self.embedding, |head| &head.matrix)
    }

    /// Positions that a token sees in each layer, itself included; all if `None`.
    pub(crate) fn windows(&self) -> Vec<Option<usize>> {
        let layers = self.layers.iter();
        layers.map(|layer| layer.attention.window).collect()
    }

    /// Bytes that the weights take in memory.
    pub(crate) fn weight_bytes(&self) -> u64 {
        let norms: usize = self
            .layers
            .iter()
            .flat_map(|layer| {
                let attention = &layer.attention;
                [
                    Some(&layer.attention_norm),
                    Some(&layer.mlp_norm),
                    attention.query_norm.as_ref(),
                    attention.key_norm.as_ref(),
                ]
            })
            .flatten()
            .chain([&self.norm])
            .map(|norm| norm.weight.len())
            .sum();
        let biases: usize = self
            .layers
            .iter()
            .flat_map(Layer::linears)
            .chain(&self.head)
            .map(|linear| linear.bias.as_ref().map_or(0, Vec::len))
            .sum();
        self.arena.used() + 4 * (norms + biases) as u64
    }
}

impl Layer {
    /// Queries, keys and values: what a layer begins with.
    fn projections(&self) -> [&Linear; 3] {
        let attention = &self.attention;
        [&attention.query, &attention.key, &attention.value]
    }

    /// What comes behind attention.
    fn first_of_mlp(&self) -> Vec<&Matrix> {
        match &self.mlp {
            Mlp::Dense(mlp) => vec![&mlp.gate.matrix, &mlp.up.matrix],
            Mlp::Experts(experts) => vec![&experts.router.matrix],
        }
    }

    fn linears(&self) -> impl Iterator<Item = &Linear> {
        let Attention {
            query,
            key,
            value,
            output,
            ..
        } = &self.attention;
        let mlp = match &self.mlp {
            Mlp::Dense(mlp) => vec![&mlp.gate, &mlp.up, &mlp.down],
            Mlp::Experts(experts) => vec![&experts.router],
        };
        [query, key, value, output].into_iter().chain(mlp)
    }
}
