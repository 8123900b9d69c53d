//! The mock's tokenizer and chat template, as the runtime reads them.

use engine_core::Result;
use engine_runtime::{TextPipeline, TextSources};
use serde_json::{Map, json};

use crate::vocabulary::{CHAT_TEMPLATE, MESSAGE_END, Vocabulary};

/// Makes the text pipeline, from the same kinds of texts that a real model's files hold.
pub(crate) fn pipeline(chat_template: Option<&str>) -> Result<TextPipeline> {
    let vocabulary = Vocabulary::get();
    let tokenizer_config: Map<_, _> = [
        ("eos_token".to_owned(), json!(MESSAGE_END)),
        (
            "chat_template".to_owned(),
            json!(chat_template.unwrap_or(CHAT_TEMPLATE)),
        ),
    ]
    .into_iter()
    .collect();
    let ends = json!([vocabulary.message_end, vocabulary.text_end]);
    let config: Map<_, _> = [
        ("vocab_size".to_owned(), json!(vocabulary.len())),
        ("eos_token_id".to_owned(), ends),
    ]
    .into_iter()
    .collect();
    TextPipeline::new(TextSources {
        tokenizer_json: &vocabulary.tokenizer_json(),
        tokenizer_config: Some(&tokenizer_config),
        config: Some(&config),
        ..TextSources::default()
    })
}
