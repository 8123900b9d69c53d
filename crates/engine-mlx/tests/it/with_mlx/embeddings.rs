//! Texts as vectors.
//!
//! The oracle: a model whose output head is the identity has its hidden states for logits.

use engine_core::{Error, Model as _, Pooling, Progress, TokenId};
use engine_mlx::MlxModel;
use safetensors::Dtype;

use super::{
    mlx_process::beside_others,
    tiny::{Tiny, llama_config, numbers_as, on_cpu, rows_of},
};

const HIDDEN: usize = 64;
const VOCABULARY: usize = 288;

fn open_hearted() -> MlxModel {
    let mut config = llama_config();
    config["tie_word_embeddings"] = false.into();
    config["max_position_embeddings"] = 1024.into();
    let mut tiny = Tiny::new(&config, Dtype::F32);
    let mut head = vec![0.0; VOCABULARY * HIDDEN];
    for index in 0..HIDDEN {
        head[index * HIDDEN + index] = 1.0;
    }
    let head = numbers_as(Dtype::F32, &[VOCABULARY, HIDDEN], &head);
    tiny.tensors.insert("lm_head.weight".to_owned(), head);
    let folder = tiny.write();
    MlxModel::load(&on_cpu(folder.path()), &Progress::silent()).unwrap()
}

fn tokens(len: usize, seed: u32) -> Vec<TokenId> {
    (0..len as u32)
        .map(|index| (index * 37 + seed * 101) % 250)
        .collect()
}

/// The pooled hidden states, from the logits.
fn expected(model: &mut MlxModel, tokens: &[TokenId], pooling: Pooling) -> Vec<f32> {
    let rows = rows_of(model, tokens);
    match pooling {
        Pooling::First => rows[0][..HIDDEN].to_vec(),
        Pooling::Last => rows[rows.len() - 1][..HIDDEN].to_vec(),
        _ => (0..HIDDEN)
            .map(|index| rows.iter().map(|row| row[index]).sum::<f32>() / rows.len() as f32)
            .collect(),
    }
}

#[test]
fn hidden_states_are_pooled_as_asked() {
    let _lock = beside_others();
    let mut model = open_hearted();
    // The longest takes two steps, and the second one shares its first with others.
    let texts = [tokens(1, 1), tokens(5, 2), tokens(600, 3), tokens(17, 4)];
    let texts: Vec<&[TokenId]> = texts.iter().map(Vec::as_slice).collect();
    for pooling in [Pooling::Mean, Pooling::First, Pooling::Last] {
        let vectors = model.embed(&texts, pooling).unwrap();
        for (text, vector) in texts.iter().zip(&vectors) {
            let expected = expected(&mut model, text, pooling);
            assert_eq!(vector.len(), HIDDEN);
            for (got, expected) in vector.iter().zip(&expected) {
                assert!(
                    (got - expected).abs() < 1e-4,
                    "{pooling:?} of {} tokens: {got} for {expected}",
                    text.len()
                );
            }
        }
    }
    assert_eq!(model.memory().sequences, 0);
}

#[test]
fn texts_that_cannot_be_read_are_errors() {
    let _lock = beside_others();
    let mut model = open_hearted();
    let long = tokens(1025, 1);
    let mut embed = |tokens: &[TokenId]| model.embed(&[tokens], Pooling::Mean).unwrap_err();
    assert!(matches!(embed(&[]), Error::InvalidParameter { .. }));
    assert!(matches!(
        embed(&[9999]),
        Error::InvalidToken { token: 9999, .. }
    ));
    assert!(matches!(embed(&long), Error::ContextOverflow { .. }));
}
