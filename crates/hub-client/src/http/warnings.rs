//! What the Hub wants people to be told: `X-HF-Warning: topic; message`.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use reqwest::header::HeaderMap;

use super::classify::one_line;
use crate::Token;

const HEADER: &str = "x-hf-warning";
/// A server with more topics than this is not listened to any longer.
const MOST_TOPICS: usize = 100;

/// The topics that have been told, each once for all clients that come of one builder.
#[derive(Clone, Debug, Default)]
pub(crate) struct Warnings(Arc<Mutex<BTreeSet<String>>>);

impl Warnings {
    /// Logs what is new in the Hub's answer.
    pub(super) fn observe(&self, headers: &HeaderMap, token: Option<&Token>) {
        for value in headers.get_all(HEADER) {
            let text = String::from_utf8_lossy(value.as_bytes());
            let text = token.map_or_else(|| text.clone().into_owned(), |token| token.mask(&text));
            let (topic, message) = text.split_once(';').unwrap_or(("", &text));
            let topic = one_line(topic).unwrap_or_default();
            if let Some(message) = one_line(message)
                && self.is_new(&topic)
            {
                tracing::warn!(topic, "the Hub says: {message}");
            }
        }
    }

    fn is_new(&self, topic: &str) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.len() < MOST_TOPICS && told.insert(topic.to_owned())
    }
}
