//! One row times a large matrix of 4-bit weights on CUDA, by a kernel of our own.
//!
//! MLX's kernel for this reads such matrices at a third of an H100's bandwidth; this one reads the
//! largest at four fifths, and rounds once, where the sum is complete.

use mlx_rs::{Array, Dtype};

use super::{
    affine::Affine,
    cuda_kernel::{CudaKernel, CudaLaunch, CudaShape, CudaSource},
    exception::MlxResult,
};

const SOURCE: CudaSource<'static> = CudaSource {
    name: c"affine4_row",
    header: include_str!("cuda_row.cu"),
    body: c"affine4_times_row<T, G, R, W>(x, w, scales, biases, y, x_shape[1], w_shape[0]);",
    inputs: &[c"x", c"w", c"scales", c"biases"],
    output: c"y",
};

/// Outputs that a warp computes, and warps in a block.
const OUTPUTS: i32 = 4;
const WARPS: i32 = 4;

/// Threads in a warp.
const LANES: i32 = 32;

/// The fewest weights for which the kernel gains more than the host loses to its start.
const SMALLEST: i64 = 1 << 25;

/// How a matrix is multiplied with one row.
#[derive(Debug)]
pub(super) struct CudaRow {
    kernel: CudaKernel,
    launch: CudaLaunch,
    dtype: Dtype,
}

impl CudaRow {
    /// `None` where MLX's own kernel is as fast, or has to do it.
    pub(super) fn for_large(matrix: &Affine) -> MlxResult<Option<Self>> {
        let weights = matrix.scales.size() as i64 * i64::from(matrix.group_size);
        if weights < SMALLEST {
            return Ok(None);
        }
        Self::new(matrix)
    }

    /// `None` for a matrix that the kernel does not take.
    fn new(matrix: &Affine) -> MlxResult<Option<Self>> {
        let &[outputs, _] = matrix.scales.shape() else {
            return Ok(None);
        };
        if matrix.bits != 4 || matrix.group_size % LANES != 0 {
            return Ok(None);
        }
        let dtype = matrix.scales.dtype();
        let blocks = (outputs as u32).div_ceil((OUTPUTS * WARPS) as u32) as i32;
        let launch = CudaLaunch::new(&CudaShape {
            threads: [blocks * LANES, WARPS, 1],
            block: [LANES, WARPS, 1],
            output: &[1, outputs],
            dtype,
            types: &[(c"T", dtype)],
            numbers: &[(c"G", matrix.group_size), (c"R", OUTPUTS), (c"W", WARPS)],
        })?;
        Ok(Some(Self {
            kernel: CudaKernel::new(&SOURCE)?,
            launch,
            dtype,
        }))
    }

    /// Whether `x` is what the kernel takes: one row, of the type of the scales.
    pub(super) fn takes(&self, x: &Array) -> bool {
        x.shape().len() == 2 && x.dim(0) == 1 && x.dtype() == self.dtype
    }

    /// `x` `[1, inputs]` times the transposed matrix: `[1, outputs]`.
    pub(super) fn multiply(&self, matrix: &Affine, x: &Array) -> MlxResult<Array> {
        let Affine {
            packed,
            scales,
            biases,
            ..
        } = matrix;
        self.kernel
            .apply(&self.launch, &[x, packed, scales, biases])
    }
}

#[cfg(test)]
mod tests;
