//! Llama 3's rotary scaling, recovered from the tensor that GGUF files have in its place.
//!
//! llama.cpp's converter replaces `rope_scaling` by a tensor of divisors, one for each rotary
//! frequency, computed from four numbers. All published models agree in two of them
//! (`low_freq_factor` 1 and `high_freq_factor` 4) and the third is 8192 or in the metadata, so
//! the fourth, the factor, is the tensor's largest element; computing the divisors from these
//! shows whether that is right.

use std::f64::consts::TAU;

use serde_json::{Map, Value, json};

use crate::{
    FilesError,
    gguf::{GgmlType, GgufFile},
};

/// The tensor's name.
pub(super) const TENSOR: &str = "rope_freqs.weight";

const LOW_FREQ_FACTOR: f64 = 1.0;
const HIGH_FREQ_FACTOR: f64 = 4.0;
const ORIGINAL_CONTEXT: u64 = 8192;
/// The converter computes in single precision.
const TOLERANCE: f64 = 1e-4;

/// `rope_scaling` for the file's divisors; `None` if it has none or they are all 1.
pub(super) fn read(
    file: &GgufFile,
    theta: f64,
    head_dim: u64,
    original_context: Option<u64>,
) -> Result<Option<Map<String, Value>>, FilesError> {
    let Some(tensor) = file.tensor(TENSOR) else {
        return Ok(None);
    };
    if tensor.kind != GgmlType::F32 || tensor.shape != [(head_dim / 2) as usize] {
        return Err(FilesError::malformed(
            file.path(),
            format!(
                "the tensor {TENSOR} must hold {} numbers of type F32, and is {} {:?}",
                head_dim / 2,
                tensor.kind,
                tensor.shape
            ),
        ));
    }
    let (chunks, _) = file.blocks(tensor)?.as_chunks::<4>();
    let divisors: Vec<f64> = chunks
        .iter()
        .map(|chunk| f64::from(f32::from_le_bytes(*chunk)))
        .collect();
    if divisors.iter().all(|divisor| *divisor == 1.0) {
        return Ok(None);
    }
    let factor = divisors.iter().copied().fold(1.0, f64::max);
    let original = original_context.unwrap_or(ORIGINAL_CONTEXT);
    let agrees = divisors.iter().enumerate().all(|(index, divisor)| {
        let expected = divisor_of(index, theta, head_dim, factor, original as f64);
        (divisor / expected - 1.0).abs() < TOLERANCE
    });
    if !agrees {
        return Err(FilesError::unsupported(
            file.path(),
            format!(
                "the tensor {TENSOR} follows another rule than Llama 3's, which is the one implemented"
            ),
        ));
    }
    let scaling = json!({
        "rope_type": "llama3",
        "factor": factor,
        "low_freq_factor": LOW_FREQ_FACTOR,
        "high_freq_factor": HIGH_FREQ_FACTOR,
        "original_max_position_embeddings": original,
    });
    Ok(scaling.as_object().cloned())
}

/// The divisor of rotary frequency `index`: `_compute_llama3_parameters` of transformers.
fn divisor_of(index: usize, theta: f64, head_dim: u64, factor: f64, original: f64) -> f64 {
    let wavelength = TAU * theta.powf(2.0 * index as f64 / head_dim as f64);
    if wavelength < original / HIGH_FREQ_FACTOR {
        1.0
    } else if wavelength > original / LOW_FREQ_FACTOR {
        factor
    } else {
        let smooth =
            (original / wavelength - LOW_FREQ_FACTOR) / (HIGH_FREQ_FACTOR - LOW_FREQ_FACTOR);
        1.0 / ((1.0 - smooth) / factor + smooth)
    }
}
