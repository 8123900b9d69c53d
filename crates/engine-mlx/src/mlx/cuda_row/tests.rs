//! The kernel against products of f32, where an NVIDIA GPU answers.

use engine_core::DeviceChoice;
use mlx_rs::{
    Array, Dtype,
    ops::{matmul, max, quantize},
    random,
};

use super::*;
use crate::mlx::device::Device;

fn gpu() -> Option<Device> {
    let device = Device::open(DeviceChoice::Cuda);
    if let Err(error) = &device {
        eprintln!("skipped: {error}");
    }
    device.ok()
}

/// The largest difference from the product in f32, over the largest magnitude.
fn apart(outputs: i32, inputs: i32, group_size: i32, dtype: Dtype) -> f32 {
    let normal = |shape: &[i32]| {
        random::normal::<f32>(shape, None, None, None)
            .unwrap()
            .as_dtype(dtype)
            .unwrap()
    };
    let (packed, scales, biases) =
        quantize(normal(&[outputs, inputs]), Some(group_size), Some(4)).unwrap();
    let matrix = Affine {
        packed,
        scales: scales.as_dtype(dtype).unwrap(),
        biases: biases.as_dtype(dtype).unwrap(),
        group_size,
        bits: 4,
    };
    let x = normal(&[1, inputs]);
    let row = CudaRow::new(&matrix).unwrap().unwrap();
    assert!(row.takes(&x));
    let found = row.multiply(&matrix, &x).unwrap();
    assert_eq!(found.shape(), [1, outputs]);
    assert_eq!(found.dtype(), dtype);
    let wide = |array: &Array| array.as_dtype(Dtype::Float32).unwrap();
    let exact = Affine {
        scales: wide(&matrix.scales),
        biases: wide(&matrix.biases),
        ..matrix
    };
    let numbers = exact.dequantize().unwrap();
    let expected = matmul(wide(&x), numbers.transpose().unwrap()).unwrap();
    let largest = |array: Array| max(array.abs().unwrap(), None).unwrap().item_exact::<f32>();
    largest(wide(&found).subtract(&expected).unwrap()) / largest(expected)
}

#[test]
fn products_are_those_of_f32_up_to_one_rounding() {
    let Some(device) = gpu() else { return };
    device
        .run(|| {
            for (outputs, inputs) in [
                (4096, 4096),
                (17, 64),
                (1, 32 * 33),
                (960, 576),
                (130, 1536),
            ] {
                for group_size in [32, 64, 128] {
                    if inputs % group_size != 0 {
                        continue;
                    }
                    for (dtype, allowed) in [
                        (Dtype::Float32, 1e-5),
                        (Dtype::Float16, 1e-3),
                        (Dtype::Bfloat16, 5e-3),
                    ] {
                        let apart = apart(outputs, inputs, group_size, dtype);
                        assert!(
                            apart < allowed,
                            "{outputs} x {inputs} in groups of {group_size}, {dtype:?}: {apart}"
                        );
                    }
                }
            }
            MlxResult::Ok(())
        })
        .unwrap();
}
