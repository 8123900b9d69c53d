//! Projections, alone and several over one input.

use std::ops::Range;

use super::{inputs::Inputs, panels::Panels};
use crate::{
    kernels::{Kernels, LANES},
    matrix::{InputRefs, Matrix, Needs},
    memory::Arena,
    parallel::{Ahead, Pool, prefetch, share_of},
};

/// The most that a thread asks the memory for while it waits for the next piece of work.
const BYTES_AHEAD: usize = 64 << 10;

/// `matrix x + bias`.
#[derive(Debug)]
pub(crate) struct Linear {
    pub(crate) matrix: Matrix,
    pub(crate) bias: Option<Vec<f32>>,
}

/// What some tiles of a projection are multiplied with, and by.
#[derive(Clone, Copy)]
pub(super) struct Multiplier<'a> {
    pub(super) arena: &'a Arena,
    pub(super) kernels: &'a dyn Kernels,
    pub(super) inputs: &'a InputRefs<'a>,
    pub(super) rows: usize,
}

impl Linear {
    /// Adds the products, and the bias, to `out`, `[tiles, rows, LANES]`.
    pub(super) fn add(&self, by: &Multiplier<'_>, tiles: Range<usize>, out: &mut [f32]) {
        if let Some(bias) = &self.bias {
            let biases = bias.chunks(LANES).skip(tiles.start);
            for (bias, out) in biases.zip(out.chunks_exact_mut(by.rows * LANES)) {
                for row in out.chunks_exact_mut(LANES) {
                    for (out, bias) in row.iter_mut().zip(bias) {
                        *out += bias;
                    }
                }
            }
        }
        self.matrix
            .add_products(by.arena, by.kernels, tiles, by.inputs, out);
    }
}

/// The matrices of the next piece of work.
#[derive(Clone, Copy)]
pub(super) enum Next<'a> {
    /// One behind the other.
    InARow(&'a [&'a Matrix]),
    /// Tile by tile.
    Together(&'a [&'a Matrix]),
}

impl Next<'_> {
    /// The first weights of the share that `thread` will be given.
    pub(super) fn ahead(&self, arena: &Arena, thread: usize, threads: usize) -> Ahead {
        let mut ahead = Ahead::default();
        match self {
            Self::InARow(matrices) => {
                let count = matrices.iter().map(|matrix| matrix.tiles()).sum();
                let share = share_of(thread, threads, count);
                let mut begin = 0;
                let mut bytes = BYTES_AHEAD;
                for matrix in *matrices {
                    let end = begin + matrix.tiles();
                    let within = |tile: usize| tile.clamp(begin, end) - begin;
                    let tiles = within(share.start)..within(share.end);
                    bytes = matrix.ahead(arena, tiles, bytes, &mut ahead);
                    begin = end;
                }
            }
            Self::Together(matrices) => {
                let bytes = BYTES_AHEAD / matrices.len().max(1);
                for matrix in *matrices {
                    let tiles = share_of(thread, threads, matrix.tiles());
                    matrix.ahead(arena, tiles, bytes, &mut ahead);
                }
            }
        }
        ahead
    }
}

/// What all of these need.
pub(super) fn needs(linears: &[&Linear]) -> Needs {
    linears.iter().fold(Needs::default(), |needs, linear| {
        needs.and(linear.matrix.needs())
    })
}

/// Adds the products of several projections of one input to `out`, one behind the other, each
/// beginning with a new tile; instead of adding, they replace what is there if `replace`.
///
/// The thread that begins with the first tile asks the memory for what is needed `beside` weights.
pub(super) fn multiply(
    pool: &mut Pool,
    (arena, kernels): (&Arena, &dyn Kernels),
    linears: &[&Linear],
    inputs: &Inputs,
    (replace, out): (bool, &mut Panels),
    (beside, next): (&[&[u8]], Next<'_>),
) {
    let refs = inputs.refs();
    let by = Multiplier {
        arena,
        kernels,
        inputs: &refs,
        rows: out.rows,
    };
    let panel = by.rows * LANES;
    let threads = pool.threads();
    let work = |_: usize, first: usize, claimed: &mut [f32]| {
        if first == 0 {
            for bytes in beside {
                prefetch(bytes);
            }
        }
        if replace {
            claimed.fill(0.0);
        }
        add_products(linears, &by, first, claimed);
    };
    pool.for_chunks_then(&mut out.data, panel, usize::MAX, work, |thread| {
        next.ahead(arena, thread, threads)
    });
}

/// Adds the products of some of the tiles, from the one with the number `tile` on.
fn add_products(linears: &[&Linear], by: &Multiplier<'_>, mut tile: usize, out: &mut [f32]) {
    let panel = by.rows * LANES;
    let mut rest = out;
    let mut begin = 0;
    for linear in linears {
        let end = begin + linear.matrix.tiles();
        if tile < end && !rest.is_empty() {
            let count = (rest.len() / panel).min(end - tile);
            let (some, others) = rest.split_at_mut(count * panel);
            linear.add(by, tile - begin..tile - begin + count, some);
            tile += count;
            rest = others;
        }
        begin = end;
    }
}
