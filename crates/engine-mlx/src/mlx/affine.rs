//! Affine-quantized matrices, and how devices multiply with them.

use mlx_rs::{
    Array, Stream,
    ops::{concatenate, dequantize, matmul, quantized_matmul},
    with_stream,
};

use super::{cuda_row::CudaRow, device::Device, exception::MlxResult, slices};

/// An affine-quantized matrix `[outputs, inputs]`: groups of small integers along the rows,
/// `w = scale * q + bias`. Matrices of several experts are stacked, with another dimension before.
#[derive(Clone, Debug)]
pub(super) struct Affine {
    /// `[outputs, inputs * bits / 32]`, 32-bit words.
    pub(super) packed: Array,
    /// `[outputs, inputs / group_size]`, of the compute type, as are the biases.
    pub(super) scales: Array,
    pub(super) biases: Array,
    pub(super) group_size: i32,
    pub(super) bits: i32,
}

impl Affine {
    /// `x` `[rows, inputs]` times the transposed matrix: `[rows, outputs]`.
    pub(super) fn multiply(&self, x: &Array) -> MlxResult<Array> {
        quantized_matmul(
            x,
            &self.packed,
            &self.scales,
            &self.biases,
            true,
            self.group_size,
            self.bits,
        )
    }

    /// The matrix as numbers.
    pub(super) fn dequantize(&self) -> MlxResult<Array> {
        dequantize(
            &self.packed,
            &self.scales,
            &self.biases,
            self.group_size,
            self.bits,
        )
    }

    /// The rows of `tokens` `[count]` as numbers: `[count, inputs]`.
    pub(super) fn take_rows(&self, tokens: &Array) -> MlxResult<Array> {
        Self {
            packed: self.packed.take_axis(tokens, 0)?,
            scales: self.scales.take_axis(tokens, 0)?,
            biases: self.biases.take_axis(tokens, 0)?,
            ..*self
        }
        .dequantize()
    }

    /// The outputs of all matrices behind one another along `axis`; `None` if they are packed
    /// differently.
    pub(super) fn join(matrices: &[&Self], axis: i32) -> MlxResult<Option<Self>> {
        let Some(first) = matrices.first() else {
            return Ok(None);
        };
        let form = |matrix: &Self| (matrix.group_size, matrix.bits);
        if matrices.iter().any(|matrix| form(matrix) != form(first)) {
            return Ok(None);
        }
        let all = |part: fn(&Self) -> &Array| {
            let parts: Vec<&Array> = matrices.iter().map(|matrix| part(matrix)).collect();
            concatenate(&parts, axis)
        };
        let joined = Self {
            packed: all(|matrix| &matrix.packed)?,
            scales: all(|matrix| &matrix.scales)?,
            biases: all(|matrix| &matrix.biases)?,
            ..**first
        };
        mlx_rs::transforms::eval([&joined.packed, &joined.scales, &joined.biases])?;
        Ok(Some(joined))
    }

    /// Outputs `start..end` as a matrix of its own, which shares this one's memory.
    fn outputs(&self, start: i32, end: i32) -> MlxResult<Self> {
        let part = Self {
            packed: slices::rows(&self.packed, start..end)?,
            scales: slices::rows(&self.scales, start..end)?,
            biases: slices::rows(&self.biases, start..end)?,
            ..*self
        };
        mlx_rs::transforms::eval([&part.packed, &part.scales, &part.biases])?;
        Ok(part)
    }
}

/// How to multiply with a quantized matrix.
#[derive(Debug)]
pub(super) enum Product {
    /// By a kernel that unpacks weights as it multiplies.
    Fused,
    /// Likewise for some rows; for one by a kernel of our own, if that is faster; for many the
    /// matrix is dequantized first and multiplied by cuBLAS.
    OnCuda(Option<CudaRow>),
    /// As the processor does it best.
    Divided(CpuAffine),
}

/// From this many rows of `x` on, CUDA's fused kernel takes longer than to write the whole matrix
/// as numbers and multiply with those: on an H100 1.3 times as long at 256 rows, 5 times at 4,096.
const CUDA_DEQUANTIZES_FROM: i32 = 192;

