//! Tensors of a checkpoint, read and packed for the kernels.

use std::sync::{Mutex, PoisonError};

use engine_core::{LoadProgress, LoadStage, Progress, Result};
use model_arch::{Affine, TensorSpec};
use model_files::{Checkpoint, Dtype, Tensor};

use crate::{
    file_errors::{from_files, invalid, missing},
    manifest::{Form, names},
    matrix::{
        AffineMatrix, AffineSource, Form as Packed, Matrix, NumberKind, PlainMatrix, SourceNumbers,
    },
    memory::{Arena, ArenaBuilder},
};

/// A tensor, as the decoder holds it.
#[derive(Debug)]
pub(crate) enum Weight {
    Matrix(Matrix),
    /// One matrix for each expert.
    Experts(Vec<Matrix>),
    Vector(Vec<f32>),
}

/// What the threads that read share.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    checkpoint: &'a Checkpoint,
    progress: &'a Progress,
    total: u64,
    done: Mutex<u64>,
    arena: ArenaBuilder,
}

impl<'a> Reading<'a> {
    /// Of `total` bytes in all.
    pub(crate) fn new(checkpoint: &'a Checkpoint, progress: &'a Progress, total: u64) -> Self {
        Self {
            checkpoint,
            progress,
            total,
            done: Mutex::new(0),
            arena: ArenaBuilder::new(),
        }
    }

    /// Where the matrices lie.
    pub(crate) fn into_arena(self) -> Arena {
        self.arena.finish()
    }

    /// Reads one tensor and lets go of its bytes.
    pub(crate) fn weight(&self, tensor: &TensorSpec, form: Form) -> Result<Weight> {
        // Says whether the load was cancelled, before the work rather than after.
        self.report(0)?;
        let weight = match (form, &tensor.shape[..]) {
            (Form::Plain, &[rows, columns]) => {
                let read = self.read(&tensor.name)?;
                Weight::Matrix(self.plain(&self.numbers(&read)?, rows, columns)?)
            }
            (Form::Plain, &[experts, rows, columns]) => {
                let read = self.read(&tensor.name)?;
                let numbers = self.numbers(&read)?;
                let all = (0..experts)
                    .map(|expert| self.plain(&numbers.part(expert, experts), rows, columns));
                Weight::Experts(all.collect::<Result<_>>()?)
            }
            (Form::PlainParts, &[_, rows, columns]) => {
                let all = tensor.expert_parts().into_iter().map(|name| {
                    let read = self.read(&name)?;
                    self.plain(&self.numbers(&read)?, rows, columns)
                });
                Weight::Experts(all.collect::<Result<_>>()?)
            }
            (Form::Affine(affine), &[rows, columns]) => {
                let mut matrices = self.affine(tensor, affine, [1, rows, columns])?;
                Weight::Matrix(
                    matrices
                        .pop()
                        .ok_or_else(|| missing(tensor.layer, tensor.role))?,
                )
            }
            (Form::Affine(affine), &[experts, rows, columns]) => {
                Weight::Experts(self.affine(tensor, affine, [experts, rows, columns])?)
            }
            _ => {
                let read = self.read(&tensor.name)?;
                let numbers = self.numbers(&read)?;
                let count = tensor.shape.iter().product();
                Weight::Vector((0..count).map(|index| numbers.get(index)).collect())
            }
        };
        let mut bytes = 0;
        for name in names(tensor, form) {
            self.checkpoint.release(&name);
            let info = self.checkpoint.info(&name);
            bytes += info
                .and_then(model_files::TensorInfo::byte_len)
                .unwrap_or(0);
        }
        self.report(bytes as u64)?;
        Ok(weight)
    }

    fn plain(&self, numbers: &SourceNumbers<'_>, rows: usize, columns: usize) -> Result<Matrix> {
        Ok(Matrix {
            rows,
            columns,
            form: Packed::Plain(PlainMatrix::pack(numbers, rows, columns, &self.arena)?),
        })
    }

    /// Packed matrices that lie one behind the other.
    fn affine(
        &self,
        tensor: &TensorSpec,
        affine: Affine,
        [count, rows, columns]: [usize; 3],
    ) -> Result<Vec<Matrix>> {
        let parts = names(tensor, Form::Affine(affine))
            .iter()
            .map(|name| self.read(name))
            .collect::<Result<Vec<_>>>()?;
        let [packed, scales, biases] = &parts[..] else {
            return Err(missing(tensor.layer, tensor.role));
        };
        let (scales, biases) = (self.numbers(scales)?, self.numbers(biases)?);
        let bytes = packed.data.len() / count.max(1);
        (0..count)
            .map(|index| {
                let source = AffineSource {
                    rows,
                    columns,
                    bits: affine.bits as usize,
                    group: affine.group_size as usize,
                    packed: &packed.data[index * bytes..(index + 1) * bytes],
                    scales: scales.part(index, count),
                    biases: biases.part(index, count),
                };
                Ok(Matrix {
                    rows,
                    columns,
                    form: Packed::Affine(AffineMatrix::pack(&source, &self.arena)?),
                })
            })
            .collect()
    }

    fn read(&self, name: &str) -> Result<Tensor<'_>> {
        self.checkpoint
            .read(name)
            .map_err(|error| from_files(self.checkpoint.path(), error))
    }

    fn numbers<'t>(&self, tensor: &'t Tensor<'_>) -> Result<SourceNumbers<'t>> {
        let kind = match tensor.info.dtype {
            Dtype::F32 => NumberKind::F32,
            Dtype::F16 => NumberKind::F16,
            Dtype::BF16 => NumberKind::Bf16,
            other => {
                let reason = format!("the tensor {} is of the type {other}", tensor.info.name);
                return Err(invalid(self.checkpoint.path(), reason));
            }
        };
        Ok(SourceNumbers {
            kind,
            bytes: &tensor.data,
        })
    }

    /// Counts bytes as read and says so. Reports come in order, whichever thread makes them.
    pub(crate) fn report(&self, bytes: u64) -> Result<()> {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        *done = (*done + bytes).min(self.total);
        self.progress.report(LoadProgress {
            stage: LoadStage::Weights,
            done_bytes: *done,
            total_bytes: self.total,
        })
    }
}
