//! Sequences outside of the model: each layer's keys and values,
//! `[1, kv_heads, positions, head_dim]`, or packed, with their scales and biases.
//!
//! A layer with a window has only the positions that later tokens see, and the few before them that
//! a sequence keeps.

use engine_core::{Error, Result, SequenceState, StateTensor, StateType};
use mlx_rs::{Array, Dtype, transforms::eval};

use super::{
    batch::Sizes,
    batch_cache::Member,
    exception::{Doing, MlxResult},
    kv_cache::{KvCache, StepCache, kept_from},
    kv_numbers::{KeysAndValues, KvForm, Stored},
    upload::upload,
};
use crate::backend::NAME;

const OPERATION: &str = "copy a KV cache";

/// A copy of a sequence's positions.
pub(super) fn export(member: &Member, len: usize) -> Result<SequenceState> {
    let mut tensors = Vec::with_capacity(2 * member.layers.len());
    for (layer, KeysAndValues { keys, values }) in member.layers.iter().enumerate() {
        for (name, stored) in [("keys", keys), ("values", values)] {
            for (part, array) in PARTS.iter().zip(stored.arrays()) {
                tensors.push(StateTensor {
                    name: tensor_name(layer, name, part),
                    dtype: state_type(array.dtype())?,
                    shape: array.shape().iter().map(|size| *size as usize).collect(),
                    data: bytes(array).doing(OPERATION)?,
                });
            }
        }
    }
    Ok(SequenceState { len, tensors })
}

/// The caches of an export.
///
/// # Errors
/// [`Error::InvalidState`] if it does not fit the model.
pub(super) fn import(
    state: &SequenceState,
    windows: &[Option<usize>],
    sizes: &Sizes,
) -> Result<Vec<StepCache>> {
    let import = |(layer, window): (usize, &Option<usize>)| {
        if state.len == 0 {
            return Ok(StepCache::empty(*window));
        }
        let positions = positions_of(state, layer, *window);
        let stored = |name: &str| stored(state, sizes, positions, layer, name);
        let kept = KeysAndValues {
            keys: stored("keys")?,
            values: stored("values")?,
        };
        let cache = || {
            let cache = StepCache::with(*window, state.len, &kept)?;
            eval(cache.arrays())?;
            MlxResult::Ok(cache)
        };
        cache().doing(OPERATION)
    };
    windows.iter().enumerate().map(import).collect()
}

/// How many positions there are of a layer; the least that would do if the number there can't be.
fn positions_of(state: &SequenceState, layer: usize, window: Option<usize>) -> usize {
    let first = kept_from(window, state.len);
    let name = tensor_name(layer, "keys", "");
    let there = state.tensors.iter().find(|tensor| tensor.name == name);
    there
        .and_then(|tensor| tensor.shape.get(2).copied())
        .filter(|count| {
            state
                .len
                .checked_sub(*count)
                .is_some_and(|start| first.contains(&start))
        })
        .unwrap_or(state.len - first.end())
}

/// The arrays of a layer's keys or values.
fn stored(
    state: &SequenceState,
    sizes: &Sizes,
    positions: usize,
    layer: usize,
    name: &str,
) -> Result<Stored> {
    let compute = sizes.compute.dtype();
    let of = |numbers: usize, dtype: Dtype| ([1, sizes.kv_heads, positions, numbers], dtype);
    let arrays = match sizes.kv_form {
        KvForm::Plain => vec![of(sizes.head_dim, compute)],
        KvForm::Groups(size) => {
            let groups = of(sizes.head_dim / size as usize, compute);
            vec![of(sizes.head_dim / 4, Dtype::Uint32), groups, groups]
        }
    };
    let array = |(part, (shape, dtype)): (&&str, ([usize; 4], Dtype))| {
        let name = tensor_name(layer, name, part);
        let tensor = state
            .tensor(&name, state_type(dtype)?, &shape)
            .ok_or_else(|| Error::InvalidState {
                reason: format!("its {name} do not fit the model and its KV cache"),
            })?;
        let dimensions = shape.map(|size| size as i32);
        upload(&tensor.data, &dimensions, dtype).doing(OPERATION)
    };
    let arrays: Result<_> = PARTS.iter().zip(arrays).map(array).collect();
    arrays.map(Stored::of)
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
        Dtype::Uint32 => StateType::U32,
        other => {
            let reason = format!("its numbers are of type {other:?}");
            return Err(Error::backend(NAME, OPERATION, reason));
        }
    })
}

/// Behind the names of the arrays that stand for keys or values: numbers, scales, biases.
const PARTS: [&str; 3] = ["", ".scales", ".biases"];

fn tensor_name(layer: usize, name: &str, part: &str) -> String {
    format!("layers.{layer}.{name}{part}")
}
