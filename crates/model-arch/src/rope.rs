//! Rotary position embeddings (<https://arxiv.org/abs/2104.09864>) and their scalings.

use std::f64::consts::TAU;

use serde::Serialize;
use serde_json::Value;

use crate::{ArchError, config::Config};

/// How positions rotate queries and keys.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RopeSpec {
    /// The base of the frequencies.
    pub theta: f64,
    /// Numbers of a head that are rotated; even.
    pub dims: u32,
    /// Whether pairs are neighbours (2 j, 2 j + 1) rather than halves (j, j + dims / 2).
    pub traditional: bool,
    /// How the frequencies are stretched for a longer context.
    pub scaling: RopeScaling,
}

/// Ways to stretch rotary frequencies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// All positions are divided by a factor.
    Linear {
        /// The factor.
        factor: f64,
    },
    /// Low frequencies are divided by a factor, high ones are left, and those between blend.
    Llama3 {
        /// The factor.
        factor: f64,
        /// Wavelengths above `original_context` over this are low frequencies.
        low_freq_factor: f64,
        /// Wavelengths below `original_context` over this are high frequencies.
        high_freq_factor: f64,
        /// Tokens of context before the stretch.
        original_context: u32,
    },
}

impl RopeSpec {
    /// Radians per position of each pair, `dims / 2` of them, scaling included.
    ///
    /// Pair `j` turns by `theta^(-2 j / dims)`. Computed in double precision and rounded once.
    ///
    /// Llama 3's rule is that of `_compute_llama3_parameters` in transformers'
    /// `modeling_rope_utils.py` and of `Llama3RoPE` in mlx-lm's `rope_utils.py`.
    pub fn inverse_frequencies(&self) -> Vec<f32> {
        self.frequencies()
            .map(|frequency| frequency as f32)
            .collect()
    }

    /// Positions per radian of each pair: the reciprocals, which `mlx.fast.rope` takes as `freqs`.
    pub fn periods(&self) -> Vec<f32> {
        self.frequencies()
            .map(|frequency| frequency.recip() as f32)
            .collect()
    }

    /// What `mlx.fast.rope` takes as `scale` beside `theta`: positions are multiplied by it.
    ///
    /// It expresses linear scaling. Llama 3's needs [`RopeSpec::periods`] in place of both.
    pub fn position_scale(&self) -> f32 {
        match self.scaling {
            RopeScaling::Linear { factor } => factor.recip() as f32,
            RopeScaling::None | RopeScaling::Llama3 { .. } => 1.0,
        }
    }

    fn frequencies(&self) -> impl Iterator<Item = f64> {
        let dims = f64::from(self.dims);
        (0..self.dims / 2).map(move |pair| {
            let frequency = self.theta.powf(-2.0 * f64::from(pair) / dims);
            self.scaling.apply(frequency)
        })
    }

    /// Reads `rope_theta` and `rope_scaling`, or transformers 5's `rope_parameters`.
    pub(crate) fn read(
        config: &Config<'_>,
        default_theta: Option<f64>,
        dims: u32,
        traditional: bool,
    ) -> Result<Self, ArchError> {
        const THETA: std::ops::RangeInclusive<f64> = 1.0..=1e15;
        let parameters = config.object("rope_parameters", "rope_parameters.")?;
        if let Some(parameters) = &parameters
            && parameters.map().values().any(Value::is_object)
        {
            return Err(ArchError::UnsupportedRope {
                kind: "a set of parameters for each type of layer".to_owned(),
            });
        }
        let theta = match (config.optional_real("rope_theta", THETA)?, &parameters) {
            (Some(theta), _) => Some(theta),
            (None, Some(parameters)) => parameters.optional_real("rope_theta", THETA)?,
            (None, None) => None,
        };
        let theta = theta
            .or(default_theta)
            .ok_or_else(|| config.missing("rope_theta"))?;
        for source in [Some(*config), parameters].into_iter().flatten() {
            let factor = source.optional_real("partial_rotary_factor", 0.0..=1.0)?;
            if let Some(factor) = factor.filter(|factor| *factor != 1.0) {
                return Err(source.unsupported("partial_rotary_factor", &factor.into(), "1"));
            }
        }
        let scaling = match config.object("rope_scaling", "rope_scaling.")? {
            Some(scaling) => Some(scaling),
            None => parameters,
        };
        Ok(Self {
            theta,
            dims,
            traditional,
            scaling: scaling
                .map_or(Ok(RopeScaling::None), |scaling| RopeScaling::read(&scaling))?,
        })
    }
}

impl RopeScaling {
    fn apply(self, frequency: f64) -> f64 {
        match self {
            Self::None => frequency,
            Self::Linear { factor } => frequency / factor,
            Self::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_context,
            } => {
                let wavelength = TAU / frequency;
                let original = f64::from(original_context);
                if wavelength < original / high_freq_factor {
                    frequency
                } else if wavelength > original / low_freq_factor {
                    frequency / factor
                } else {
                    let smooth = (original / wavelength - low_freq_factor)
                        / (high_freq_factor - low_freq_factor);
                    frequency * ((1.0 - smooth) / factor + smooth)
                }
            }
        }
    }

    /// Reads `rope_scaling`, with the defaults of mlx-lm's `rope_utils.py`.
    fn read(scaling: &Config<'_>) -> Result<Self, ArchError> {
        const FACTOR: std::ops::RangeInclusive<f64> = 1e-3..=1e6;
        // An empty "type" gives way to "rope_type", as in mlx-lm.
        let kind = match scaling.optional_text("type")? {
            Some(kind) if !kind.is_empty() => kind,
            _ => scaling.optional_text("rope_type")?.unwrap_or("default"),
        };
        match kind {
            "default" => Ok(Self::None),
            "linear" => Ok(Self::Linear {
                factor: scaling.real("factor", FACTOR)?,
            }),
            "llama3" => {
                let factor = scaling.real("factor", FACTOR)?;
                let low_freq_factor = scaling
                    .optional_real("low_freq_factor", FACTOR)?
                    .unwrap_or(1.0);
                let high_freq_factor = scaling
                    .optional_real("high_freq_factor", FACTOR)?
                    .unwrap_or(4.0);
                if high_freq_factor <= low_freq_factor {
                    return Err(scaling.invalid(
                        "high_freq_factor",
                        &high_freq_factor.into(),
                        format!("above low_freq_factor, which is {low_freq_factor}"),
                    ));
                }
                Ok(Self::Llama3 {
                    factor,
                    low_freq_factor,
                    high_freq_factor,
                    original_context: scaling
                        .optional_count("original_max_position_embeddings", 1..=1 << 28)?
                        .unwrap_or(8192),
                })
            }
            other => Err(ArchError::UnsupportedRope {
                kind: other.to_owned(),
            }),
        }
    }
}
