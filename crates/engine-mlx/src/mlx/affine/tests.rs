//! Every packing against a dequantization that is written out.

use mlx_rs::{Device, Dtype, random};

use super::*;
use crate::mlx::upload::upload;

/// A matrix packed here, number by number, and what it stands for.
struct Written {
    matrix: Affine,
    numbers: Vec<f32>,
    outputs: usize,
    inputs: usize,
}

/// Packs random integers as MLX documents it: `bits` bits each, the lowest first, rows of whole
/// 32-bit words.
fn write(outputs: usize, inputs: usize, group_size: usize, bits: usize, dtype: Dtype) -> Written {
    let mut state = 0x9e37_79b9_u32 ^ (bits * group_size) as u32;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    let mut words = vec![0u32; outputs * inputs * bits / 32];
    let mut numbers = Vec::with_capacity(outputs * inputs);
    let groups = outputs * inputs / group_size;
    // Few bits each, so that every type holds them and every product exactly.
    let scales: Vec<f32> = (0..groups)
        .map(|_| (next() % 7 + 1) as f32 / 64.0)
        .collect();
    let biases: Vec<f32> = (0..groups)
        .map(|_| (next() % 9) as f32 / 8.0 - 0.5)
        .collect();
    for index in 0..outputs * inputs {
        let q = next() & ((1 << bits) - 1);
        for bit in 0..bits {
            let at = index * bits + bit;
            words[at / 32] |= (q >> bit & 1) << (at % 32);
        }
        let group = index / group_size;
        numbers.push(scales[group] * q as f32 + biases[group]);
    }
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let in_groups = |numbers: &[f32]| {
        Array::from_slice(numbers, &[outputs as i32, (inputs / group_size) as i32])
            .as_dtype(dtype)
            .unwrap()
    };
    Written {
        matrix: Affine {
            packed: upload(
                &bytes,
                &[outputs as i32, (inputs * bits / 32) as i32],
                Dtype::Uint32,
            )
            .unwrap(),
            scales: in_groups(&scales),
            biases: in_groups(&biases),
            group_size: group_size as i32,
            bits: bits as i32,
        },
        numbers,
        outputs,
        inputs,
    }
}

/// `x` times the transposed matrix, in double precision.
fn multiplied(written: &Written, x: &[f32]) -> Vec<f64> {
    x.chunks_exact(written.inputs)
        .flat_map(|row| {
            written
                .numbers
                .chunks_exact(written.inputs)
                .map(move |output| {
                    output
                        .iter()
                        .zip(row)
                        .map(|(w, x)| f64::from(*w) * f64::from(*x))
                        .sum()
                })
        })
        .collect()
}

fn for_every_packing(check: impl Fn(usize, usize)) {
    for bits in [2, 3, 4, 5, 6, 8] {
        for group_size in [32, 64, 128] {
            check(group_size, bits);
        }
    }
}

#[test]
fn every_packing_means_what_is_written_out() {
    for_every_packing(|group_size, bits| {
        for dtype in [Dtype::Float32, Dtype::Float16, Dtype::Bfloat16] {
            let written = write(6, 256, group_size, bits, dtype);
            let numbers = written.matrix.dequantize().unwrap();
            assert_eq!(numbers.dtype(), dtype);
            let tolerance = match dtype {
                Dtype::Float32 => 0.0,
                Dtype::Float16 => 1e-3,
                _ => 1e-2,
            };
            let numbers = numbers.to_vec_cast::<f32>().unwrap();
            for (number, expected) in numbers.iter().zip(&written.numbers) {
                assert!(
                    (number - expected).abs() <= tolerance * expected.abs().max(1.0),
                    "{bits} bits in groups of {group_size} as {dtype:?}: {number} for {expected}"
                );
            }
        }
    });
}

#[test]
fn rows_are_taken_in_the_order_of_the_tokens() {
    for_every_packing(|group_size, bits| {
        let written = write(5, 128, group_size, bits, Dtype::Float32);
        let tokens = Array::from_slice(&[4u32, 0, 4], &[3]);
        let rows = written.matrix.take_rows(&tokens).unwrap();
        let expected: Vec<f32> = [4, 0, 4]
            .iter()
            .flat_map(|row| &written.numbers[row * 128..][..128])
            .copied()
            .collect();
        assert_eq!(rows.as_slice::<f32>(), expected);
    });
}

fn cpu_streams(count: usize) -> Vec<Stream> {
    (0..count)
        .map(|_| Stream::new_with_device(&Device::cpu()))
        .collect()
}

#[test]
fn products_are_those_of_the_written_out_matrix() {
    let streams = cpu_streams(3);
    for_every_packing(|group_size, bits| {
        // Large enough to be divided: two parts of different sizes.
        let written = write(2049, 128, group_size, bits, Dtype::Float32);
        let on_cpu = CpuAffine::new(&written.matrix, &streams).unwrap();
        assert_eq!(on_cpu.parts.len(), 2);
        for rows in [1, 2, DEQUANTIZE_FROM - 1, DEQUANTIZE_FROM, 40] {
            let x = random::normal::<f32>(&[rows, 128], None, None, None).unwrap();
            let product = on_cpu.multiply(&x).unwrap();
            assert_eq!(product.shape(), [rows, written.outputs as i32]);
            let expected = multiplied(&written, x.as_slice::<f32>());
            for (number, expected) in product.as_slice::<f32>().iter().zip(expected) {
                assert!(
                    (f64::from(*number) - expected).abs() <= 1e-3,
                    "{rows} rows, {bits} bits in groups of {group_size}: {number} for {expected}"
                );
            }
            if cfg!(target_arch = "x86_64") {
                // The same sums in the same order.
                let whole = written.matrix.multiply(&x).unwrap();
                assert!(product.eq_values(&whole).unwrap(), "{rows} rows");
            }
        }
    });
}

#[test]
fn a_small_matrix_is_not_divided() {
    let written = write(64, 128, 32, 4, Dtype::Float32);
    let on_cpu = CpuAffine::new(&written.matrix, &cpu_streams(4)).unwrap();
    assert_eq!(on_cpu.parts.len(), 1);
}

#[test]
fn parts_share_the_memory_of_the_whole() {
    let written = write(4096, 128, 32, 4, Dtype::Float32);
    let streams = cpu_streams(4);
    let on_cpu = CpuAffine::new(&written.matrix, &streams).unwrap();
    let addresses = |matrix: &Affine| {
        let of = |array: &Array| array.as_slice::<u32>().as_ptr() as usize;
        of(&matrix.packed)..of(&matrix.packed) + matrix.packed.nbytes()
    };
    let whole = addresses(&written.matrix);
    for part in &on_cpu.parts {
        let part = addresses(&part.matrix);
        assert!(whole.start <= part.start && part.end <= whole.end);
    }
}
