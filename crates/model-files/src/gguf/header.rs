//! The header: version, metadata, and where each tensor's blocks lie.

use std::{
    collections::{BTreeMap, HashMap, btree_map::Entry},
    ops::Range,
};

use super::{GgmlType, MAGIC, cursor::Cursor, value::MetadataValue};

/// The specification's limit.
const MAX_KEY_BYTES: usize = 65_535;
/// The specification says 64; some writers exceed it.
const MAX_NAME_BYTES: usize = 1024;
const MAX_DIMENSIONS: u32 = 4;
const DEFAULT_ALIGNMENT: u64 = 32;
/// Beyond a huge page nobody gains anything, and the product with an offset must not overflow.
const MAX_ALIGNMENT: u64 = 1 << 21;

/// What is wrong with a GGUF file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} (at byte {offset})")]
pub struct GgufError {
    /// Bytes from the start of the file.
    pub offset: u64,
    /// What was found there.
    pub reason: String,
}

/// A tensor as the file describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GgufTensor {
    /// Its name in GGML's manner: `blk.0.attn_q.weight`.
    pub name: String,
    /// How its elements are stored.
    pub kind: GgmlType,
    /// Its dimensions, outermost first. (The file has them the other way round.)
    pub shape: Vec<usize>,
    /// Where its blocks lie in the file; `None` if the type is unknown.
    pub range: Option<Range<usize>>,
}

/// Everything before the tensors' data.
#[derive(Clone, Debug)]
pub struct Header {
    version: u32,
    metadata: BTreeMap<String, MetadataValue>,
    tensors: Vec<GgufTensor>,
    by_name: HashMap<String, usize>,
}

impl Header {
    /// Reads the header of a whole file's bytes, and checks that every tensor lies inside it.
    pub fn parse(file: &[u8]) -> Result<Self, GgufError> {
        let mut cursor = Cursor::new(file);
        if cursor.array::<4>("the magic number")? != MAGIC {
            return Err(GgufError {
                offset: 0,
                reason: "it does not begin with \"GGUF\"".to_owned(),
            });
        }
        let version = cursor.u32("the version")?;
        match version {
            2 | 3 => {}
            _ if matches!(version.swap_bytes(), 1..=3) => {
                return Err(cursor.error("it is in big-endian order, which is not read"));
            }
            _ => {
                return Err(cursor.error(format!(
                    "its version is {version}; versions 2 and 3 are read"
                )));
            }
        }
        // The least a tensor takes: an empty name, one dimension, type, offset.
        let tensor_count = cursor.count(32, "the number of tensors")?;
        // The least a pair takes: an empty key, a type, one byte.
        let pair_count = cursor.count(13, "the number of metadata pairs")?;

        let metadata = parse_metadata(&mut cursor, pair_count)?;
        let alignment = alignment(&metadata, &cursor)?;
        let mut tensors = Vec::with_capacity(tensor_count);
        let mut by_name = HashMap::with_capacity(tensor_count);
        let mut offsets = Vec::with_capacity(tensor_count);
        for index in 0..tensor_count {
            let (tensor, offset) = parse_tensor(&mut cursor)?;
            if by_name.insert(tensor.name.clone(), index).is_some() {
                return Err(cursor.error(format!("the tensor {} is there twice", tensor.name)));
            }
            tensors.push(tensor);
            offsets.push(offset);
        }
        let data_start = (cursor.position() as u64).next_multiple_of(alignment);
        for (tensor, offset) in tensors.iter_mut().zip(&offsets) {
            tensor.range = locate(tensor, *offset, alignment, data_start, file.len())
                .map_err(|reason| cursor.error(format!("the tensor {} {reason}", tensor.name)))?;
        }
        refuse_overlaps(&tensors).map_err(|reason| cursor.error(reason))?;
        Ok(Self {
            version,
            metadata,
            tensors,
            by_name,
        })
    }

    /// The format's version: 2 or 3.
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// All metadata, by key.
    pub const fn metadata(&self) -> &BTreeMap<String, MetadataValue> {
        &self.metadata
    }

    /// All tensors, in the file's order.
    pub fn tensors(&self) -> &[GgufTensor] {
        &self.tensors
    }

    /// A tensor by GGML's name for it.
    pub fn tensor(&self, name: &str) -> Option<&GgufTensor> {
        self.by_name.get(name).map(|index| &self.tensors[*index])
    }
}

