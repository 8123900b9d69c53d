//! A GGUF file seen as an MLX folder: Hugging Face names, affine triplets, a configuration.

mod affine;
mod config;
mod keys;
mod names;
mod pre_tokenizer;
mod rope_factors;
mod tokenizer;

use std::{borrow::Cow, collections::BTreeMap, path::Path};

use serde_json::{Map, Value};

use self::{affine::Blocks, config::Hyperparameters, names::RowOrder};
use crate::{
    Dtype, FilesError, Tensor, TensorInfo, TextFiles,
    gguf::{GgmlType, GgufFile, GgufTensor},
};

/// The view's description: everything but the bytes.
#[derive(Debug)]
pub(crate) struct Described {
    pub(crate) config: Map<String, Value>,
    pub(crate) generation_config: Map<String, Value>,
    pub(crate) text: TextFiles,
    pub(crate) tensors: BTreeMap<String, TensorInfo>,
}

/// How to make each presented tensor from the file's blocks.
#[derive(Debug)]
pub(crate) struct MlxView {
    file: GgufFile,
    recipes: BTreeMap<String, Recipe>,
}

#[derive(Clone, Copy, Debug)]
struct Recipe {
    /// Index among the file's tensors.
    source: usize,
    part: Part,
    /// Numbers of a head, if the rows have to be put in order.
    paired: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// The tensor as it is.
    Plain,
    Weights(Blocks),
    Scales(Blocks),
    Biases(Blocks),
    /// Listed, but not readable.
    Unreadable,
}

impl MlxView {
    /// Opens a GGUF file and describes what it presents.
    pub(crate) fn open(path: &Path) -> Result<(Self, Described), FilesError> {
        let file = GgufFile::open(path)?;
        let parameters = Hyperparameters::read(&file)?;
        let mut view = Self {
            file,
            recipes: BTreeMap::new(),
        };
        let mut tensors = BTreeMap::new();
        let mut quantized = BTreeMap::new();
        for source in 0..view.file.tensors().len() {
            if view.file.tensors()[source].name == rope_factors::TENSOR {
                continue;
            }
            view.present(source, &parameters, &mut tensors, &mut quantized)?;
        }
        let described = Described {
            config: parameters.to_config(&view.file, &tensors, &quantized)?,
            generation_config: config::generation_config(view.file.metadata()),
            text: tokenizer::text_files(&view.file, &parameters)?,
            tensors,
        };
        Ok((view, described))
    }

    /// Adds the one or three tensors that a tensor of the file is presented as.
    fn present(
        &mut self,
        source: usize,
        parameters: &Hyperparameters,
        tensors: &mut BTreeMap<String, TensorInfo>,
        quantized: &mut BTreeMap<String, Blocks>,
    ) -> Result<(), FilesError> {
        let tensor = &self.file.tensors()[source];
        let (name, order) =
            names::translate(&tensor.name, parameters.layers, parameters.paired_rows).ok_or_else(
                || {
                    FilesError::unsupported(
                        self.file.path(),
                        format!(
                            "the tensor {} has no place in the architecture {}",
                            tensor.name, parameters.architecture
                        ),
                    )
                },
            )?;
        let paired = self.paired_head_dim(tensor, order, parameters)?;
        let blocks = Blocks::of(tensor.kind).zip(name.strip_suffix(".weight"));
        let parts =
            if let (Some((blocks, module)), &[rows, columns]) = (blocks, tensor.shape.as_slice()) {
                quantized.insert(module.to_owned(), blocks);
                let groups = vec![rows, columns / blocks.group_size()];
                let words = vec![rows, columns * blocks.bits() / 32];
                let named = |part| format!("{module}.{part}");
                let numbers = if blocks.is_wide() {
                    Dtype::F32
                } else {
                    Dtype::F16
                };
                vec![
                    (named("weight"), words, Dtype::U32, Part::Weights(blocks)),
                    (
                        named("scales"),
                        groups.clone(),
                        numbers,
                        Part::Scales(blocks),
                    ),
                    (named("biases"), groups, numbers, Part::Biases(blocks)),
                ]
            } else {
                let (dtype, part) = match tensor.kind {
                    GgmlType::F32 => (Dtype::F32, Part::Plain),
                    GgmlType::F16 => (Dtype::F16, Part::Plain),
                    GgmlType::BF16 => (Dtype::BF16, Part::Plain),
                    other => (Dtype::Ggml(other), Part::Unreadable),
                };
                vec![(name, tensor.shape.clone(), dtype, part)]
            };
        for (name, shape, dtype, part) in parts {
            let recipe = Recipe {
                source,
                part,
                paired,
            };
            self.recipes.insert(name.clone(), recipe);
            tensors.insert(name.clone(), TensorInfo { name, shape, dtype });
        }
        Ok(())
    }

