//! Kernels for AVX2: Intel since Haswell, AMD since Zen.

#![expect(unsafe_code, reason = "vector instructions read through pointers")]

mod affine;
mod attention;
mod load;
mod plain;

use super::{
    AffineTiles, BlocksMut, ContextPage, Kernels, KeyLanes, PageScores, PlainTiles, QuantizedRows,
    RoundedQueries, Softmaxes, ValueRows, elementwise, portable::Portable,
};

/// Eight rows at a time. Exists only where [`Avx2::detect`] found the instructions.
#[derive(Debug)]
pub(super) struct Avx2 {
    /// Whether there is `vpdpbusd` on 256 bits.
    vnni: bool,
}

static WITHOUT_VNNI: Avx2 = Avx2 { vnni: false };
static WITH_VNNI: Avx2 = Avx2 { vnni: true };

impl Avx2 {
    /// The kernels that this processor has the instructions for, best first.
    pub(super) fn detect() -> Vec<&'static dyn Kernels> {
        let mut sets: Vec<&'static dyn Kernels> = Vec::new();
        if is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("f16c")
            && is_x86_feature_detected!("fma")
        {
            if is_x86_feature_detected!("avxvnni") {
                sets.push(&WITH_VNNI);
            }
            sets.push(&WITHOUT_VNNI);
        }
        sets
    }
}

impl Kernels for Avx2 {
    fn name(&self) -> &'static str {
        if self.vnni { "AVX2 VNNI" } else { "AVX2" }
    }

    fn affine(&self, tiles: &AffineTiles<'_>, groups: &[&QuantizedRows], out: &mut [f32]) {
        tiles.check(groups, out);
        // SAFETY: `detect` found the instructions, and `check` the sizes.
        unsafe {
            if self.vnni {
                affine::with_vnni(tiles, groups, out);
            } else {
                affine::without_vnni(tiles, groups, out);
            }
        }
    }

    fn plain(&self, tiles: &PlainTiles<'_>, rows: &[&[f32]], out: &mut [f32]) {
        tiles.check(rows, out);
        // SAFETY: `detect` found the instructions, and `check` the sizes.
        unsafe { plain::plain(tiles, rows, out) }
    }

    fn quantize(&self, rows: &[f32], columns: usize, out: &mut QuantizedRows) {
        // SAFETY: `detect` found the instructions.
        unsafe { quantize(rows, columns, out) }
    }

    fn quantize_panels(&self, panels: &[f32], out: &mut BlocksMut<'_>) {
        // SAFETY: `detect` found the instructions.
        unsafe { quantize_panels(panels, out) }
    }

    fn rms_norm(&self, row: &mut [f32], weight: &[f32], eps: f32) {
        // SAFETY: `detect` found the instructions.
        unsafe { rms_norm(row, weight, eps) }
    }

    fn silu_mul(&self, gate: &mut [f32], up: &[f32]) {
        // SAFETY: `detect` found the instructions.
        unsafe { silu_mul(gate, up) }
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
        // SAFETY: `detect` found the instructions.
        unsafe { softmax_step(page, softmaxes) }
    }

    fn accumulate(
        &self,
        softmaxes: &Softmaxes,
        values: &ValueRows<'_>,
        next: Option<&ContextPage<'_>>,
        out: &mut [f32],
    ) {
        if !values.head_dim.is_multiple_of(8) {
            return Portable.accumulate(softmaxes, values, next, out);
        }
        values.check(softmaxes, out);
        // SAFETY: `detect` found the instructions, and `check` the sizes.
        unsafe { attention::accumulate(softmaxes, values, next, out) }
    }
}

#[target_feature(enable = "avx2,fma")]
fn quantize(rows: &[f32], columns: usize, out: &mut QuantizedRows) {
    elementwise::quantize(rows, columns, out);
}

#[target_feature(enable = "avx2,fma")]
fn quantize_panels(panels: &[f32], out: &mut BlocksMut<'_>) {
    elementwise::quantize_panels(panels, out);
}

#[target_feature(enable = "avx2,fma")]
fn rms_norm(row: &mut [f32], weight: &[f32], eps: f32) {
    elementwise::rms_norm(row, weight, eps);
}

#[target_feature(enable = "avx2,fma")]
fn silu_mul(gate: &mut [f32], up: &[f32]) {
    elementwise::silu_mul(gate, up);
}

#[target_feature(enable = "avx2,fma")]
fn round(numbers: &[f32], most: f32, out: &mut [i16]) -> f32 {
    elementwise::round_row(numbers, most, out)
}

#[target_feature(enable = "avx2,fma")]
fn softmax_step(page: &PageScores<'_>, softmaxes: &mut Softmaxes) {
    elementwise::softmax_step(page, softmaxes);
}
