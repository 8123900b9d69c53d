//! Several linear layers over one input, as one multiplication where their weights allow it.

use mlx_rs::{Array, ops::concatenate};

use super::{device::Device, exception::MlxResult, linear::Linear};

/// Linear layers that are given the same rows.
///
/// What a GPU gains is fewer kernels, each with more to do; no number of the result changes, since
/// no output depends on another.
#[derive(Debug)]
pub(super) struct Projections {
    /// One layer with all outputs, or one for each.
    linears: Vec<Linear>,
}

impl Projections {
    /// Joins the layers if their weights have one form, and keeps them apart otherwise.
    pub(super) fn new(linears: Vec<Linear>, device: &Device) -> MlxResult<Self> {
        let linears = match Linear::join(&linears)? {
            Some(joined) => vec![joined],
            None => linears,
        };
        let linears = linears
            .into_iter()
            .map(|linear| linear.prepared(device))
            .collect::<MlxResult<_>>()?;
        Ok(Self { linears })
    }

    /// `[rows, inputs]` to all outputs, one layer's behind the other's: `[rows, sum of outputs]`.
    pub(super) fn forward(&self, x: &Array) -> MlxResult<Array> {
        match &self.linears[..] {
            [one] => one.forward(x),
            several => {
                let outputs = several
                    .iter()
                    .map(|linear| linear.forward(x))
                    .collect::<MlxResult<Vec<_>>>()?;
                concatenate(&outputs, -1)
            }
        }
    }
}
