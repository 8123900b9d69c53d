//! Kernels for AVX2: Intel since Haswell, AMD since Zen.

#![expect(unsafe_code, reason = "vector instructions read through pointers")]

mod affine;
mod attention;
mod load;
mod plain;

use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

use super::{
    AffineTiles, BlocksMut, ContextPage, Kernels, KeyLanes, PAGE, PlainTiles, QuantizedRows, Seen,
    SoftmaxState, ValueRows, elementwise, portable::Portable,
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

    fn prefetch(&self, page: &ContextPage<'_>) {
        for line in page.bytes().chunks(64) {
            // SAFETY: a prefetch reads nothing that the program sees.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
        }
    }

    fn scores(&self, queries: &[f32], keys: &KeyLanes<'_>, out: &mut [f32]) {
        keys.check(queries, out);
        // SAFETY: `detect` found the instructions, and `check` the sizes.
        unsafe { attention::scores(queries, keys, out) }
    }

    fn softmax_step(&self, scores: &mut [f32; PAGE], seen: Seen, state: &mut SoftmaxState) -> f32 {
        // SAFETY: `detect` found the instructions.
        unsafe { softmax_step(scores, seen, state) }
    }

    fn accumulate(&self, weights: &[f32], shrink: &[f32], values: &ValueRows<'_>, out: &mut [f32]) {
        if !values.head_dim.is_multiple_of(8) {
            return Portable.accumulate(weights, shrink, values, out);
        }
        values.check(weights, shrink, out);
        // SAFETY: `detect` found the instructions, and `check` the sizes.
        unsafe { attention::accumulate(weights, shrink, values, out) }
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
fn softmax_step(scores: &mut [f32; PAGE], seen: Seen, state: &mut SoftmaxState) -> f32 {
    elementwise::softmax_step(scores, seen, state)
}
