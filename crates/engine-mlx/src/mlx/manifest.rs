//! Which tensors of a checkpoint make up the model, checked before any is read.

use std::{collections::HashSet, fmt::Display, path::Path};

use engine_core::{Error, Result};
use model_arch::{Affine, DecoderSpec, TensorSpec};
use model_files::{Checkpoint, Dtype, TensorInfo};

use super::{compute::Compute, file_errors::unsupported};

/// MLX has kernels for groups of this many weights, and for larger ones.
const SMALLEST_GROUP: usize = 32;

/// How a tensor of the spec lies in the checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As it is, in numbers of this type.
    Plain(Compute),
    /// Packed, with scales and biases of this type.
    Affine(Affine, Compute),
    /// In parts, one for each expert, in numbers of this type.
    PlainParts(Compute),
}

/// The tensors that a model is made of. All are there, with the shapes and types that they must have.
#[derive(Debug)]
pub(super) struct Manifest {
    bytes: u64,
    stored: Compute,
    /// Bytes of packed words, and numbers that take the compute type.
    packed_bytes: u64,
    numbers: u64,
}

impl Manifest {
    /// Compares what the spec asks for with what the checkpoint holds.
    ///
    /// # Errors
    /// [`Error::InvalidModel`] naming the first tensor that is missing, of another shape or type,
    /// or not part of such a model.
    pub(super) fn check(checkpoint: &Checkpoint, spec: &DecoderSpec) -> Result<Self> {
        let mut manifest = Self {
            bytes: 0,
            stored: Compute::F32,
            packed_bytes: 0,
            numbers: 0,
        };
        let mut used = HashSet::new();
        for (index, tensor) in spec.tensors().enumerate() {
            let form = form(checkpoint, spec, &tensor)?;
            let numbers: usize = tensor.shape.iter().product();
            let stored = match form {
                Form::Plain(stored) | Form::PlainParts(stored) => {
                    manifest.numbers += numbers as u64;
                    stored
                }
                Form::Affine(affine, stored) => {
                    manifest.packed_bytes += numbers as u64 * u64::from(affine.bits) / 8;
                    manifest.numbers += 2 * numbers as u64 / u64::from(affine.group_size);
                    stored
                }
            };
            // The embedding comes first: what it gives is what everything after it is given.
            if index == 0 {
                manifest.stored = stored;
            }
            for name in names(&tensor, form) {
                let bytes = checkpoint.info(&name).and_then(TensorInfo::byte_len);
                manifest.bytes += bytes.unwrap_or(0) as u64;
                used.insert(name);
            }
        }
        let stranger = checkpoint
            .tensors()
            .find(|info| !used.contains(&info.name) && !spec.ignores(&info.name));
        match stranger {
            None => Ok(manifest),
            Some(info) => Err(invalid(
                checkpoint.path(),
                format!(
                    "it holds the tensor {}, which a {} model with this configuration does not have",
                    info.name, spec.model_type
                ),
            )),
        }
    }

    /// Bytes to read.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The type of the numbers that the files store.
    pub(super) fn stored(&self) -> Compute {
        self.stored
    }

    /// Bytes that the weights take in memory.
    pub(super) fn memory_bytes(&self, compute: Compute) -> u64 {
        self.packed_bytes + self.numbers * compute.bytes()
    }
}

/// How the checkpoint holds a tensor: packed if there are scales beside it, as mlx-lm has it.
pub(super) fn form(
    checkpoint: &Checkpoint,
    spec: &DecoderSpec,
    tensor: &TensorSpec,
) -> Result<Form> {
    if checkpoint.info(&tensor.name).is_none()
        && let Some(stored) = parts(checkpoint, tensor)?
    {
        return Ok(Form::PlainParts(stored));
    }
    let module = tensor.module();
    if !tensor.quantizable || checkpoint.info(&scales_of(module)).is_none() {
        return plain(checkpoint, tensor).map(Form::Plain);
    }
    let affine = affine_of(checkpoint, spec, tensor).ok_or_else(|| {
        invalid(
            checkpoint.path(),
            format!(
                "it holds {}, and config.json does not say how the module is quantized",
                scales_of(module)
            ),
        )
    })?;
    packed(checkpoint, tensor, affine).map(|stored| Form::Affine(affine, stored))
}

/// A module that the plan names is packed as it says; of any other the shapes tell, since a plan's
/// default need not hold for all modules that it leaves out.
fn affine_of(checkpoint: &Checkpoint, spec: &DecoderSpec, tensor: &TensorSpec) -> Option<Affine> {
    let plan = spec.quantization.as_ref()?;
    let module = tensor.module();
    if let Some(named) = plan.overrides.get(module) {
        return *named;
    }
    let columns = |name: &str| checkpoint.info(name)?.shape.last().copied();
    let told = Affine::from_shapes(
        *tensor.shape.last()?,
        columns(&tensor.name)?,
        columns(&scales_of(module))?,
    );
    Some(told.unwrap_or(plan.default))
}

