//! A step: rows of tokens through all layers.

use std::{
    ops::Range,
    sync::{Mutex, PoisonError},
};

use engine_core::TokenId;

use super::{
    Decoder, Layer,
    attention::{Context, Scratch},
    experts::Batches,
    inputs::Inputs,
    linear::{Multiplier, Next, multiply, needs},
    panels::Panels,
    rope::Angles,
};
use crate::{
    kernels::{Kernels, LANES},
    parallel::{Columns, Pool},
    sequences::Sequence,
};

/// Tiles of the output head that are computed at a time where several rows are wanted.
const LOGIT_TILES: usize = 32;

/// Consecutive rows of a step that belong to one sequence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows {
    /// The first row's number in the step.
    pub(crate) first: usize,
    pub(crate) count: usize,
    /// The first row's position in its sequence.
    pub(crate) position: usize,
}

impl Rows {
    pub(super) fn contains(&self, row: usize) -> bool {
        (self.first..self.first + self.count).contains(&row)
    }
}

/// A sequence's part in a step. Room for its rows has been reserved.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    pub(crate) sequence: &'a mut Sequence,
    pub(crate) rows: Rows,
}

/// Memory for activations, kept from step to step.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(super) hidden: Panels,
    pub(super) inputs: Inputs,
    qkv: Panels,
    attended: Vec<f32>,
    /// The inner activations of a feed-forward part, for the product with its last matrix.
    pub(super) rounded: Inputs,
    pub(super) inner: Panels,
    angles: Angles,
    pub(super) batches: Batches,
    pub(super) scratch: Vec<Mutex<Scratch>>,
}

impl Workspace {
    pub(crate) fn new(threads: usize) -> Self {
        Self {
            hidden: Panels::default(),
            inputs: Inputs::default(),
            qkv: Panels::default(),
            attended: Vec::new(),
            rounded: Inputs::default(),
            inner: Panels::default(),
            angles: Angles::default(),
            batches: Batches::default(),
            scratch: (0..threads).map(|_| Mutex::default()).collect(),
        }
    }
}

/// Who computes.
#[derive(Debug)]
pub(crate) struct Machine<'a> {
    pub(crate) kernels: &'static dyn Kernels,
    pub(crate) pool: &'a mut Pool,
    pub(crate) workspace: &'a mut Workspace,
}

impl Decoder {
    /// Takes tokens through all layers, and their keys and values into the cache.
    pub(crate) fn step(
        &self,
        machine: &mut Machine<'_>,
        tokens: &[TokenId],
        parts: &mut [Part<'_>],
    ) {
        self.embed(machine, tokens);
        let positions = parts
            .iter()
            .flat_map(|part| (part.rows.position..).take(part.rows.count));
        self.rope.angles(positions, &mut machine.workspace.angles);
        for (index, layer) in self.layers.iter().enumerate() {
            self.attention(machine, index, layer, parts);
            self.feed_forward(machine, index, layer);
        }
    }

    /// Numbers in a hidden state.
    pub(crate) fn hidden_size(&self) -> usize {
        self.embedding.columns
    }

    /// The hidden state of a row of the last step, behind the final norm.
    pub(crate) fn state(&self, machine: &Machine<'_>, row: usize, out: &mut [f32]) {
        machine.workspace.hidden.copy_row(row, 0, out);
        machine
            .kernels
            .rms_norm(out, &self.norm.weight, self.norm.eps);
    }

    /// The logits of some of the last step's rows, `[rows, vocab_size]`.
    pub(crate) fn logits(&self, machine: &mut Machine<'_>, rows: &[usize], out: &mut [f32]) {
        let kernels = machine.kernels;
        let Workspace {
            hidden,
            inputs,
            scratch,
            ..
        } = machine.workspace;
        let head = self.head.as_ref();
        let matrix = self.head_matrix();
        inputs.prepare(
            machine.pool,
            kernels,
            (rows.len(), matrix.columns),
            (
                Some(&self.norm),
                matrix.needs().rounded(self.precision.head),
            ),
            |index, out| hidden.copy_row(rows[index], 0, out),
        );
        let refs = inputs.refs();
        let by = Multiplier {
            arena: &self.arena,
            kernels,
            inputs: &refs,
            rows: rows.len(),
        };
        let panel = rows.len() * LANES;
        let multiply = |_: usize, first: usize, claimed: &mut [f32]| {
            claimed.fill(0.0);
            let tiles = first..first + claimed.len() / panel;
            match head {
                Some(head) => head.add(&by, tiles, claimed),
                None => matrix.add_products(by.arena, kernels, tiles, by.inputs, claimed),
            }
        };
        if rows.len() == 1 && matrix.rows.is_multiple_of(LANES) {
            // The tiles of one row are the row.
            let threads = machine.pool.threads();
            let first = self.first_of_layer(0);
            let then = |thread: usize| Next::InARow(&first).ahead(&self.arena, thread, threads);
            return machine
                .pool
                .for_chunks_then(out, panel, usize::MAX, multiply, then);
        }
        // A piece is put in its place while it is in the cache.
        let work = |thread: usize, columns: Range<usize>, some: &mut Columns<'_, f32>| {
            let Some(scratch) = scratch.get(thread) else {
                return;
            };
            let mut scratch = scratch.lock().unwrap_or_else(PoisonError::into_inner);
            let panels = &mut scratch.logits;
            panels.reset(rows.len(), columns.len().div_ceil(LANES));
            multiply(thread, columns.start / LANES, &mut panels.data);
            for row in 0..rows.len() {
                panels.copy_row(row, 0, some.row_mut(row));
            }
        };
        machine
            .pool
            .for_columns(out, matrix.rows, LANES, LOGIT_TILES, work);
    }

