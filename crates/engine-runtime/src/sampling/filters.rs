//! Which tokens a draw is made from.

use engine_core::GenerateParams;

/// The settings that shape and cut the distribution.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filters {
    /// Above 0.
    pub(super) temperature: f32,
    /// Keep this many.
    pub(super) top_k: Option<usize>,
    /// Keep the likeliest that add up to this share; `None` keeps all.
    pub(super) top_p: Option<f64>,
    /// Keep those at least this share as likely as the likeliest; 0 keeps all.
    pub(super) min_p: f64,
}

impl Filters {
    pub(super) fn new(params: &GenerateParams) -> Self {
        Self {
            temperature: params.temperature,
            top_k: params.top_k.map(|k| k as usize),
            top_p: (params.top_p < 1.0).then_some(f64::from(params.top_p)),
            min_p: f64::from(params.min_p),
        }
    }
}
