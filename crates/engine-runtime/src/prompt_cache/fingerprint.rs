//! What tells one model, with its settings, from another.

use std::fmt::Write as _;

use engine_core::{Logits, LogitsWanted, Model, ModelInfo, Result, Run, TokenId};
use sha2::{Digest, Sha256};

use super::close;
use crate::engine::Guarded;

/// Tokens of the probe. Every weight but those of other tokens' embeddings has a part in what comes
/// out.
const PROBE: usize = 12;

/// A digest of what the model makes of a few fixed tokens: of the keys and values of every layer,
/// and of the logits.
///
/// Weights, number types, the backend's arithmetic and the form of its caches all show in it, so
/// that no list of settings has to be kept in step, and no file has to be read again.
pub(super) fn fingerprint<M: Model>(model: &mut Guarded<M>) -> Result<String> {
    let sequence = model.call("open a sequence", Model::open)?;
    let digest = model.call("probe the model", |model| {
        let tokens = probe(model.info());
        let mut logits = Logits::new();
        let run = Run {
            sequence,
            tokens: &tokens,
            logits: LogitsWanted::Last,
        };
        model.forward(&[run], &mut logits)?;
        let mut digest = Sha256::new();
        let ModelInfo {
            backend,
            architecture,
            vocab_size,
            ..
        } = model.info();
        digest.update(format!(
            "{} {} {architecture} {vocab_size}\n",
            backend.name, backend.version
        ));
        for number in logits.last(0).unwrap_or_default() {
            digest.update(number.to_le_bytes());
        }
        for tensor in model.export(sequence)?.tensors {
            digest.update(format!("{} {:?}\n", tensor.name, tensor.shape));
            digest.update(&tensor.data);
        }
        Ok(digest.finalize())
    });
    close(model, sequence);
    let mut text = String::new();
    for byte in digest? {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

/// Tokens from all over the vocabulary.
fn probe(info: &ModelInfo) -> Vec<TokenId> {
    let count = PROBE.min(info.context_length);
    let step = (info.vocab_size / PROBE).max(1);
    (0..count)
        .map(|index| (index * step % info.vocab_size.max(1)) as TokenId)
        .collect()
}
