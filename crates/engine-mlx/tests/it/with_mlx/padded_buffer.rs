//! Single positions written into a buffer with room to spare, against joining arrays.
//!
//! mlx-rs 0.25 gave such buffers zeroed tails (<https://github.com/oxiglade/mlx-rs/pull/338>). KV
//! caches rest on this being right, on every device.

use mlx_rs::{
    Array, Device, Dtype, Stream,
    ops::{
        concatenate,
        indexing::{TryIndexOp, TryIndexUpdateOp, UpdateMode},
        zeros_dtype,
    },
    random, with_stream,
};

use super::mlx_process::beside_others;

const STEP: i32 = 256;
const HEADS: i32 = 3;
const HEAD_DIM: i32 = 16;

/// `[1, heads, count, head_dim]`, as a transposed view.
fn positions(count: i32, dtype: Dtype) -> Array {
    random::normal::<f32>(&[1, count, HEADS, HEAD_DIM], None, None, None)
        .and_then(|array| array.as_dtype(dtype))
        .and_then(|array| array.transpose_axes(&[0, 2, 1, 3]))
        .unwrap()
}

fn first(array: &Array, count: i32, stream: &Stream) -> Array {
    array
        .try_index_device((.., .., 0..count, ..), stream)
        .unwrap()
}

/// Writes `new` behind the first `len` positions of the buffer, which grows by whole steps.
fn write(buffer: &Array, len: i32, new: &Array, stream: &Stream) -> Array {
    let end = len + new.dim(2);
    let mut buffer = buffer.clone();
    if end > buffer.dim(2) {
        let room = (end + STEP - 1) / STEP * STEP - len;
        let room = zeros_dtype(&[1, HEADS, room, HEAD_DIM], new.dtype()).unwrap();
        buffer = concatenate(&[first(&buffer, len, stream), room], 2).unwrap();
    }
    buffer
        .try_index_update((.., .., len..end, ..), new, UpdateMode::Replace)
        .unwrap()
}

fn single_writes_match(device: &Device, prompt: i32, evaluate_each: bool) {
    let stream = Stream::new_with_device(device);
    with_stream(&stream, || {
        for dtype in [Dtype::Float32, Dtype::Float16, Dtype::Bfloat16] {
            let mut joined = positions(prompt, dtype);
            let empty = zeros_dtype(&[1, HEADS, 0, HEAD_DIM], dtype).unwrap();
            let mut buffer = write(&empty, 0, &joined, &stream);
            for len in prompt..prompt + 600 {
                let new = positions(1, dtype);
                buffer = write(&buffer, len, &new, &stream);
                joined = concatenate(&[&joined, &new], 2).unwrap();
                if evaluate_each || len % 50 == 0 {
                    let filled = first(&buffer, len + 1, &stream);
                    assert!(
                        filled.eq_values(&joined).unwrap(),
                        "{dtype:?} differs after {len} positions"
                    );
                }
            }
            assert_eq!(buffer.dim(2) % STEP, 0);
            let sum = joined.abs().unwrap().sum(None).unwrap();
            assert!(sum.item_cast::<f32>() > 1000.0, "nothing was compared");
        }
    });
}

fn gpu() -> Option<Device> {
    let gpu = Device::gpu();
    Stream::try_default_on_device(&gpu).is_ok().then_some(gpu)
}

#[test]
fn single_writes_match_joining_when_each_is_evaluated() {
    let _process = beside_others();
    for device in [Some(Device::cpu()), gpu()].into_iter().flatten() {
        for prompt in [1, 200, 256] {
            single_writes_match(&device, prompt, true);
        }
    }
}

#[test]
fn single_writes_match_joining_when_many_are_evaluated_at_once() {
    let _process = beside_others();
    for device in [Some(Device::cpu()), gpu()].into_iter().flatten() {
        single_writes_match(&device, 7, false);
    }
}
