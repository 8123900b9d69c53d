//! Typed and range-checked reading of a configuration's fields.

use std::{borrow::Cow, ops::RangeInclusive};

use serde_json::{Map, Value};

use crate::{ArchError, error::quote};

/// A configuration, or an object nested in one, and the family that reads it.
///
/// A field that is null counts as absent, as `None` does in Python.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config<'a> {
    map: &'a Map<String, Value>,
    model_type: &'a str,
    /// What leads to `map` in messages: "" or "`rope_scaling`.".
    prefix: &'static str,
}

impl<'a> Config<'a> {
    pub(crate) const fn new(map: &'a Map<String, Value>, model_type: &'a str) -> Self {
        Self {
            map,
            model_type,
            prefix: "",
        }
    }

    pub(crate) const fn model_type(&self) -> &'a str {
        self.model_type
    }

    pub(crate) const fn map(&self) -> &'a Map<String, Value> {
        self.map
    }

    pub(crate) fn get(&self, field: &str) -> Option<&'a Value> {
        self.map.get(field).filter(|value| !value.is_null())
    }

    pub(crate) fn invalid(
        &self,
        field: &str,
        value: &Value,
        expected: impl Into<Cow<'static, str>>,
    ) -> ArchError {
        ArchError::InvalidField {
            field: format!("{}{field}", self.prefix),
            value: quote(value),
            expected: expected.into(),
        }
    }

    pub(crate) fn missing(&self, field: &str) -> ArchError {
        ArchError::MissingField {
            field: format!("{}{field}", self.prefix),
            model_type: self.model_type.to_owned(),
        }
    }

    pub(crate) fn unsupported(
        &self,
        field: &str,
        value: &Value,
        supported: impl Into<Cow<'static, str>>,
    ) -> ArchError {
        ArchError::UnsupportedValue {
            field: format!("{}{field}", self.prefix),
            value: quote(value),
            model_type: self.model_type.to_owned(),
            supported: supported.into(),
        }
    }

    /// A nested object.
    pub(crate) fn object(
        &self,
        field: &'static str,
        prefix: &'static str,
    ) -> Result<Option<Self>, ArchError> {
        self.get(field)
            .map(|value| {
                value
                    .as_object()
                    .map(|map| Self {
                        map,
                        prefix,
                        ..*self
                    })
                    .ok_or_else(|| self.invalid(field, value, "an object"))
            })
            .transpose()
    }

    /// A whole number in a range.
    pub(crate) fn optional_count(
        &self,
        field: &str,
        range: RangeInclusive<u32>,
    ) -> Result<Option<u32>, ArchError> {
        self.get(field)
            .map(|value| {
                value
                    .as_u64()
                    .and_then(|number| u32::try_from(number).ok())
                    .filter(|number| range.contains(number))
                    .ok_or_else(|| {
                        let expected =
                            format!("a whole number from {} to {}", range.start(), range.end());
                        self.invalid(field, value, expected)
                    })
            })
            .transpose()
    }

    pub(crate) fn count(&self, field: &str, range: RangeInclusive<u32>) -> Result<u32, ArchError> {
        self.optional_count(field, range)?
            .ok_or_else(|| self.missing(field))
    }

    /// A number in a range, which excludes infinities and NaN.
    pub(crate) fn optional_real(
        &self,
        field: &str,
        range: RangeInclusive<f64>,
    ) -> Result<Option<f64>, ArchError> {
        self.get(field)
            .map(|value| {
                value
                    .as_f64()
                    .filter(|number| range.contains(number))
                    .ok_or_else(|| {
                        let expected =
                            format!("a number from {:e} to {:e}", range.start(), range.end());
                        self.invalid(field, value, expected)
                    })
            })
            .transpose()
    }

    pub(crate) fn real(&self, field: &str, range: RangeInclusive<f64>) -> Result<f64, ArchError> {
        self.optional_real(field, range)?
            .ok_or_else(|| self.missing(field))
    }

    pub(crate) fn optional_flag(&self, field: &str) -> Result<Option<bool>, ArchError> {
        self.get(field)
            .map(|value| {
                value
                    .as_bool()
                    .ok_or_else(|| self.invalid(field, value, "true or false"))
            })
            .transpose()
    }

    pub(crate) fn optional_text(&self, field: &str) -> Result<Option<&'a str>, ArchError> {
        self.get(field)
            .map(|value| {
                value
                    .as_str()
                    .ok_or_else(|| self.invalid(field, value, "a string"))
            })
            .transpose()
    }

    /// A token id, or a list of them.
    pub(crate) fn token_ids(&self, field: &str) -> Result<Vec<u32>, ArchError> {
        let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        match self.get(field) {
            None => Some(Vec::new()),
            Some(Value::Array(values)) => values.iter().map(id).collect::<Option<_>>(),
            Some(value) => id(value).map(|id| vec![id]),
        }
        .ok_or_else(|| {
            let value = self.map.get(field).unwrap_or(&Value::Null);
            self.invalid(field, value, "a token id or a list of token ids")
        })
    }

    /// A list of layers, counted from 0; none if the field is absent.
    pub(crate) fn layer_numbers(&self, field: &str) -> Result<Vec<u32>, ArchError> {
        let Some(value) = self.get(field) else {
            return Ok(Vec::new());
        };
        let number = |value: &Value| value.as_u64().and_then(|layer| u32::try_from(layer).ok());
        value
            .as_array()
            .and_then(|layers| layers.iter().map(number).collect())
            .ok_or_else(|| self.invalid(field, value, "a list of layer numbers"))
    }
}
