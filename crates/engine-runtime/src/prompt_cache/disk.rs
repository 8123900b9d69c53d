//! A prompt cache in a file.
//!
//! The file is of the safetensors format. Its metadata has `format`, `version`, and in `model` the
//! fingerprint of the model that wrote it. The entry of number `N`, counted from 0 in the order of
//! last use, has its tokens in `N.tokens` (`U32`, one dimension) and its cache in tensors whose
//! names begin with `N.cache.`; what these mean is the backend's own.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::Read as _,
    path::Path,
};

use engine_core::{
    Error, Model, PromptCacheReport, Result, SequenceState, StateTensor, StateType, TokenId,
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use tempfile::NamedTempFile;

use super::{PromptCache, close};
use crate::engine::Guarded;

const FORMAT: &str = "mlxengine-prompt-cache";
/// 2: layers with a sliding window have the positions that they still see, no longer all; and
/// `engine-cpu` writes integers in pairs with scales, of 16 bits where it wrote halves.
const VERSION: &str = "2";

/// Writes all entries; the file is whole or untouched. Where there is no memory left to find out
/// which model this is, those that were used longest ago make room for that.
pub(crate) fn save<M: Model>(
    cache: &mut PromptCache,
    model: &mut Guarded<M>,
    path: &Path,
) -> Result<PromptCacheReport> {
    let metadata = HashMap::from([
        ("format".to_owned(), FORMAT.to_owned()),
        ("version".to_owned(), VERSION.to_owned()),
        ("model".to_owned(), cache.fingerprint(model)?),
    ]);
    let mut report = PromptCacheReport::default();
    let mut tensors = BTreeMap::new();
    for (number, (tokens, kept)) in cache.entries.by_last_use().into_iter().enumerate() {
        let state = model.call("export a sequence", |model| model.export(kept.sequence))?;
        report.prompts += 1;
        report.tokens += tokens.len() as u64;
        tensors.insert(format!("{number}.tokens"), tokens_tensor(tokens));
        for tensor in state.tensors {
            tensors.insert(format!("{number}.cache.{}", tensor.name), tensor);
        }
    }
    report.bytes =
        write(&tensors, metadata, path).map_err(|source| failed(model, "write", path, source))?;
    Ok(report)
}

/// Adds the entries of a file, those that were used last included first when the budget ends.
pub(crate) fn load<M: Model>(
    cache: &mut PromptCache,
    model: &mut Guarded<M>,
    path: &Path,
) -> Result<PromptCacheReport> {
    let bytes = read_whole(path).map_err(|source| failed(model, "read", path, source))?;
    let fingerprint = cache.fingerprint(model)?;
    let entries = read(&bytes, &fingerprint)?;
    let mut report = PromptCacheReport {
        bytes: bytes.len() as u64,
        ..PromptCacheReport::default()
    };
    let mut opened = Vec::new();
    for (tokens, state) in entries {
        let imported = check(&tokens, &state, model).and_then(|()| {
            cache.with_room(model, |model| {
                model.call("import a sequence", |model| model.import(&state))
            })
        });
        match imported {
            Ok(sequence) => opened.push((tokens, sequence)),
            Err(error) => {
                for (_, sequence) in opened {
                    close(model, sequence);
                }
                return Err(error);
            }
        }
    }
    for (tokens, sequence) in opened {
        report.prompts += 1;
        report.tokens += tokens.len() as u64;
        cache.keep(model, tokens, sequence);
    }
    Ok(report)
}

/// The file's bytes; one that does not fit into memory is an error.
fn read_whole(path: &Path) -> std::result::Result<Vec<u8>, AnyError> {
    let mut file = fs::File::open(path)?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(usize::try_from(file.metadata()?.len())?)?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn failed<M: Model>(model: &Guarded<M>, verb: &str, path: &Path, source: AnyError) -> Error {
    let operation = format!("{verb} the prompt cache {}", path.display());
    Error::backend(model.backend(), operation, source)
}

fn check<M: Model>(
    tokens: &[TokenId],
    state: &SequenceState,
    model: &mut Guarded<M>,
) -> Result<()> {
    let (vocab_size, context) = model.call("ask what it is", |model| {
        Ok((model.info().vocab_size, model.info().context_length))
    })?;
    if state.len > context {
        return Err(invalid(format!(
            "a prompt has {} tokens, and the context holds {context}",
            state.len
        )));
    }
    match tokens.iter().find(|token| **token as usize >= vocab_size) {
        None => Ok(()),
        Some(token) => Err(Error::InvalidToken {
            token: *token,
            vocab_size,
        }),
    }
}

fn tokens_tensor(tokens: &[TokenId]) -> StateTensor {
    StateTensor {
        name: "tokens".to_owned(),
        dtype: StateType::U32,
        shape: vec![tokens.len()],
        data: tokens
            .iter()
            .flat_map(|token| token.to_le_bytes())
            .collect(),
    }
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

fn write(
    tensors: &BTreeMap<String, StateTensor>,
    metadata: HashMap<String, String>,
    path: &Path,
) -> std::result::Result<u64, AnyError> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut views = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let view = TensorView::new(dtype(tensor.dtype)?, tensor.shape.clone(), &tensor.data)?;
        views.push((name.as_str(), view));
    }
    let file = NamedTempFile::new_in(folder)?;
    safetensors::serialize_to_file(views, Some(metadata), file.path())?;
    let file = file.persist(path)?;
    file.sync_all()?;
    Ok(fs::metadata(path)?.len())
}

fn dtype(of: StateType) -> std::result::Result<Dtype, AnyError> {
    Ok(match of {
        StateType::I8 => Dtype::I8,
        StateType::I16 => Dtype::I16,
        StateType::U32 => Dtype::U32,
        StateType::F16 => Dtype::F16,
        StateType::Bf16 => Dtype::BF16,
        StateType::F32 => Dtype::F32,
        other => return Err(format!("numbers of type {other:?} can't be written").into()),
    })
}

fn state_type(of: Dtype) -> Result<StateType> {
    Ok(match of {
        Dtype::I8 => StateType::I8,
        Dtype::I16 => StateType::I16,
        Dtype::U32 => StateType::U32,
        Dtype::F16 => StateType::F16,
        Dtype::BF16 => StateType::Bf16,
        Dtype::F32 => StateType::F32,
        other => return Err(invalid(format!("it has numbers of type {other:?}"))),
    })
}

/// The entries of a file, in the order of their last use.
fn read(bytes: &[u8], fingerprint: &str) -> Result<Vec<(Vec<TokenId>, SequenceState)>> {
    let (_, header) =
        SafeTensors::read_metadata(bytes).map_err(|error| invalid(error.to_string()))?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let is = |key: &str, value: &str| metadata.get(key).is_some_and(|found| found == value);
    if !is("format", FORMAT) {
        return Err(invalid("the file is no prompt cache"));
    }
    if !is("version", VERSION) {
        let found = metadata.get("version").map_or("none", String::as_str);
        return Err(invalid(format!(
            "the file's format has version {found:?}, and this program reads version {VERSION:?}; \
             save the prompts again"
        )));
    }
    if !is("model", fingerprint) {
        return Err(invalid(
            "the file belongs to another model, backend or number type",
        ));
    }
    let file = SafeTensors::deserialize(bytes).map_err(|error| invalid(error.to_string()))?;
    let mut entries: BTreeMap<usize, (Vec<TokenId>, SequenceState)> = BTreeMap::new();
    for (name, view) in file.tensors() {
        let unknown = || invalid(format!("it has a tensor {name:?}, which means nothing"));
        let (number, part) = name.split_once('.').ok_or_else(unknown)?;
        let entry = entries
            .entry(number.parse().map_err(|_| unknown())?)
            .or_default();
        if part == "tokens" {
            if view.dtype() != Dtype::U32 {
                return Err(invalid("its tokens are not U32"));
            }
            let (tokens, _) = view.data().as_chunks::<4>();
            entry.0 = tokens
                .iter()
                .map(|token| TokenId::from_le_bytes(*token))
                .collect();
            entry.1.len = entry.0.len();
        } else if let Some(tensor) = part.strip_prefix("cache.") {
            entry.1.tensors.push(StateTensor {
                name: tensor.to_owned(),
                dtype: state_type(view.dtype())?,
                shape: view.shape().to_vec(),
                data: view.data().to_vec(),
            });
        } else {
            return Err(unknown());
        }
    }
    Ok(entries.into_values().collect())
}

fn invalid(reason: impl Into<String>) -> Error {
    Error::InvalidState {
        reason: reason.into(),
    }
}
