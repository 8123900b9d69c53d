//! Which tensors of a checkpoint make up the model, checked before any is read.

use std::{collections::HashSet, path::Path};

use engine_core::Result;
use model_arch::{Affine, DecoderSpec, TensorSpec};
use model_files::{Checkpoint, Dtype, TensorInfo};

use crate::file_errors::{invalid, unsupported};

/// Groups of quantized weights are made of blocks of this many.
const SMALLEST_GROUP: u32 = 16;

/// How a tensor of the spec lies in the checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As it is.
    Plain,
    /// Packed, with scales and biases.
    Affine(Affine),
    /// In parts, one for each expert.
    PlainParts,
}

/// The tensors that a model is made of. All are there, with the shapes and types that they must have.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) tensors: Vec<(TensorSpec, Form)>,
    /// Bytes to read.
    pub(crate) bytes: u64,
}

impl Manifest {
    /// Compares what the spec asks for with what the checkpoint holds.
    ///
    /// # Errors
    /// [`Error::InvalidModel`](engine_core::Error::InvalidModel) naming the first tensor that is
    /// missing, of another shape or type, or not part of such a model.
    pub(crate) fn check(checkpoint: &Checkpoint, spec: &DecoderSpec) -> Result<Self> {
        let mut manifest = Self {
            tensors: Vec::new(),
            bytes: 0,
        };
        let mut used = HashSet::new();
        for tensor in spec.tensors() {
            let form = form(checkpoint, spec, &tensor)?;
            for name in names(&tensor, form) {
                let bytes = checkpoint.info(&name).and_then(TensorInfo::byte_len);
                manifest.bytes += bytes.unwrap_or(0) as u64;
                used.insert(name);
            }
            manifest.tensors.push((tensor, form));
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
}

/// Packed if there are scales beside it, as mlx-lm has it.
fn form(checkpoint: &Checkpoint, spec: &DecoderSpec, tensor: &TensorSpec) -> Result<Form> {
    if checkpoint.info(&tensor.name).is_none() && lies_in_parts(checkpoint, tensor)? {
        return Ok(Form::PlainParts);
    }
    let module = tensor.module();
    if !tensor.quantizable || checkpoint.info(&scales_of(module)).is_none() {
        return plain(checkpoint, tensor).map(|()| Form::Plain);
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
    packed(checkpoint, tensor, affine).map(|()| Form::Affine(affine))
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

fn plain(checkpoint: &Checkpoint, tensor: &TensorSpec) -> Result<()> {
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
    if let Dtype::Ggml(kind) = info.dtype {
        return Err(unsupported(format!(
            "the tensor {} is stored as {kind}, which is not read",
            info.name
        )));
    }
    ensure_shape(checkpoint.path(), info, &tensor.shape)?;
    ensure_numbers(checkpoint.path(), info)
}

/// Whether a tensor lies there as one part for each expert; not if it has no parts, or the first is
/// missing.
fn lies_in_parts(checkpoint: &Checkpoint, tensor: &TensorSpec) -> Result<bool> {
    let parts = tensor.expert_parts();
    let Some(first) = parts.first().and_then(|first| checkpoint.info(first)) else {
        return Ok(false);
    };
    for part in &parts {
        let info = required(checkpoint, part)?;
        ensure_shape(checkpoint.path(), info, &tensor.shape[1..])?;
        ensure_numbers(checkpoint.path(), info)?;
        if info.dtype != first.dtype {
            let expected = first.dtype.to_string();
            return Err(wrong_type(checkpoint.path(), info, &expected));
        }
    }
    Ok(true)
}

fn packed(checkpoint: &Checkpoint, tensor: &TensorSpec, affine: Affine) -> Result<()> {
    let path = checkpoint.path();
    let Some((&inputs, outer)) = tensor.shape.split_last() else {
        return plain(checkpoint, tensor);
    };
    // The outputs, and before them the experts if there are any.
    let with_columns = |columns: usize| [outer, &[columns]].concat();
    let (bits, group_size) = (affine.bits as usize, affine.group_size as usize);
    if !affine.group_size.is_multiple_of(SMALLEST_GROUP) || !matches!(bits, 2..=6 | 8) {
        return Err(unsupported(format!(
            "the tensor {} has weights of {bits} bits in groups of {group_size}; 2, 3, 4, 5, 6 and \
             8 bits in groups that are multiples of {SMALLEST_GROUP} are implemented",
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
    for name in [scales_of(tensor.module()), biases_of(tensor.module())] {
        let numbers = required(checkpoint, &name)?;
        ensure_shape(path, numbers, &groups)?;
        ensure_numbers(path, numbers)?;
    }
    Ok(())
}

/// The names under which a tensor lies in the checkpoint.
pub(crate) fn names(tensor: &TensorSpec, form: Form) -> Vec<String> {
    let mut names = vec![tensor.name.clone()];
    match form {
        Form::Plain => names,
        Form::Affine(_) => {
            names.extend([scales_of(tensor.module()), biases_of(tensor.module())]);
            names
        }
        Form::PlainParts => tensor.expert_parts(),
    }
}

fn scales_of(module: &str) -> String {
    format!("{module}.scales")
}

fn biases_of(module: &str) -> String {
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

fn ensure_numbers(path: &Path, info: &TensorInfo) -> Result<()> {
    match info.dtype {
        Dtype::F32 | Dtype::F16 | Dtype::BF16 => Ok(()),
        _ => Err(wrong_type(path, info, "F32, F16 or BF16")),
    }
}

fn wrong_type(path: &Path, info: &TensorInfo, expected: &str) -> engine_core::Error {
    invalid(
        path,
        format!(
            "the tensor {} is of the type {}, and must be {expected}",
            info.name, info.dtype
        ),
    )
}
