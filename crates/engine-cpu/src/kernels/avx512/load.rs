//! Sixteen numbers of any stored type, as 32-bit ones.

use std::arch::x86_64::{
    __m512, _mm256_loadu_si256, _mm512_castsi512_ps, _mm512_cvtepu16_epi32, _mm512_cvtph_ps,
    _mm512_loadu_ps, _mm512_slli_epi32,
};

pub(super) const F16: u8 = 0;
pub(super) const BF16: u8 = 1;
pub(super) const F32: u8 = 2;

/// How far ahead of their use weights are asked for, in bytes: they come from memory, in longer
/// streams than the processor foresees by itself.
pub(super) const AHEAD: usize = 8192;

/// Bytes of a number of each kind.
pub(super) const BYTES: [usize; 3] = [2, 2, 4];

/// The sixteen numbers from the one at `index` on.
///
/// # Safety
/// They are there, of the kind that `KIND` stands for.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,f16c,fma")]
pub(super) unsafe fn numbers<const KIND: u8>(start: *const u8, index: usize) -> __m512 {
    // SAFETY: as the caller's.
    unsafe {
        let at = start.add(index * BYTES[KIND as usize]);
        match KIND {
            F16 => _mm512_cvtph_ps(_mm256_loadu_si256(at.cast())),
            BF16 => {
                let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(at.cast()));
                _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
            }
            _ => _mm512_loadu_ps(at.cast()),
        }
    }
}
