//! Kernels for AVX2.

use super::Kernels;

#[derive(Debug)]
pub(super) struct Avx2(());

impl Avx2 {
    pub(super) fn detect() -> Option<&'static dyn Kernels> {
        None
    }
}
