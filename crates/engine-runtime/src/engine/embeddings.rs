//! Texts to vectors, a group of texts at a time, so that generations go on in between.

use std::{
    borrow::Cow,
    sync::{Arc, mpsc::Sender},
};

use engine_core::{EmbeddingSettings, Embeddings, Error, Field, Result, TokenId};
use futures_channel::oneshot;

use super::command::{Command, EmbedCommand};
use crate::TextPipeline;

/// Tokens in a group, unless one text alone has more.
const GROUP: usize = 512;
/// Below this length a vector is divided by it instead, as `torch.nn.functional.normalize` does.
const SHORTEST: f32 = 1e-12;

/// What it takes to embed texts.
pub(super) struct Embedder {
    pub(super) settings: EmbeddingSettings,
    pub(super) text: Arc<TextPipeline>,
    pub(super) commands: Sender<Command>,
    pub(super) context_length: usize,
    pub(super) model: String,
}

impl Embedder {
    /// Embeds all texts.
    pub(super) async fn embed(self, texts: Vec<String>) -> Result<Embeddings> {
        let mut embeddings = Embeddings::default();
        let mut group: Vec<Vec<TokenId>> = Vec::new();
        let mut in_group = 0;
        for text in &texts {
            let tokens = self.tokens(text)?;
            embeddings.prompt_tokens += tokens.len();
            if in_group + tokens.len() > GROUP && !group.is_empty() {
                let full = std::mem::take(&mut group);
                embeddings.vectors.extend(self.ask(full).await?);
                in_group = 0;
            }
            in_group += tokens.len();
            group.push(tokens);
        }
        if !group.is_empty() {
            embeddings.vectors.extend(self.ask(group).await?);
        }
        if self.settings.normalize {
            embeddings.vectors.iter_mut().for_each(|v| normalize(v));
        }
        Ok(embeddings)
    }

    fn tokens(&self, text: &str) -> Result<Vec<TokenId>> {
        let tokens = self.text.encode(text, true)?;
        if tokens.is_empty() {
            return Err(Error::InvalidParameter {
                field: Field::Embeddings,
                value: "a text without tokens".to_owned(),
                expected: Cow::Borrowed("a text of at least one token"),
            });
        }
        if tokens.len() > self.context_length {
            return Err(Error::ContextOverflow {
                prompt_tokens: tokens.len(),
                context_length: self.context_length,
            });
        }
        Ok(tokens)
    }

    async fn ask(&self, texts: Vec<Vec<TokenId>>) -> Result<Vec<Vec<f32>>> {
        let (reply, answer) = oneshot::channel();
        // If the thread is gone, dropping the command drops the reply.
        let _ = self.commands.send(Command::Embed(EmbedCommand {
            texts,
            pooling: self.settings.pooling,
            reply,
        }));
        answer.await.unwrap_or_else(|_| {
            Err(Error::Unloaded {
                model: self.model.clone(),
            })
        })
    }
}

fn normalize(vector: &mut [f32]) {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    let length = length.max(SHORTEST);
    for x in vector {
        *x /= length;
    }
}
