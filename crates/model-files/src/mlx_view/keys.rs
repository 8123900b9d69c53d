//! Reading an architecture's metadata, with errors that name the key.

use serde_json::{Map, Value, json};

use super::rope_factors;
use crate::{
    FilesError,
    gguf::{GgufFile, MetadataValue},
};

/// Keys whose presence, with another value than the one given, means a computation that the
/// presented configuration has no word for.
const NEUTRAL: [(&str, f64); 5] = [
    ("expert_count", 0.0),
    ("attention.scale", 0.0),
    ("logit_scale", 1.0),
    ("embedding_scale", 1.0),
    ("residual_scale", 1.0),
];

/// Metadata under one architecture's prefix, with errors that name the key.
pub(super) struct Keys<'a> {
    file: &'a GgufFile,
    architecture: &'a str,
}

impl<'a> Keys<'a> {
    pub(super) const fn new(file: &'a GgufFile, architecture: &'a str) -> Self {
        Self { file, architecture }
    }

    pub(super) fn name(&self, key: &str) -> String {
        format!("{}.{key}", self.architecture)
    }

    fn value(&self, key: &str) -> Option<&MetadataValue> {
        self.file.metadata().get(&self.name(key))
    }

    pub(super) fn wrong(&self, key: &str, wanted: &str) -> FilesError {
        let found = self.value(key).map_or("missing", MetadataValue::type_name);
        FilesError::malformed(
            self.file.path(),
            format!(
                "the metadata {} must be {wanted}, and is {found}",
                self.name(key)
            ),
        )
    }

    /// A whole number, or an array that repeats one for every layer.
    pub(super) fn optional_count(&self, key: &str) -> Result<Option<u64>, FilesError> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        if let Some(array) = value.as_array() {
            let numbers = array.to_i64s().unwrap_or_default();
            return match numbers.split_first() {
                Some((first, rest)) if *first >= 0 && rest.iter().all(|number| number == first) => {
                    Ok(Some(first.unsigned_abs()))
                }
                _ => Err(FilesError::unsupported(
                    self.file.path(),
                    format!(
                        "{} differs between layers, which is not implemented",
                        self.name(key)
                    ),
                )),
            };
        }
        value
            .as_u64()
            .map(Some)
            .ok_or_else(|| self.wrong(key, "a whole number"))
    }

    pub(super) fn count(&self, key: &str) -> Result<u64, FilesError> {
        self.optional_count(key)?
            .filter(|count| *count > 0)
            .ok_or_else(|| self.wrong(key, "a whole number above 0"))
    }

    pub(super) fn optional_real(&self, key: &str) -> Result<Option<f64>, FilesError> {
        self.value(key)
            .map(|value| {
                value
                    .as_f64()
                    .filter(|number| number.is_finite())
                    .ok_or_else(|| self.wrong(key, "a finite floating-point number"))
            })
            .transpose()
    }

    fn text(&self, key: &str) -> Result<Option<&str>, FilesError> {
        self.value(key)
            .map(|value| value.as_str().ok_or_else(|| self.wrong(key, "a string")))
            .transpose()
    }

    pub(super) fn refuse_unpresentable(&self) -> Result<(), FilesError> {
        for (key, neutral) in NEUTRAL {
            let Some(value) = self.value(key) else {
                continue;
            };
            let number = value
                .as_f64()
                .or_else(|| value.as_u64().map(|number| number as f64));
            if number != Some(neutral) {
                return Err(FilesError::unsupported(
                    self.file.path(),
                    format!(
                        "the metadata {} asks for a computation that is not implemented",
                        self.name(key)
                    ),
                ));
            }
        }
        Ok(())
    }

    /// `rope_scaling`, from the metadata or from the tensor of Llama 3's factors.
    pub(super) fn rope_scaling(
        &self,
        theta: f64,
        head_dim: u64,
    ) -> Result<Option<Map<String, Value>>, FilesError> {
        let original = self.optional_count("rope.scaling.original_context_length")?;
        if let Some(scaling) = rope_factors::read(self.file, theta, head_dim, original)? {
            return Ok(Some(scaling));
        }
        let kind = self.text("rope.scaling.type")?;
        let factor = match self.optional_real("rope.scaling.factor")? {
            Some(factor) => Some(factor),
            None => self.optional_real("rope.scale_linear")?,
        };
        let kind = match kind {
            None if factor.is_some_and(|factor| factor != 0.0 && factor != 1.0) => "linear",
            None | Some("none") => return Ok(None),
            Some(kind) => kind,
        };
        let mut scaling = object(json!({ "rope_type": kind }));
        if let Some(factor) = factor {
            scaling.insert("factor".into(), factor.into());
        }
        if let Some(original) = original {
            scaling.insert("original_max_position_embeddings".into(), original.into());
        }
        Ok(Some(scaling))
    }
}

/// The members of what `json!` made of braces.
pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
