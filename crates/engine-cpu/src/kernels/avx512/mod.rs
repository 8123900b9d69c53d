//! Kernels for AVX-512 with VNNI: Intel since Ice Lake, AMD since Zen 4.

#![expect(unsafe_code, reason = "vector instructions read through pointers")]

mod affine;
mod attention;
mod elementwise;
mod load;
mod plain;
mod softmax;

use super::{
    AffineTiles, BlocksMut, ContextPage, Kernels, KeyLanes, PageScores, PlainTiles, QuantizedRows,
    RoundedQueries, Softmaxes, ValueRows, elementwise as shared, portable::Portable,
};

/// Sixteen rows at a time. Exists only where [`Avx512::detect`] found the instructions.
#[derive(Debug)]
pub(super) struct Avx512(());

static AVX512: Avx512 = Avx512(());

impl Avx512 {
    /// The kernels, if this processor has the instructions.
    pub(super) fn detect() -> Option<&'static dyn Kernels> {
        let there = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("f16c")
            && is_x86_feature_detected!("fma");
        there.then_some(&AVX512 as &'static dyn Kernels)
    }
}

impl Kernels for Avx512 {
    fn name(&self) -> &'static str {
        "AVX-512 VNNI"
    }

    fn affine(&self, tiles: &AffineTiles<'_>, groups: &[&QuantizedRows], out: &mut [f32]) {
        tiles.check(groups, out);
        // SAFETY: `detect` found the instructions, and `check` the sizes.
        unsafe { affine::affine(tiles, groups, out) }
    }

    fn plain(&self, tiles: &PlainTiles<'_>, rows: &[&[f32]], out: &mut [f32]) {
        tiles.check(rows, out);
        // SAFETY: `detect` found the instructions, and `check` the sizes.
        unsafe { plain::plain(tiles, rows, out) }
    }

    fn quantize(&self, rows: &[f32], columns: usize, out: &mut QuantizedRows) {
        // SAFETY: `detect` found the instructions.
        unsafe { elementwise::quantize(rows, columns, out) }
    }

    fn quantize_panels(&self, panels: &[f32], out: &mut BlocksMut<'_>) {
        // SAFETY: `detect` found the instructions.
        unsafe { elementwise::quantize_panels(panels, out) }
    }

    fn rms_norm(&self, row: &mut [f32], weight: &[f32], eps: f32) {
        // SAFETY: `detect` found the instructions.
        unsafe { rms_norm(row, weight, eps) }
    }

    fn silu_mul(&self, gate: &mut [f32], up: &[f32]) {
        // SAFETY: `detect` found the instructions.
        unsafe { elementwise::silu_mul(gate, up) }
    }

    fn round(&self, numbers: &[f32], most: f32, out: &mut [i16]) -> f32 {
        // SAFETY: `detect` found the instructions.
        unsafe { round(numbers, most, out) }
    }

    fn scores(
        &self,
        queries: &RoundedQueries,
        keys: &KeyLanes<'_>,
        next: Option<&ContextPage<'_>>,
        out: &mut [f32],
    ) {
        keys.check(queries, out);
        // SAFETY: `detect` found the instructions, and `check` the sizes.
        unsafe { attention::scores(queries, keys, next, out) }
    }

    fn softmax_step(&self, page: &PageScores<'_>, softmaxes: &mut Softmaxes) {
        softmaxes.check(page);
        // SAFETY: `detect` found the instructions, and `check` the sizes.
        unsafe { softmax::softmax_step(page, softmaxes) }
    }

    fn accumulate(
        &self,
        softmaxes: &Softmaxes,
        values: &ValueRows<'_>,
        next: Option<&ContextPage<'_>>,
        out: &mut [f32],
    ) {
        if !values.head_dim.is_multiple_of(16) {
            return Portable.accumulate(softmaxes, values, next, out);
        }
        values.check(softmaxes, out);
        // SAFETY: `detect` found the instructions, and `check` the sizes.
        unsafe { attention::accumulate(softmaxes, values, next, out) }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,fma")]
fn rms_norm(row: &mut [f32], weight: &[f32], eps: f32) {
    shared::rms_norm(row, weight, eps);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,fma")]
fn round(numbers: &[f32], most: f32, out: &mut [i16]) -> f32 {
    shared::round_row(numbers, most, out)
}
