//! Sequences outside of the model: each layer's keys and values,
//! `[1, kv_heads, positions, head_dim]`.

use engine_core::{Error, Result, SequenceState, StateTensor, StateType};
use mlx_rs::{Array, Dtype, transforms::eval};

use super::{
    batch::Sizes,
    batch_cache::Member,
    exception::{Doing, MlxResult},
    kv_cache::{KeysAndValues, KvCache, StepCache},
    upload::upload,
};
use crate::backend::NAME;

const OPERATION: &str = "copy a KV cache";

/// A copy of a sequence's positions.
pub(super) fn export(member: &Member, len: usize) -> Result<SequenceState> {
    let mut tensors = Vec::with_capacity(2 * member.layers.len());
    for (layer, KeysAndValues { keys, values }) in member.layers.iter().enumerate() {
        for (name, array) in [("keys", keys), ("values", values)] {
            tensors.push(StateTensor {
                name: tensor_name(layer, name),
                dtype: state_type(array.dtype())?,
                shape: array.shape().iter().map(|size| *size as usize).collect(),
                data: bytes(array).doing(OPERATION)?,
            });
        }
    }
    Ok(SequenceState { len, tensors })
}

/// The caches of an export.
///
/// # Errors
/// [`Error::InvalidState`] if it does not fit the model.
pub(super) fn import(state: &SequenceState, sizes: &Sizes) -> Result<Vec<StepCache>> {
    let shape = [1, sizes.kv_heads, state.len, sizes.head_dim];
    let dimensions = shape.map(|size| size as i32);
    let dtype = sizes.compute.dtype();
    (0..sizes.layers)
        .map(|layer| {
            if state.len == 0 {
                return Ok(StepCache::default());
            }
            let array = |name: &str| {
                let name = tensor_name(layer, name);
                let tensor = state
                    .tensor(&name, state_type(dtype)?, &shape)
                    .ok_or_else(|| Error::InvalidState {
                        reason: format!("its {name} do not fit the model and its KV cache"),
                    })?;
                upload(&tensor.data, &dimensions, dtype).doing(OPERATION)
            };
            let new = KeysAndValues {
                keys: array("keys")?,
                values: array("values")?,
            };
            let append = || {
                let (cache, _) = StepCache::default().append(0, &new)?;
                eval(cache.arrays().into_iter().flatten())?;
                MlxResult::Ok(cache)
            };
            append().doing(OPERATION)
        })
        .collect()
}

fn bytes(array: &Array) -> MlxResult<Vec<u8>> {
    let bytes = array.contiguous()?.view_dtype(Dtype::Uint8)?;
    eval([&bytes])?;
    bytes
        .try_as_slice::<u8>()
        .map(<[u8]>::to_vec)
        .map_err(|error| mlx_rs::error::Exception::custom(error.to_string()))
}

fn state_type(dtype: Dtype) -> Result<StateType> {
    Ok(match dtype {
        Dtype::Float16 => StateType::F16,
        Dtype::Bfloat16 => StateType::Bf16,
        Dtype::Float32 => StateType::F32,
        other => {
            let reason = format!("its numbers are of type {other:?}");
            return Err(Error::backend(NAME, OPERATION, reason));
        }
    })
}

fn tensor_name(layer: usize, name: &str) -> String {
    format!("layers.{layer}.{name}")
}
