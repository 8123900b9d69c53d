//! Slices along one axis, on the stream of the running scope.

use std::ops::Range;

use mlx_rs::{
    Array, Stream,
    error::Exception,
    ops::indexing::{IndexUpdateError, TryIndexOp, TryIndexUpdateOp, UpdateMode},
};

use super::exception::MlxResult;

/// Rows `rows` of a matrix.
pub(super) fn rows(matrix: &Array, rows: Range<i32>) -> MlxResult<Array> {
    matrix.try_index_device(rows, Stream::thread_local_or_default())
}

/// Positions `positions` of keys or values `[1, heads, positions, head_dim]`.
pub(super) fn positions(array: &Array, positions: Range<i32>) -> MlxResult<Array> {
    array.try_index_device((.., .., positions, ..), Stream::thread_local_or_default())
}

/// The array with `update` at the positions from `start` on.
pub(super) fn with_positions(array: &Array, start: i32, update: &Array) -> MlxResult<Array> {
    let end = start + update.dim(2);
    array
        .try_index_update((.., .., start..end, ..), update, UpdateMode::Replace)
        .map_err(|error| match error {
            IndexUpdateError::Exception(exception) => exception,
            other @ IndexUpdateError::ZeroStride { .. } => Exception::custom(other.to_string()),
        })
}