fn plain(checkpoint: &Checkpoint, tensor: &TensorSpec) -> Result<Compute> {
    let info = required(checkpoint, &tensor.name)?;
    if tensor.quantizable && info.dtype == Dtype::U32 {
        return Err(invalid(
            checkpoint.path(),
            format!(
                "the tensor {} is quantized, and {} is missing",
                tensor.name,
                scales_of(tensor.module())
            ),
        ));
    }
    ensure_shape(checkpoint.path(), info, &tensor.shape)?;
    numbers_of(checkpoint.path(), info)
}

/// The type of a tensor that lies there as one part for each expert; `None` if it has no parts, or
/// the first is missing.
fn parts(checkpoint: &Checkpoint, tensor: &TensorSpec) -> Result<Option<Compute>> {
    let parts = tensor.expert_parts();
    let Some(first) = parts.first().and_then(|first| checkpoint.info(first)) else {
        return Ok(None);
    };
    for part in &parts {
        let info = required(checkpoint, part)?;
        ensure_shape(checkpoint.path(), info, &tensor.shape[1..])?;
        if info.dtype != first.dtype {
            return Err(wrong_type(checkpoint.path(), info, first.dtype));
        }
    }
    numbers_of(checkpoint.path(), first).map(Some)
}

fn packed(checkpoint: &Checkpoint, tensor: &TensorSpec, affine: Affine) -> Result<Compute> {
    let path = checkpoint.path();
    let Some((&inputs, outer)) = tensor.shape.split_last() else {
        return plain(checkpoint, tensor);
    };
    // The outputs, and before them the experts if there are any.
    let with_columns = |columns: usize| [outer, &[columns]].concat();
    let (bits, group_size) = (affine.bits as usize, affine.group_size as usize);
    if group_size < SMALLEST_GROUP {
        return Err(unsupported(format!(
            "the tensor {} has groups of {group_size} weights, for which MLX has no kernels",
            tensor.name
        )));
    }
    let info = required(checkpoint, &tensor.name)?;
    if inputs % group_size != 0 {
        return Err(invalid(
            path,
            format!(
                "the tensor {} has rows of {inputs} numbers, which are no whole groups of {group_size}",
                tensor.name
            ),
        ));
    }
    if info.dtype != Dtype::U32 {
        return Err(wrong_type(path, info, "U32"));
    }
    ensure_shape(path, info, &with_columns(inputs / 32 * bits))?;
    let groups = with_columns(inputs / group_size);
    let scales = required(checkpoint, &scales_of(tensor.module()))?;
    ensure_shape(path, scales, &groups)?;
    let biases = required(checkpoint, &biases_of(tensor.module()))?;
    ensure_shape(path, biases, &groups)?;
    numbers_of(path, biases)?;
    numbers_of(path, scales)
}

/// The names under which a tensor lies in the checkpoint.
fn names(tensor: &TensorSpec, form: Form) -> Vec<String> {
    let mut names = vec![tensor.name.clone()];
    match form {
        Form::Plain(_) => names,
        Form::Affine(..) => {
            names.extend([scales_of(tensor.module()), biases_of(tensor.module())]);
            names
        }
        Form::PlainParts(_) => tensor.expert_parts(),
    }
}

pub(super) fn scales_of(module: &str) -> String {
    format!("{module}.scales")
}

pub(super) fn biases_of(module: &str) -> String {
    format!("{module}.biases")
}

fn required<'a>(checkpoint: &'a Checkpoint, name: &str) -> Result<&'a TensorInfo> {
    checkpoint.info(name).ok_or_else(|| {
        invalid(
            checkpoint.path(),
            format!("it holds no tensor named {name}"),
        )
    })
}

fn ensure_shape(path: &Path, info: &TensorInfo, expected: &[usize]) -> Result<()> {
    if info.shape == expected {
        return Ok(());
    }
    Err(invalid(
        path,
        format!(
            "the tensor {} has the shape {:?}, and config.json asks for {expected:?}",
            info.name, info.shape
        ),
    ))
}

fn numbers_of(path: &Path, info: &TensorInfo) -> Result<Compute> {
    Compute::of_file(info.dtype).ok_or_else(|| wrong_type(path, info, "F32, F16 or BF16"))
}

fn wrong_type(path: &Path, info: &TensorInfo, expected: impl Display) -> Error {
    invalid(
        path,
        format!(
            "the tensor {} is of the type {}, and must be {expected}",
            info.name, info.dtype
        ),
    )
}

fn invalid(path: &Path, reason: String) -> Error {
    Error::InvalidModel {
        path: path.to_path_buf(),
        reason,
    }
}