impl Product {
    /// What suits a device.
    pub(super) fn on(device: &Device, matrix: &Affine) -> MlxResult<Self> {
        if device.is_cpu() {
            return device
                .run(|| CpuAffine::new(matrix, device.cpu_streams()))
                .map(Self::Divided);
        }
        if device.is_cuda() {
            return CudaRow::for_large(matrix).map(Self::OnCuda);
        }
        Ok(Self::Fused)
    }

    /// `x` `[rows, inputs]` times the transposed matrix: `[rows, outputs]`.
    pub(super) fn of(&self, matrix: &Affine, x: &Array) -> MlxResult<Array> {
        match self {
            Self::Divided(divided) => divided.multiply(x),
            Self::OnCuda(Some(row)) if row.takes(x) => row.multiply(matrix, x),
            Self::OnCuda(_) if x.dim(0) >= CUDA_DEQUANTIZES_FROM => {
                matmul(x, matrix.dequantize()?.transpose()?)
            }
            Self::Fused | Self::OnCuda(_) => matrix.multiply(x),
        }
    }
}

/// How the processor multiplies with a quantized matrix.
///
/// An operation of MLX runs on one core, and its quantized kernel unpacks every weight anew for
/// every row of `x`. So the outputs are divided among streams, which run side by side; and for
/// many rows the matrix is dequantized first and multiplied by BLAS. Both add the same products in
/// the same order, so that not a bit of the result changes.
#[derive(Debug)]
pub(super) struct CpuAffine {
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    matrix: Affine,
    stream: Stream,
}

/// From this many rows of `x` on, dequantizing first is faster.
const DEQUANTIZE_FROM: i32 = 16;

/// The fewest weights that are worth a stream of their own.
const SMALLEST_PART: usize = 1 << 17;

impl CpuAffine {
    /// Divides the matrix among streams.
    pub(super) fn new(matrix: &Affine, streams: &[Stream]) -> MlxResult<Self> {
        let outputs = matrix.packed.dim(0);
        let inputs = matrix.scales.dim(1) * matrix.group_size;
        let worthwhile = outputs as usize * inputs as usize / SMALLEST_PART;
        let count = worthwhile.clamp(1, streams.len().max(1)) as i32;
        let parts = (0..count)
            .zip(streams)
            .map(|(part, stream)| {
                let cut =
                    |part: i32| (i64::from(outputs) * i64::from(part) / i64::from(count)) as i32;
                let matrix = if count == 1 {
                    matrix.clone()
                } else {
                    matrix.outputs(cut(part), cut(part + 1))?
                };
                Ok(Part {
                    matrix,
                    stream: stream.clone(),
                })
            })
            .collect::<MlxResult<_>>()?;
        Ok(Self { parts })
    }

    /// `x` `[rows, inputs]` times the transposed matrix: `[rows, outputs]`.
    pub(super) fn multiply(&self, x: &Array) -> MlxResult<Array> {
        if x.dim(0) < DEQUANTIZE_FROM {
            return self.on_streams(1, |matrix| matrix.multiply(x));
        }
        // With `x` transposed both operands have BLAS's own layout, and its innermost loop runs
        // along the rows of `x`, which vectorizes.
        let columns = x.transpose()?.contiguous()?;
        self.on_streams(0, |matrix| matmul(matrix.dequantize()?, &columns))?
            .transpose()?
            .contiguous()
    }

    fn on_streams(
        &self,
        axis: i32,
        multiply: impl Fn(&Affine) -> MlxResult<Array>,
    ) -> MlxResult<Array> {
        let mut products = self
            .parts
            .iter()
            .map(|part| with_stream(&part.stream, || multiply(&part.matrix)))
            .collect::<MlxResult<Vec<_>>>()?;
        match products.len() {
            1 => Ok(products.remove(0)),
            _ => concatenate(&products, axis),
        }
    }
}

#[cfg(test)]
mod tests;
