//! A sparse mixture of experts: rows are sorted by expert, and each expert's rows go through it
//! together.

use std::{
    ops::Range,
    sync::{Mutex, PoisonError},
};

use super::{
    Decoder, ExpertMatrices, Experts, Layer,
    attention::Scratch,
    inputs::Inputs,
    linear::{Next, multiply, needs},
    panels::Panels,
    step::{Machine, Workspace},
};
use crate::{
    kernels::{Kernels, LANES},
    matrix::{InputRefs, Matrix},
    memory::Arena,
    parallel::Pool,
};

/// Slabs for each thread, so that threads finish together although experts have different numbers
/// of rows.
const SLABS_PER_THREAD: usize = 4;
/// Rows from which adding the experts' outputs is worth handing over.
const WORTH_SHARING: usize = 16;

/// The rows of a step, by expert. Memory is kept from step to step.
#[derive(Debug, Default)]
pub(super) struct Batches {
    /// The router's logits.
    scores: Panels,
    of_experts: Vec<Batch>,
    used: usize,
}

/// The rows that go to one expert.
#[derive(Debug, Default)]
struct Batch {
    expert: usize,
    /// Numbers of the rows in the step, ascending, and what the expert's output counts for them.
    rows: Vec<(usize, f32)>,
    inputs: Inputs,
    inner: Panels,
    out: Panels,
}

/// An expert's output, `[tiles, rows, LANES]`.
struct Output<'a> {
    expert: usize,
    rows: usize,
    numbers: &'a mut [f32],
}

/// Consecutive tiles of an expert's output: a share of work.
struct Slab<'a> {
    /// The number of the batch.
    batch: usize,
    expert: usize,
    tiles: Range<usize>,
    out: &'a mut [f32],
}

/// What all shares of work need.
#[derive(Clone, Copy)]
struct By<'a> {
    arena: &'a Arena,
    kernels: &'a dyn Kernels,
}

impl By<'_> {
    /// Some tiles of the product of `matrix` and a batch's rows, instead of what is in `out`.
    fn multiply(
        &self,
        matrix: &Matrix,
        inputs: &InputRefs<'_>,
        tiles: Range<usize>,
        out: &mut [f32],
    ) {
        out.fill(0.0);
        matrix.add_products(self.arena, self.kernels, tiles, inputs, out);
    }
}

impl Decoder {
    pub(super) fn experts(&self, machine: &mut Machine<'_>, layer: &Layer, experts: &Experts) {
        let Machine {
            kernels,
            pool,
            workspace,
        } = machine;
        let kernels = *kernels;
        let Workspace {
            hidden,
            inputs,
            batches,
            scratch,
            ..
        } = workspace;
        let rows = hidden.rows;
        let columns = experts.router.matrix.columns;
        let router = [&experts.router];
        // A token that goes to another expert is another answer: the router sees more bits.
        let exact = needs(&router).rounded(self.precision.attention);
        inputs.prepare(
            pool,
            kernels,
            (rows, columns),
            (Some(&layer.mlp_norm), exact),
            |row, out| hidden.copy_row(row, 0, out),
        );
        batches.scores.reset(rows, experts.router.matrix.tiles());
        multiply(
            pool,
            (&self.arena, kernels),
            &router,
            inputs,
            (true, &mut batches.scores),
            (&[], Next::InARow(&[])),
        );
        batches.route(experts);
        let numbers: Vec<_> = inputs.numbers().collect();
        let by = By {
            arena: &self.arena,
            kernels,
        };
        let batches = batches.used_mut();
        let Some(first) = experts.matrices.first() else {
            return;
        };
        let rounded = |matrix: &Matrix| matrix.needs().rounded(self.precision.feed_forward);
        pool.for_chunks(batches, 1, 1, |_, _, batches| {
            for Batch { rows, inputs, .. } in batches {
                inputs.prepare_alone(
                    kernels,
                    (rows.len(), columns),
                    rounded(&first.gate).and(rounded(&first.up)),
                    |row, out| out.copy_from_slice(numbers[rows[row].0]),
                );
            }
        });
        experts.gates_and_ups(pool, by, batches, scratch);
        pool.for_chunks(batches, 1, 1, |_, _, batches| {
            for Batch {
                rows,
                inputs,
                inner,
                ..
            } in batches
            {
                inputs.prepare_alone(
                    kernels,
                    (rows.len(), first.down.columns),
                    rounded(&first.down),
                    |row, out| inner.copy_row(row, 0, out),
                );
            }
        });
        experts.downs(pool, by, batches);
        add_outputs(pool, batches, hidden);
    }
}

impl Batches {
    /// Sorts the rows of the step by the experts that the router's scores pick.
    fn route(&mut self, experts: &Experts) {
        let count = experts.matrices.len();
        let mut batch_of = vec![usize::MAX; count];
        let mut scores = Vec::with_capacity(count);
        let mut picked = Vec::with_capacity(count);
        self.used = 0;
        for row in 0..self.scores.rows {
            scores.clear();
            self.scores.append_row(row, count, &mut scores);
            experts.pick(&scores, &mut picked);
            for &(expert, weight) in &picked {
                if batch_of[expert] == usize::MAX {
                    batch_of[expert] = self.used;
                    self.used += 1;
                    if self.of_experts.len() < self.used {
                        self.of_experts.push(Batch::default());
                    }
                    let batch = &mut self.of_experts[self.used - 1];
                    batch.expert = expert;
                    batch.rows.clear();
                }
                self.of_experts[batch_of[expert]].rows.push((row, weight));
            }
        }
        // A row's outputs are added in the order of its experts, whatever rows come with it.
        self.used_mut().sort_unstable_by_key(|batch| batch.expert);
    }

