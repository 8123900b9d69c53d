//! Root mean square normalization.

use mlx_rs::{Array, fast};

use super::exception::MlxResult;

/// `x / rms(x) * weight` over the last axis (Zhang and Sennrich, 2019).
#[derive(Debug)]
pub(super) struct RmsNorm {
    pub(super) weight: Array,
    pub(super) eps: f32,
}

impl RmsNorm {
    pub(super) fn forward(&self, x: &Array) -> MlxResult<Array> {
        fast::rms_norm(x, Some(&self.weight), self.eps)
    }
}
