//! GGML's tensor names in Hugging Face's terms.
//!
//! The GGUF names are those of `gguf-py`'s tensor mapping for dense Llama-like models.

/// How a tensor's rows lie in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowOrder {
    /// As Hugging Face has them.
    Same,
    /// Query rows of a model whose rotary pairs are neighbours.
    PairedQueries,
    /// Key rows of such a model.
    PairedKeys,
}

/// A tensor's name among Hugging Face's, and how its rows lie; `None` if there is none.
pub(super) fn translate(name: &str, layers: u64, paired: bool) -> Option<(String, RowOrder)> {
    let (module, kind) = name.rsplit_once('.')?;
    if !matches!(kind, "weight" | "bias") {
        return None;
    }
    let translated = match module {
        "token_embd" => "model.embed_tokens".to_owned(),
        "output_norm" => "model.norm".to_owned(),
        "output" => "lm_head".to_owned(),
        _ => {
            let (layer, part) = module.strip_prefix("blk.")?.split_once('.')?;
            let number: u64 = layer.parse().ok()?;
            // "00" and "+1" parse too, but are nobody's layer.
            if number >= layers || number.to_string() != layer {
                return None;
            }
            let part_order = match part {
                "attn_q" if paired => RowOrder::PairedQueries,
                "attn_k" if paired => RowOrder::PairedKeys,
                _ => RowOrder::Same,
            };
            let part = match part {
                "attn_norm" => "input_layernorm",
                "ffn_norm" => "post_attention_layernorm",
                "attn_q" => "self_attn.q_proj",
                "attn_k" => "self_attn.k_proj",
                "attn_v" => "self_attn.v_proj",
                "attn_output" => "self_attn.o_proj",
                "attn_q_norm" => "self_attn.q_norm",
                "attn_k_norm" => "self_attn.k_norm",
                "ffn_gate" => "mlp.gate_proj",
                "ffn_up" => "mlp.up_proj",
                "ffn_down" => "mlp.down_proj",
                _ => return None,
            };
            return Some((format!("model.layers.{layer}.{part}.{kind}"), part_order));
        }
    };
    Some((format!("{translated}.{kind}"), RowOrder::Same))
}

/// The row of the file in which Hugging Face's row `row` lies.
///
/// Hugging Face rotates element `j` of a head together with element `j + half`. Files of the
/// `llama` architecture have such pairs side by side, at `2 j` and `2 j + 1` of the head
/// (`permute` in llama.cpp's converter).
pub(super) fn paired_row(row: usize, head_dim: usize) -> usize {
    let half = head_dim / 2;
    let (head, within) = (row / head_dim, row % head_dim);
    head * head_dim + 2 * (within % half) + within / half
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_a_layer_by_its_number() {
        assert_eq!(
            translate("blk.11.ffn_down.weight", 12, true),
            Some((
                "model.layers.11.mlp.down_proj.weight".into(),
                RowOrder::Same
            ))
        );
    }

    #[test]
    fn refuses_layers_beyond_the_last_and_odd_spellings() {
        for name in [
            "blk.12.ffn_down.weight",
            "blk.01.ffn_down.weight",
            "blk.+1.attn_q.weight",
        ] {
            assert_eq!(translate(name, 12, true), None, "{name}");
        }
    }

    #[test]
    fn only_query_and_key_rows_are_paired() {
        let order = |name| translate(name, 1, true).map(|(_, order)| order);
        assert_eq!(order("blk.0.attn_q.weight"), Some(RowOrder::PairedQueries));
        assert_eq!(order("blk.0.attn_k.bias"), Some(RowOrder::PairedKeys));
        assert_eq!(order("blk.0.attn_v.weight"), Some(RowOrder::Same));
        assert_eq!(
            translate("blk.0.attn_q.weight", 1, false).map(|(_, order)| order),
            Some(RowOrder::Same)
        );
    }

    #[test]
    fn pairs_are_taken_apart_into_halves() {
        let rows: Vec<_> = (0..8).map(|row| paired_row(row, 4)).collect();
        assert_eq!(rows, [0, 2, 1, 3, 4, 6, 5, 7]);
    }
}
