//! A conversation as JSON.

use engine_core::Message;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    error::{ChatError, ChatResult},
    history::History,
    options::ChatOptions,
};

const FORMAT: &str = "mlxengine-chat";
const VERSION: u64 = 1;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    format: String,
    version: u64,
    /// The model that answered last, for people; another one may go on.
    model: String,
    messages: Vec<Message>,
    /// Of the first so many messages the model reads only the instructions.
    left_out: usize,
    options: ChatOptions,
}

pub(super) fn to_json(history: &History, options: &ChatOptions, model: &str) -> String {
    let saved = Saved {
        format: FORMAT.to_owned(),
        version: VERSION,
        model: model.to_owned(),
        messages: history.messages().to_vec(),
        left_out: history.left_out(),
        options: options.clone(),
    };
    // Texts and finite numbers always have a JSON form.
    serde_json::to_string_pretty(&saved).unwrap_or_default()
}

pub(super) fn from_json(json: &str) -> ChatResult<(History, ChatOptions)> {
    let invalid = |reason: String| ChatError::Saved { reason };
    let value: Value = serde_json::from_str(json).map_err(|error| invalid(error.to_string()))?;
    // Before the fields, which another version may have others of.
    if value.get("format").and_then(Value::as_str) != Some(FORMAT) {
        return Err(invalid(format!("it is not in the format {FORMAT}")));
    }
    match value.get("version").and_then(Value::as_u64) {
        Some(VERSION) => {}
        Some(other) => {
            return Err(invalid(format!(
                "it is of version {other}, and this program reads version {VERSION}"
            )));
        }
        None => return Err(invalid("it has no version".to_owned())),
    }
    let saved: Saved = serde_json::from_value(value).map_err(|error| invalid(error.to_string()))?;
    if saved.left_out > saved.messages.len() {
        return Err(invalid(format!(
            "{} messages are left out, and there are {}",
            saved.left_out,
            saved.messages.len()
        )));
    }
    if let Some(params) = &saved.options.params {
        params
            .validate()
            .map_err(|error| invalid(error.to_string()))?;
    }
    Ok((History::new(saved.messages, saved.left_out), saved.options))
}
