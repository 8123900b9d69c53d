//! Slices along one axis, on the stream of the running scope.

use std::ops::Range;

use mlx_rs::{
    Array, Stream,
    error::Exception,
    ops::indexing::{Ellipsis, IndexUpdateError, TryIndexOp, TryIndexUpdateOp, UpdateMode},
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
        .map_err(as_exception)
}

/// Some positions of one row of keys or values `[sequences, heads, positions, head_dim]`.
#[derive(Clone, Debug)]
pub(super) struct RowPositions {
    pub(super) row: i32,
    pub(super) positions: Range<i32>,
}

/// What lies there: `[1, heads, positions, head_dim]`.
pub(super) fn row_positions(array: &Array, place: &RowPositions) -> MlxResult<Array> {
    array.try_index_device(
        (place.row..place.row + 1, .., place.positions.clone(), ..),
        Stream::thread_local_or_default(),
    )
}

/// The array with `update` there.
pub(super) fn with_row_positions(
    array: &Array,
    place: &RowPositions,
    update: &Array,
) -> MlxResult<Array> {
    array
        .try_index_update(
            (place.row..place.row + 1, .., place.positions.clone(), ..),
            update,
            UpdateMode::Replace,
        )
        .map_err(as_exception)
}

fn as_exception(error: IndexUpdateError) -> Exception {
    match error {
        IndexUpdateError::Exception(exception) => exception,
        other @ IndexUpdateError::ZeroStride { .. } => Exception::custom(other.to_string()),
    }
}

/// `range` of the last dimension.
pub(super) fn last(array: &Array, range: Range<i32>) -> MlxResult<Array> {
    array.try_index_device((Ellipsis, range), Stream::thread_local_or_default())
}

/// Heads `heads` of an array `[sequences, heads, positions, head_dim]`.
pub(super) fn heads(array: &Array, heads: Range<i32>) -> MlxResult<Array> {
    array.try_index_device((.., heads, .., ..), Stream::thread_local_or_default())
}
