//! Bytes of a file as an array of MLX.

use mlx_rs::{Array, Dtype, error::Exception};

use super::exception::MlxResult;

/// A row-major array of these bytes, which are copied. The shape is not empty.
///
/// The bytes need no alignment: they become an array of bytes first, which MLX aligns, and then a
/// view of it.
pub(super) fn upload(bytes: &[u8], shape: &[i32], dtype: Dtype) -> MlxResult<Array> {
    let bytes_of_row = shape
        .split_last()
        .and_then(|(row, _)| row.checked_mul(element_bytes(dtype)))
        .ok_or_else(|| Exception::custom("a row is too long"))?;
    let mut shape_in_bytes = shape.to_vec();
    if let Some(row) = shape_in_bytes.last_mut() {
        *row = bytes_of_row;
    }
    byte_array(bytes, &shape_in_bytes)?.view_dtype(dtype)
}

#[expect(
    unsafe_code,
    reason = "the safe constructor counts elements in 32 bits"
)]
fn byte_array(bytes: &[u8], shape: &[i32]) -> MlxResult<Array> {
    let expected = shape.iter().try_fold(1usize, |product, dim| {
        product.checked_mul(usize::try_from(*dim).ok()?)
    });
    if expected != Some(bytes.len()) {
        return Err(Exception::custom(format!(
            "{} bytes do not fill an array of {shape:?} bytes",
            bytes.len()
        )));
    }
    // SAFETY: MLX copies as many bytes as the shape says, and the slice has just that many.
    let array = unsafe { Array::from_raw_data(bytes.as_ptr().cast(), shape, Dtype::Uint8) };
    if array.as_ptr().ctx.is_null() {
        return Err(Exception::custom(format!(
            "unable to allocate {} bytes",
            bytes.len()
        )));
    }
    Ok(array)
}

fn element_bytes(dtype: Dtype) -> i32 {
    match dtype {
        Dtype::Uint8 | Dtype::Int8 | Dtype::Bool => 1,
        Dtype::Float16 | Dtype::Bfloat16 | Dtype::Uint16 | Dtype::Int16 => 2,
        Dtype::Float32 | Dtype::Uint32 | Dtype::Int32 => 4,
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;

    #[test]
    fn unaligned_bytes_become_numbers() {
        let mut bytes = vec![0u8];
        for number in [1.5f32, -2.0, 0.0, 7.25] {
            bytes.extend(number.to_le_bytes());
        }
        let array = upload(&bytes[1..], &[2, 2], Dtype::Float32).unwrap();
        assert_eq!(array.shape(), [2, 2]);
        assert_eq!(array.as_slice::<f32>(), [1.5, -2.0, 0.0, 7.25]);
    }

    #[test]
    fn every_type_keeps_its_bits() {
        let bytes: Vec<u8> = (1..=8).collect();
        let words = upload(&bytes, &[2], Dtype::Uint32).unwrap();
        assert_eq!(words.as_slice::<u32>(), [0x0403_0201, 0x0807_0605]);
        let halves = upload(&bytes, &[4], Dtype::Bfloat16).unwrap();
        assert_eq!(
            halves.as_slice::<bf16>()[0].to_bits(),
            bf16::from_bits(0x0201).to_bits()
        );
    }

    #[test]
    fn a_shape_that_the_bytes_do_not_fill_is_an_error() {
        for shape in [&[3][..], &[2, 2], &[-1], &[i32::MAX, i32::MAX], &[]] {
            assert!(upload(&[0; 8], shape, Dtype::Float32).is_err(), "{shape:?}");
        }
    }
}
