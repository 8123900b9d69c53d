//! Eight numbers of any stored type, as 32-bit ones.

use std::arch::x86_64::{
    __m256, _mm_loadu_si128, _mm256_castsi256_ps, _mm256_cvtepu16_epi32, _mm256_cvtph_ps,
    _mm256_loadu_ps, _mm256_slli_epi32,
};

pub(super) const F16: u8 = 0;
pub(super) const BF16: u8 = 1;
pub(super) const F32: u8 = 2;

/// How far ahead of their use weights are asked for, in bytes: they come from memory, in longer
/// streams than the processor foresees by itself.
pub(super) const AHEAD: usize = 4096;

/// Bytes of a number of each kind.
pub(super) const BYTES: [usize; 3] = [2, 2, 4];

/// The eight numbers from the one at `index` on.
///
/// # Safety
/// They are there, of the kind that `KIND` stands for.
#[inline]
#[target_feature(enable = "avx2,f16c,fma")]
pub(super) unsafe fn numbers<const KIND: u8>(start: *const u8, index: usize) -> __m256 {
    // SAFETY: as the caller's.
    unsafe {
        let at = start.add(index * BYTES[KIND as usize]);
        match KIND {
            F16 => _mm256_cvtph_ps(_mm_loadu_si128(at.cast())),
            BF16 => {
                let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(at.cast()));
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide))
            }
            _ => _mm256_loadu_ps(at.cast()),
        }
    }
}
