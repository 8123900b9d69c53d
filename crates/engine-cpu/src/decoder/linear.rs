//! Projections, alone and several over one input.

use std::ops::Range;

use super::{inputs::Inputs, panels::Panels};
use crate::{
    kernels::{Kernels, LANES},
    matrix::{InputRefs, Matrix, Needs},
    memory::Arena,
    parallel::Pool,
};

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

/// What all of these need.
pub(super) fn needs(linears: &[&Linear]) -> Needs {
    linears.iter().fold(Needs::default(), |needs, linear| {
        needs.and(linear.matrix.needs())
    })
}

/// Adds the products of several projections of one input to `out`, one behind the other, each
/// beginning with a new tile; instead of adding, they replace what is there if `replace`.
pub(super) fn multiply(
    pool: &mut Pool,
    (arena, kernels): (&Arena, &dyn Kernels),
    linears: &[&Linear],
    inputs: &Inputs,
    replace: bool,
    out: &mut Panels,
) {
    let refs = inputs.refs();
    let by = Multiplier {
        arena,
        kernels,
        inputs: &refs,
        rows: out.rows,
    };
    let panel = by.rows * LANES;
    pool.for_chunks(&mut out.data, panel, usize::MAX, |_, first, claimed| {
        if replace {
            claimed.fill(0.0);
        }
        let mut rest = claimed;
        let mut tile = first;
        let mut begin = 0;
        for linear in linears {
            let end = begin + linear.matrix.tiles();
            if tile < end && !rest.is_empty() {
                let count = (rest.len() / panel).min(end - tile);
                let (some, others) = rest.split_at_mut(count * panel);
                linear.add(&by, tile - begin..tile - begin + count, some);
                tile += count;
                rest = others;
            }
            begin = end;
        }
    });
}