    fn paired_head_dim(
        &self,
        tensor: &GgufTensor,
        order: RowOrder,
        parameters: &Hyperparameters,
    ) -> Result<Option<usize>, FilesError> {
        let heads = match order {
            RowOrder::Same => return Ok(None),
            RowOrder::PairedQueries => parameters.heads,
            RowOrder::PairedKeys => parameters.kv_heads,
        };
        let rows = tensor.shape.first().copied().unwrap_or(0);
        usize::try_from(heads)
            .ok()
            .filter(|heads| *heads > 0 && rows.is_multiple_of(heads * 2))
            .map(|heads| Some(rows / heads))
            .ok_or_else(|| {
                FilesError::malformed(
                    self.file.path(),
                    format!(
                        "the tensor {} has {rows} rows, which {heads} heads can't share evenly",
                        tensor.name
                    ),
                )
            })
    }

    /// Makes a presented tensor.
    pub(crate) fn read(&self, info: &TensorInfo) -> Result<Tensor<'_>, FilesError> {
        let Some(recipe) = self.recipes.get(&info.name) else {
            return Err(FilesError::TensorNotFound {
                path: self.file.path().to_path_buf(),
                tensor: info.name.clone(),
            });
        };
        let source = &self.file.tensors()[recipe.source];
        let blocks = self.file.blocks(source)?;
        let mut info = info.clone();
        let rows = RowGatherer {
            tensor: source,
            blocks,
            paired: recipe.paired,
        };
        let data = match recipe.part {
            Part::Unreadable => {
                return Err(FilesError::UnsupportedTensorType {
                    path: self.file.path().to_path_buf(),
                    tensor: source.name.clone(),
                    kind: source.kind.to_string(),
                });
            }
            Part::Plain => match recipe.paired {
                None => Cow::Borrowed(blocks),
                Some(_) => Cow::Owned(rows.gather(&info, |row, out| {
                    out.extend_from_slice(row);
                })),
            },
            Part::Weights(kind) => Cow::Owned(rows.gather(&info, |row, out| {
                kind.pack_weights(row, out);
            })),
            Part::Scales(kind) | Part::Biases(kind) => {
                let wide = !self.fit_f16(source, kind, blocks)?;
                if wide {
                    info.dtype = Dtype::F32;
                }
                Cow::Owned(rows.gather(&info, |row, out| {
                    if recipe.part == Part::Scales(kind) {
                        kind.push_scales(row, wide, out);
                    } else {
                        kind.push_biases(row, wide, out);
                    }
                }))
            }
        };
        Ok(Tensor { info, data })
    }

    /// See [`Checkpoint::release`](crate::Checkpoint::release).
    pub(crate) fn release(&self, name: &str) {
        if let Some(recipe) = self.recipes.get(name)
            && let Some(tensor) = self.file.tensors().get(recipe.source)
        {
            self.file.release(tensor);
        }
    }

    /// The tensor's description as [`MlxView::read`] will give it.
    pub(crate) fn exact_info(&self, info: &TensorInfo) -> Result<TensorInfo, FilesError> {
        let mut exact = info.clone();
        if let Some(recipe) = self.recipes.get(&info.name)
            && let Part::Scales(kind) | Part::Biases(kind) = recipe.part
        {
            let source = &self.file.tensors()[recipe.source];
            if !self.fit_f16(source, kind, self.file.blocks(source)?)? {
                exact.dtype = Dtype::F32;
            }
        }
        Ok(exact)
    }

    fn fit_f16(
        &self,
        source: &GgufTensor,
        kind: Blocks,
        blocks: &[u8],
    ) -> Result<bool, FilesError> {
        kind.fit_f16(blocks).map_err(|error| {
            FilesError::malformed(
                self.file.path(),
                format!(
                    "block {} of the tensor {} has a scale that is not a finite number",
                    error.block, source.name
                ),
            )
        })
    }
}

/// A tensor's stored rows, in Hugging Face's order.
struct RowGatherer<'a> {
    tensor: &'a GgufTensor,
    blocks: &'a [u8],
    paired: Option<usize>,
}

impl RowGatherer<'_> {
    /// Joins what `convert` makes of the rows.
    fn gather(&self, made: &TensorInfo, mut convert: impl FnMut(&[u8], &mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::with_capacity(made.byte_len().unwrap_or(0));
        let Some(head_dim) = self.paired else {
            convert(self.blocks, &mut out);
            return out;
        };
        let rows = self.tensor.shape.first().copied().unwrap_or(1);
        let row_bytes = self.blocks.len() / rows;
        for row in 0..rows {
            let start = names::paired_row(row, head_dim) * row_bytes;
            convert(&self.blocks[start..start + row_bytes], &mut out);
        }
        out
    }
}
