//! Rotary positions.

use mlx_rs::{Array, fast};
use model_arch::{RopeScaling, RopeSpec};

use super::exception::MlxResult;

/// Turns pairs of numbers by angles that grow with the position.
#[derive(Clone, Debug)]
pub(super) struct Rope {
    dims: i32,
    traditional: bool,
    scale: f32,
    turns: Turns,
}

#[derive(Clone, Debug)]
enum Turns {
    /// From the base of the frequencies.
    Base(f32),
    /// From positions per radian, one for each pair.
    Periods(Array),
}

/// The first of the positions.
#[derive(Clone, Copy, Debug)]
pub(super) enum Start<'a> {
    /// The same for all sequences.
    All(usize),
    /// One for each sequence, `[sequences]`, i32.
    Each(&'a Array),
}

impl Rope {
    pub(super) fn new(spec: &RopeSpec) -> Self {
        let turns = match spec.scaling {
            RopeScaling::None | RopeScaling::Linear { .. } => Turns::Base(spec.theta as f32),
            _ => {
                let periods = spec.periods();
                Turns::Periods(Array::from_slice(&periods, &[periods.len() as i32]))
            }
        };
        Self {
            dims: spec.dims as i32,
            traditional: spec.traditional,
            scale: spec.position_scale(),
            turns,
        }
    }

    /// `x` `[sequences, heads, positions, head_dim]` to the same.
    pub(super) fn forward(&self, x: &Array, start: Start<'_>) -> MlxResult<Array> {
        let (base, periods) = match &self.turns {
            Turns::Base(base) => (Some(*base), None),
            Turns::Periods(periods) => (None, Some(periods)),
        };
        let (dims, traditional, scale) = (self.dims, self.traditional, self.scale);
        match start {
            Start::All(start) => {
                fast::rope(x, dims, traditional, base, scale, start as i32, periods)
            }
            Start::Each(starts) => {
                fast::rope_dynamic(x, dims, traditional, base, scale, starts, periods)
            }
        }
    }
}
