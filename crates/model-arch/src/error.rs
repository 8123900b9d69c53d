//! Why a configuration can't become a spec.

use std::borrow::Cow;

use serde_json::Value;

/// The longest value that a message quotes.
const MAX_QUOTED: usize = 60;

/// Everything that [`DecoderSpec::from_config`](crate::DecoderSpec::from_config) reports.
///
/// `Display` says what is wrong in one sentence; [`ArchError::suggestion`] says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArchError {
    /// A field without which the model can't be built is absent or null.
    #[error("config.json lacks {field}, which {model_type} models need")]
    MissingField {
        /// The field; dots lead into nested objects.
        field: String,
        /// The model's family.
        model_type: String,
    },

    /// A field's value is of the wrong type or outside its range.
    #[error("{field} in config.json must be {expected}, not {value}")]
    InvalidField {
        /// The field; dots lead into nested objects.
        field: String,
        /// What it is, as JSON, shortened.
        value: String,
        /// What it may be.
        expected: Cow<'static, str>,
    },

    /// No family bears that name.
    #[error("models of the type {model_type:?} are not implemented; those of {known} are")]
    UnknownModelType {
        /// `model_type` as the configuration has it.
        model_type: String,
        /// The names that would do.
        known: String,
    },

    /// Rotary embeddings are scaled in a way that is not implemented.
    #[error(
        "rotary embeddings of the type {kind:?} are not implemented; default, linear and llama3 are"
    )]
    UnsupportedRope {
        /// The type as the configuration has it.
        kind: String,
    },

    /// The weights are quantized in a way that is not implemented.
    #[error("weights quantized by {method} are not implemented; MLX's affine mode is")]
    UnsupportedQuantization {
        /// The method or mode as the configuration has it.
        method: String,
    },

    /// A field asks for a computation that the family does not have here.
    #[error("{field} = {value} is not implemented for {model_type} models; {supported} is")]
    UnsupportedValue {
        /// The field.
        field: String,
        /// What it is, as JSON, shortened.
        value: String,
        /// The model's family.
        model_type: String,
        /// What would be accepted.
        supported: Cow<'static, str>,
    },
}

impl ArchError {
    /// What the reader can do about it, as one sentence.
    pub fn suggestion(&self) -> &'static str {
        match self {
            Self::MissingField { .. } | Self::InvalidField { .. } => {
                "fetch config.json again from the model's page, and check that it belongs to these weights"
            }
            Self::UnknownModelType { .. } => "use a model of one of these types",
            Self::UnsupportedRope { .. } | Self::UnsupportedValue { .. } => {
                "use a version of the model without this feature, or another model"
            }
            Self::UnsupportedQuantization { .. } => {
                "take the model's MLX version, or its unquantized one"
            }
        }
    }
}

/// A value as a message quotes it.
pub(crate) fn quote(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= MAX_QUOTED {
        return text;
    }
    text.chars().take(MAX_QUOTED).chain(['…']).collect()
}