    fn embed(&self, machine: &mut Machine<'_>, tokens: &[TokenId]) {
        let Workspace { hidden, inputs, .. } = machine.workspace;
        let (rows, columns) = (tokens.len(), self.embedding.columns);
        inputs.prepare(
            machine.pool,
            machine.kernels,
            (rows, columns),
            (None, crate::matrix::Needs::default()),
            |row, out| {
                self.embedding
                    .copy_row(&self.arena, tokens[row] as usize, out);
            },
        );
        hidden.reset(rows, columns.div_ceil(LANES));
        for (row, numbers) in inputs.numbers().enumerate() {
            hidden.set_row(row, numbers);
        }
    }

    fn attention(
        &self,
        machine: &mut Machine<'_>,
        index: usize,
        layer: &Layer,
        parts: &mut [Part<'_>],
    ) {
        let Machine {
            kernels,
            pool,
            workspace,
        } = machine;
        let kernels = *kernels;
        let Workspace {
            hidden,
            inputs,
            qkv,
            attended,
            angles,
            scratch,
            ..
        } = workspace;
        let attention = &layer.attention;
        let rows = hidden.rows;
        let projections = layer.projections();
        inputs.prepare(
            pool,
            kernels,
            (rows, attention.query.matrix.columns),
            (
                Some(&layer.attention_norm),
                needs(&projections).rounded(self.precision.attention),
            ),
            |row, out| hidden.copy_row(row, 0, out),
        );
        let tiles = projections.iter().map(|linear| linear.matrix.tiles()).sum();
        qkv.reset(rows, tiles);
        multiply(
            pool,
            (&self.arena, kernels),
            &projections,
            inputs,
            (true, qkv),
            (
                &attention.written(index, parts),
                Next::InARow(&[&attention.output.matrix]),
            ),
        );
        let context = Context {
            layer: index,
            rope: &self.rope,
            angles,
            kernels,
            qkv,
        };
        attention.append(pool, &context, parts);
        attention.attend(pool, &context, parts, scratch, attended);
        let output = [&attention.output];
        let chunk = attention.shared_by() * attention.head_dim;
        inputs.prepare(
            pool,
            kernels,
            (rows, attention.output.matrix.columns),
            (None, needs(&output).rounded(self.precision.attention)),
            |row, out| {
                for (kv_head, out) in out.chunks_exact_mut(chunk).enumerate() {
                    let first = (kv_head * rows + row) * chunk;
                    out.copy_from_slice(&attended[first..first + chunk]);
                }
            },
        );
        let next = layer.first_of_mlp();
        multiply(
            pool,
            (&self.arena, kernels),
            &output,
            inputs,
            (false, hidden),
            (&[], Next::Together(&next)),
        );
    }
}
