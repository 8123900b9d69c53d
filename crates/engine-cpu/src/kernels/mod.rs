//! The arithmetic, behind one interface: the processor decides which set of kernels runs.
//!
//! Every set computes the same numbers in the same order for a row of activations, however many
//! other rows come with it, so that a batch gives exactly what its runs give one by one.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod context;
mod elementwise;
mod portable;
#[cfg(test)]
mod tests;
mod views;

use std::fmt::Debug;

pub(crate) use context::{
    ContextPage, Integers, KeyLanes, MOST, PageScores, RoundedQueries, SMALLEST_SCALE, Seen,
    Softmaxes, ValueRows,
};
pub(crate) use views::{
    AffineTiles, Blocks, BlocksMut, Numbers, Offset, PlainTiles, Precision, QuantizedRows,
    ROWS_TOGETHER, Width,
};

/// Rows of a matrix that lie interleaved: the lanes of a 512-bit register of 32-bit numbers.
pub(crate) const LANES: usize = 16;

/// Positions in a page of the KV cache: as many as attention scores at a time.
pub(crate) const PAGE: usize = 64;

/// A set of kernels for one kind of processor.
pub(crate) trait Kernels: Debug + Send + Sync {
    /// Its name: the instructions that it needs.
    fn name(&self) -> &'static str;

    /// Products of affine tiles with rows of quantized activations.
    ///
    /// `out` is `[tiles, rows, LANES]`, with the rows of all groups one after the other; the products
    /// are added to what it holds.
    fn affine(&self, tiles: &AffineTiles<'_>, groups: &[&QuantizedRows], out: &mut [f32]);

    /// Products of tiles of plain numbers with rows of activations, each as long as the matrix has
    /// columns. `out` as in [`Kernels::affine`].
    fn plain(&self, tiles: &PlainTiles<'_>, rows: &[&[f32]], out: &mut [f32]);

    /// Rounds rows of activations, each of `columns`, block by block, as exactly as `out` asks for.
    fn quantize(&self, rows: &[f32], columns: usize, out: &mut QuantizedRows);

    /// Rounds some columns of rows that lie as tiles of a matrix give them, `[tiles, rows, LANES]`.
    fn quantize_panels(&self, panels: &[f32], out: &mut BlocksMut<'_>);

    /// `x / rms(x) * weight` (<https://arxiv.org/abs/1910.07467>), in place.
    fn rms_norm(&self, row: &mut [f32], weight: &[f32], eps: f32);

    /// `silu(gate) * up`, in place of `gate`.
    fn silu_mul(&self, gate: &mut [f32], up: &[f32]);

    /// Rounds a query, a key or a value to integers up to `most`; returns their scale, which is NaN if
    /// any of the numbers is not finite: the integers are 0 then.
    fn round(&self, numbers: &[f32], most: f32, out: &mut [i16]) -> f32;

    /// Scores of queries with a page of keys, `[queries, PAGE]`. Meanwhile the memory is asked for
    /// what comes `next`.
    fn scores(
        &self,
        queries: &RoundedQueries,
        keys: &KeyLanes<'_>,
        next: Option<&ContextPage<'_>>,
        out: &mut [f32],
    );

    /// Takes a page's scores into the softmaxes.
    fn softmax_step(&self, page: &PageScores<'_>, softmaxes: &mut Softmaxes);

    /// Takes the values of the page that the softmaxes took last into `out`, `[queries, head_dim]`.
    /// Meanwhile the memory is asked for what comes `next`.
    fn accumulate(
        &self,
        softmaxes: &Softmaxes,
        values: &ValueRows<'_>,
        next: Option<&ContextPage<'_>>,
        out: &mut [f32],
    );
}

/// All sets that run on this processor, best first. The last one runs everywhere.
pub(crate) fn available() -> Vec<&'static dyn Kernels> {
    let mut sets: Vec<&'static dyn Kernels> = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(kernels) = avx512::Avx512::detect() {
            sets.push(kernels);
        }
        sets.extend(avx2::Avx2::detect());
    }
    sets.push(&portable::Portable);
    sets
}

/// The best set for this processor.
pub(crate) fn best() -> &'static dyn Kernels {
    available().first().copied().unwrap_or(&portable::Portable)
}
