//! How modules are quantized, as MLX and mlx-lm write it into `config.json`.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::{ArchError, config::Config, error::quote};

/// What MLX's affine kernels take, and groups of 16, which GGML has.
const BITS: [u32; 6] = [2, 3, 4, 5, 6, 8];
const GROUP_SIZES: [u32; 4] = [16, 32, 64, 128];
/// What MLX takes for a module whose entry leaves it open.
const DEFAULT: Affine = Affine {
    group_size: 64,
    bits: 4,
};

/// `w = scale * q + bias`, with one scale and one bias for each group of weights along a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub struct Affine {
    /// Weights in a group: 16, 32, 64 or 128. MLX has no kernels for 16.
    pub group_size: u32,
    /// Bits of a weight: 2, 3, 4, 5, 6 or 8.
    pub bits: u32,
}

impl Affine {
    /// The form in which a matrix is packed, from its row length, the u32 words that its rows
    /// take, and its groups per row; `None` if they don't fit together.
    ///
    /// A module that the configuration does not name may differ from the default; mlx-lm goes by
    /// the shapes then (`infer_quant_config`), and so should an engine.
    pub fn from_shapes(row: usize, words: usize, groups: usize) -> Option<Self> {
        let exactly = |a: usize, b: usize| (b > 0 && a.is_multiple_of(b)).then(|| a / b);
        let affine = Self {
            group_size: exactly(row, groups)?.try_into().ok()?,
            bits: exactly(words.checked_mul(32)?, row)?.try_into().ok()?,
        };
        affine.is_supported().then_some(affine)
    }

    fn is_supported(self) -> bool {
        BITS.contains(&self.bits) && GROUP_SIZES.contains(&self.group_size)
    }
}

/// What each module's weights are packed as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct QuantizationPlan {
    /// What holds for modules that are not named.
    pub default: Affine,
    /// Modules that differ, by name (`model.embed_tokens`); `None` for unquantized ones.
    pub overrides: BTreeMap<String, Option<Affine>>,
}

impl QuantizationPlan {
    /// How a module is packed, if it is: a module that is not named is unquantized all the same
    /// when the weights have no `<module>.scales`.
    pub fn for_module(&self, module: &str) -> Option<Affine> {
        self.overrides
            .get(module)
            .copied()
            .unwrap_or(Some(self.default))
    }

    /// `quantization`, or the older `quantization_config`.
    pub(crate) fn read(config: &Config<'_>) -> Result<Option<Self>, ArchError> {
        if let Some(object) = config.object("quantization", "quantization.")? {
            return Self::read_object(&object).map(Some);
        }
        let Some(object) = config.object("quantization_config", "quantization_config.")? else {
            return Ok(None);
        };
        // Hugging Face's own methods sign with their name, MLX's entry does not.
        match object.get("quant_method") {
            None => Self::read_object(&object).map(Some),
            Some(method) => Err(unsupported(method)),
        }
    }

    fn read_object(object: &Config<'_>) -> Result<Self, ArchError> {
        refuse_other_modes(object)?;
        let default = Affine {
            group_size: object.count("group_size", 1..=u32::MAX)?,
            bits: object.count("bits", 1..=u32::MAX)?,
        };
        check(object, default)?;
        let mut overrides = BTreeMap::new();
        for (module, value) in object.map() {
            match value {
                Value::Bool(false) => {
                    overrides.insert(module.clone(), None);
                }
                Value::Bool(true) => {
                    overrides.insert(module.clone(), Some(default));
                }
                Value::Object(own) => {
                    let own = Config::new(own, object.model_type());
                    let named = |error| in_module(error, module);
                    refuse_other_modes(&own)?;
                    let affine = Affine {
                        group_size: own
                            .optional_count("group_size", 1..=u32::MAX)
                            .map_err(named)?
                            .unwrap_or(DEFAULT.group_size),
                        bits: own
                            .optional_count("bits", 1..=u32::MAX)
                            .map_err(named)?
                            .unwrap_or(DEFAULT.bits),
                    };
                    check(&own, affine).map_err(named)?;
                    overrides.insert(module.clone(), Some(affine));
                }
                // The settings themselves, and remarks of other tools.
                _ => {}
            }
        }
        Ok(Self { default, overrides })
    }
}

fn refuse_other_modes(object: &Config<'_>) -> Result<(), ArchError> {
    match object.get("mode") {
        None => Ok(()),
        Some(mode) if mode.as_str() == Some("affine") => Ok(()),
        Some(mode) => Err(unsupported(mode)),
    }
}

fn unsupported(method: &Value) -> ArchError {
    ArchError::UnsupportedQuantization {
        method: method.as_str().map_or_else(|| quote(method), str::to_owned),
    }
}

fn check(object: &Config<'_>, affine: Affine) -> Result<(), ArchError> {
    if !BITS.contains(&affine.bits) {
        return Err(object.invalid("bits", &affine.bits.into(), "2, 3, 4, 5, 6 or 8"));
    }
    if !GROUP_SIZES.contains(&affine.group_size) {
        return Err(object.invalid("group_size", &affine.group_size.into(), "16, 32, 64 or 128"));
    }
    Ok(())
}

/// The error with the module's name before the field's.
fn in_module(error: ArchError, module: &str) -> ArchError {
    match error {
        ArchError::InvalidField {
            field,
            value,
            expected,
        } => ArchError::InvalidField {
            field: format!("quantization.{module}.{field}"),
            value,
            expected,
        },
        other => other,
    }
}
