//! The tensors that a spec's weights consist of, by Hugging Face's names.

use serde::Serialize;

use crate::{DecoderSpec, ExpertsSpec, LayerMlp};

/// A tensor before quantization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TensorSpec {
    /// Its name: `model.layers.0.self_attn.q_proj.weight`.
    pub name: String,
    /// Its dimensions, outermost first: `[out, in]` for a projection, `[experts, out, in]` for
    /// that of all experts.
    pub shape: Vec<usize>,
    /// What it does.
    pub role: TensorRole,
    /// The layer that it belongs to, if it belongs to one.
    pub layer: Option<u32>,
    /// Whether it may lie there as `<module>.weight`, `.scales` and `.biases` instead.
    pub quantizable: bool,
}

impl TensorSpec {
    /// The name without its last part, by which quantization plans call it.
    pub fn module(&self) -> &str {
        self.name
            .rsplit_once('.')
            .map_or(self.name.as_str(), |(module, _)| module)
    }

    /// The names under which Hugging Face's files hold the parts of a tensor that joins all
    /// experts, in order; empty for any other tensor.
    ///
    /// A checkpoint has either the tensor or all of its parts, each without the first dimension.
    pub fn expert_parts(&self) -> Vec<String> {
        match (self.role, self.name.split_once(".switch_mlp.")) {
            (
                TensorRole::ExpertGate | TensorRole::ExpertUp | TensorRole::ExpertDown,
                Some((mlp, rest)),
            ) => (0..self.shape.first().copied().unwrap_or(0))
                .map(|expert| format!("{mlp}.experts.{expert}.{rest}"))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Whether it is added, rather than multiplied with.
    pub fn is_bias(&self) -> bool {
        self.name
            .rsplit_once('.')
            .is_some_and(|(_, kind)| kind == "bias")
    }
}

/// What a tensor does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TensorRole {
    /// Turns token ids into vectors.
    Embedding,
    /// Norm before attention.
    AttentionNorm,
    /// Makes queries.
    Query,
    /// Makes keys.
    Key,
    /// Makes values.
    Value,
    /// Joins the heads.
    AttentionOutput,
    /// Norm of each head's query.
    QueryNorm,
    /// Norm of each head's key.
    KeyNorm,
    /// Norm before the feed-forward part.
    MlpNorm,
    /// The feed-forward part's gate.
    Gate,
    /// The feed-forward part's other factor.
    Up,
    /// Leads back to the hidden size.
    Down,
    /// Picks the experts of a token.
    Router,
    /// All experts' gates.
    ExpertGate,
    /// All experts' other factors.
    ExpertUp,
    /// Leads all experts back to the hidden size.
    ExpertDown,
    /// Norm after the last layer.
    FinalNorm,
    /// Turns vectors into logits.
    OutputHead,
}

impl DecoderSpec {
    /// Every tensor that the weights must hold: the embedding, layer by layer, the output.
    pub fn tensors(&self) -> impl Iterator<Item = TensorSpec> {
        let hidden = self.hidden_size as usize;
        let vocab = self.vocab_size as usize;
        let embedding = matrix("model.embed_tokens", vocab, hidden, TensorRole::Embedding);
        let head = (!self.tie_embeddings)
            .then(|| matrix("lm_head", vocab, hidden, TensorRole::OutputHead));
        std::iter::once(embedding)
            .chain((0..self.layers).flat_map(|layer| self.layer_tensors(layer)))
            .chain([vector("model.norm.weight", hidden, TensorRole::FinalNorm)])
            .chain(head)
    }

    /// Whether a tensor may be there without being used: rotary frequencies that some old files
    /// carry, and an output head beside tied embeddings.
    pub fn ignores(&self, tensor: &str) -> bool {
        tensor.contains("self_attn.rotary_emb.inv_freq")
            || (self.tie_embeddings && tensor.starts_with("lm_head."))
    }

    fn layer_tensors(&self, layer: u32) -> Vec<TensorSpec> {
        let hidden = self.hidden_size as usize;
        let attention = &self.attention;
        let queries = attention.query_size() as usize;
        let keys = attention.kv_size() as usize;
        let head = attention.head_dim as usize;
        let (qkv, output) = (attention.qkv_bias, attention.output_bias);

        let mut tensors = vec![vector(
            "input_layernorm.weight",
            hidden,
            TensorRole::AttentionNorm,
        )];
        let mut project = |module: &str, rows, columns, role, bias| {
            tensors.push(matrix(module, rows, columns, role));
            if bias {
                tensors.push(vector(&format!("{module}.bias"), rows, role));
            }
        };
        project("self_attn.q_proj", queries, hidden, TensorRole::Query, qkv);
        project("self_attn.k_proj", keys, hidden, TensorRole::Key, qkv);
        project("self_attn.v_proj", keys, hidden, TensorRole::Value, qkv);
        project(
            "self_attn.o_proj",
            hidden,
            queries,
            TensorRole::AttentionOutput,
            output,
        );
        match self.layer_mlp.get(layer as usize) {
            Some(LayerMlp::Dense(mlp)) => {
                let inner = mlp.intermediate_size as usize;
                project("mlp.gate_proj", inner, hidden, TensorRole::Gate, mlp.bias);
                project("mlp.up_proj", inner, hidden, TensorRole::Up, mlp.bias);
                project("mlp.down_proj", hidden, inner, TensorRole::Down, mlp.bias);
            }
            Some(LayerMlp::Experts(experts)) => tensors.extend(expert_tensors(experts, hidden)),
            None => {}
        }
        tensors.push(vector(
            "post_attention_layernorm.weight",
            hidden,
            TensorRole::MlpNorm,
        ));
        if attention.qk_norm {
            tensors.push(vector(
                "self_attn.q_norm.weight",
                head,
                TensorRole::QueryNorm,
            ));
            tensors.push(vector("self_attn.k_norm.weight", head, TensorRole::KeyNorm));
        }
        for tensor in &mut tensors {
            tensor.name = format!("model.layers.{layer}.{}", tensor.name);
            tensor.layer = Some(layer);
        }
        tensors
    }
}

/// A mixture's router and experts, in the form in which mlx-lm stacks them.
fn expert_tensors(experts: &ExpertsSpec, hidden: usize) -> [TensorSpec; 4] {
    let count = experts.count as usize;
    let inner = experts.intermediate_size as usize;
    let stacked = |module: &str, rows, columns, role| TensorSpec {
        shape: vec![count, rows, columns],
        ..matrix(&format!("mlp.switch_mlp.{module}"), rows, columns, role)
    };
    [
        matrix("mlp.gate", count, hidden, TensorRole::Router),
        stacked("gate_proj", inner, hidden, TensorRole::ExpertGate),
        stacked("up_proj", inner, hidden, TensorRole::ExpertUp),
        stacked("down_proj", hidden, inner, TensorRole::ExpertDown),
    ]
}

fn matrix(module: &str, rows: usize, columns: usize, role: TensorRole) -> TensorSpec {
    TensorSpec {
        name: format!("{module}.weight"),
        shape: vec![rows, columns],
        role,
        layer: None,
        quantizable: true,
    }
}

fn vector(name: &str, length: usize, role: TensorRole) -> TensorSpec {
    TensorSpec {
        name: name.to_owned(),
        shape: vec![length],
        role,
        layer: None,
        quantizable: false,
    }
}