fn parse_metadata(
    cursor: &mut Cursor<'_>,
    count: usize,
) -> Result<BTreeMap<String, MetadataValue>, GgufError> {
    let mut metadata = BTreeMap::new();
    for _ in 0..count {
        let key = cursor.string(MAX_KEY_BYTES, "a metadata key")?;
        match metadata.entry(key.to_owned()) {
            Entry::Occupied(_) => {
                return Err(cursor.error(format!("the metadata key {key} is there twice")));
            }
            Entry::Vacant(entry) => entry.insert(MetadataValue::parse(cursor)?),
        };
    }
    Ok(metadata)
}

fn alignment(
    metadata: &BTreeMap<String, MetadataValue>,
    cursor: &Cursor<'_>,
) -> Result<u64, GgufError> {
    let Some(value) = metadata.get("general.alignment") else {
        return Ok(DEFAULT_ALIGNMENT);
    };
    value
        .as_u64()
        .filter(|alignment| alignment.is_power_of_two() && *alignment <= MAX_ALIGNMENT)
        .ok_or_else(|| {
            cursor.error(format!(
                "general.alignment must be a power of two up to {MAX_ALIGNMENT}"
            ))
        })
}

fn parse_tensor(cursor: &mut Cursor<'_>) -> Result<(GgufTensor, u64), GgufError> {
    let name = cursor.string(MAX_NAME_BYTES, "a tensor's name")?.to_owned();
    let dimensions = cursor.u32("a tensor's number of dimensions")?;
    if !(1..=MAX_DIMENSIONS).contains(&dimensions) {
        return Err(cursor.error(format!(
            "the tensor {name} has {dimensions} dimensions; 1 to {MAX_DIMENSIONS} are allowed"
        )));
    }
    let mut shape = Vec::new();
    for _ in 0..dimensions {
        let dimension = cursor.u64("a tensor's dimension")?;
        let dimension = usize::try_from(dimension)
            .ok()
            .filter(|dimension| *dimension > 0)
            .ok_or_else(|| {
                cursor.error(format!("the tensor {name} has a dimension of {dimension}"))
            })?;
        shape.push(dimension);
    }
    shape.reverse();
    let kind = GgmlType::from_number(cursor.u32("a tensor's type")?);
    let offset = cursor.u64("a tensor's offset")?;
    let tensor = GgufTensor {
        name,
        kind,
        shape,
        range: None,
    };
    Ok((tensor, offset))
}

/// Where the tensor's blocks lie, or what is wrong with that place.
fn locate(
    tensor: &GgufTensor,
    offset: u64,
    alignment: u64,
    data_start: u64,
    file_len: usize,
) -> Result<Option<Range<usize>>, String> {
    if !offset.is_multiple_of(alignment) {
        return Err(format!(
            "starts at {offset}, which is not a multiple of the alignment {alignment}"
        ));
    }
    let Some((block_elements, block_bytes)) = tensor.kind.block() else {
        return Ok(None);
    };
    let row = tensor.shape.last().copied().unwrap_or(1) as u64;
    if !row.is_multiple_of(block_elements) {
        return Err(format!(
            "has rows of {row}, which blocks of {block_elements} ({}) can't fill",
            tensor.kind
        ));
    }
    tensor
        .shape
        .iter()
        .try_fold(1_u64, |product, dim| product.checked_mul(*dim as u64))
        .and_then(|elements| (elements / block_elements).checked_mul(block_bytes))
        .and_then(|bytes| {
            let start = data_start.checked_add(offset)?;
            let end = start.checked_add(bytes)?;
            Some(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
        })
        .filter(|range| range.end <= file_len)
        .map(Some)
        .ok_or_else(|| {
            format!(
                "({}, {:?}) reaches beyond the end of the file, which has {file_len} bytes",
                tensor.kind, tensor.shape
            )
        })
}

fn refuse_overlaps(tensors: &[GgufTensor]) -> Result<(), String> {
    let mut placed: Vec<_> = tensors
        .iter()
        .filter_map(|tensor| Some((tensor.range.clone()?, &tensor.name)))
        .collect();
    placed.sort_by_key(|(range, _)| range.start);
    match placed
        .windows(2)
        .find(|pair| pair[0].0.end > pair[1].0.start)
    {
        None => Ok(()),
        Some(pair) => Err(format!(
            "the tensors {} and {} overlap",
            pair[0].1, pair[1].1
        )),
    }
}