    fn used_mut(&mut self) -> &mut [Batch] {
        &mut self.of_experts[..self.used]
    }
}

impl Experts {
    /// The likeliest experts of a row, and their weights.
    fn pick(&self, scores: &[f32], picked: &mut Vec<(usize, f32)>) {
        let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let exponential = |score: f32| (score - largest).exp();
        let sum: f32 = scores.iter().map(|score| exponential(*score)).sum();
        picked.clear();
        picked.extend(scores.iter().copied().enumerate());
        let wanted = self.per_token.min(picked.len());
        if wanted < picked.len() {
            picked.select_nth_unstable_by(wanted, |a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            picked.truncate(wanted);
        }
        // In the order of their numbers, so that their sum does not depend on how they were found.
        picked.sort_unstable_by_key(|(expert, _)| *expert);
        let sum = if self.normalized {
            picked.iter().map(|(_, score)| exponential(*score)).sum()
        } else {
            sum
        };
        for (_, score) in picked {
            *score = exponential(*score) / sum;
        }
    }

    /// `silu(gate(x)) * up(x)` of all batches.
    fn gates_and_ups(
        &self,
        pool: &mut Pool,
        by: By<'_>,
        batches: &mut [Batch],
        scratch: &[Mutex<Scratch>],
    ) {
        let mut refs = Vec::with_capacity(batches.len());
        let mut outputs = Vec::with_capacity(batches.len());
        for batch in batches {
            batch
                .inner
                .reset(batch.rows.len(), self.matrices[batch.expert].gate.tiles());
            refs.push(batch.inputs.refs());
            outputs.push(Output {
                expert: batch.expert,
                rows: batch.rows.len(),
                numbers: &mut batch.inner.data,
            });
        }
        let mut slabs = in_slabs(outputs, pool.threads());
        pool.for_chunks(&mut slabs, 1, 1, |thread, _, slabs| {
            let Some(scratch) = scratch.get(thread) else {
                return;
            };
            let mut scratch = scratch.lock().unwrap_or_else(PoisonError::into_inner);
            let up = &mut scratch.up;
            for slab in slabs {
                let ExpertMatrices {
                    gate, up: other, ..
                } = &self.matrices[slab.expert];
                let inputs = &refs[slab.batch];
                up.resize(slab.out.len(), 0.0);
                by.multiply(gate, inputs, slab.tiles.clone(), slab.out);
                by.multiply(other, inputs, slab.tiles.clone(), up);
                by.kernels.silu_mul(slab.out, up);
            }
        });
    }

    /// What all experts give, without their weights.
    fn downs(&self, pool: &mut Pool, by: By<'_>, batches: &mut [Batch]) {
        let mut refs = Vec::with_capacity(batches.len());
        let mut outputs = Vec::with_capacity(batches.len());
        for batch in batches {
            batch
                .out
                .reset(batch.rows.len(), self.matrices[batch.expert].down.tiles());
            refs.push(batch.inputs.refs());
            outputs.push(Output {
                expert: batch.expert,
                rows: batch.rows.len(),
                numbers: &mut batch.out.data,
            });
        }
        let mut slabs = in_slabs(outputs, pool.threads());
        pool.for_chunks(&mut slabs, 1, 1, |_, _, slabs| {
            for slab in slabs {
                let down = &self.matrices[slab.expert].down;
                by.multiply(down, &refs[slab.batch], slab.tiles.clone(), slab.out);
            }
        });
    }
}

/// Outputs cut into shares of work.
fn in_slabs(outputs: Vec<Output<'_>>, threads: usize) -> Vec<Slab<'_>> {
    let each = (threads * SLABS_PER_THREAD).div_ceil(outputs.len().max(1));
    let mut slabs = Vec::with_capacity(each * outputs.len());
    for (batch, output) in outputs.into_iter().enumerate() {
        let panel = output.rows * LANES;
        let tiles = (output.numbers.len() / panel).div_ceil(each).max(1);
        for (number, out) in output.numbers.chunks_mut(tiles * panel).enumerate() {
            let first = number * tiles;
            slabs.push(Slab {
                batch,
                expert: output.expert,
                tiles: first..first + out.len() / panel,
                out,
            });
        }
    }
    slabs
}

/// Adds the experts' outputs, by their weights, to the rows that they belong to.
fn add_outputs(pool: &mut Pool, batches: &[Batch], hidden: &mut Panels) {
    let rows = hidden.rows;
    let panel = rows * LANES;
    let add = |_: usize, first: usize, claimed: &mut [f32]| {
        for (tile, out) in (first..).zip(claimed.chunks_exact_mut(panel)) {
            let (out, _) = out.as_chunks_mut::<LANES>();
            for batch in batches {
                let (panels, _) = batch.out.data.as_chunks::<LANES>();
                let panels = &panels[tile * batch.rows.len()..];
                for ((row, weight), panel) in batch.rows.iter().zip(panels) {
                    for (out, x) in out[*row].iter_mut().zip(panel) {
                        *out += weight * x;
                    }
                }
            }
        }
    };
    if rows < WORTH_SHARING {
        add(0, 0, &mut hidden.data);
    } else {
        pool.for_chunks(&mut hidden.data, panel, usize::MAX, add);
    }
}
