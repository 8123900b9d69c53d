//! Keys and values of the positions so far, in pages.
//!
//! A page holds [`PAGE`] positions of all heads of one layer. Keys lie with their positions side by
//! side, so that scores of sixteen positions are computed at once; values lie with their
//! dimensions side by side. A fork shares its pages until one of the two writes.

use engine_core::{Error, KvType, Result, StateType};
use half::{f16, slice::HalfFloatSliceExt};

use crate::kernels::{ContextPage, KeyLanes, PAGE, ValueRows};

/// The form and sizes of a layer's pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageShape {
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: usize,
    pub(crate) kind: PageKind,
}

/// The type of cached numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageKind {
    F16,
    /// Eight bits, with a scale for each head's key and value at each position.
    Q8,
}

impl From<KvType> for PageKind {
    fn from(kind: KvType) -> Self {
        match kind {
            KvType::Q8 => Self::Q8,
            _ => Self::F16,
        }
    }
}

impl PageShape {
    /// Bytes of a page.
    pub(crate) const fn bytes(&self) -> u64 {
        let numbers = 2 * (self.kv_heads * self.head_dim * PAGE) as u64;
        match self.kind {
            PageKind::F16 => 2 * numbers,
            PageKind::Q8 => numbers + 2 * 4 * (self.kv_heads * PAGE) as u64,
        }
    }

    /// The arrays of a page: name, type, dimensions.
    pub(crate) fn arrays(&self) -> Vec<(&'static str, StateType, Vec<usize>)> {
        let (numbers, scaled) = match self.kind {
            PageKind::F16 => (StateType::F16, false),
            PageKind::Q8 => (StateType::I8, true),
        };
        let mut arrays = vec![
            ("keys", numbers, vec![self.kv_heads, self.head_dim, PAGE]),
            ("values", numbers, vec![self.kv_heads, PAGE, self.head_dim]),
        ];
        if scaled {
            for name in ["key_scales", "value_scales"] {
                arrays.push((name, StateType::F32, vec![self.kv_heads, PAGE]));
            }
        }
        arrays
    }

    const fn head(&self) -> usize {
        self.head_dim * PAGE
    }
}

/// [`PAGE`] positions of a layer.
#[derive(Debug)]
pub(crate) struct Page {
    shape: PageShape,
    numbers: PageNumbers,
}

#[derive(Debug)]
enum PageNumbers {
    F16 {
        keys: Vec<u16>,
        values: Vec<u16>,
    },
    Q8 {
        keys: Vec<i8>,
        key_scales: Vec<f32>,
        values: Vec<i8>,
        value_scales: Vec<f32>,
    },
}

impl Page {
    /// A page of zeros.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if the system has no memory left.
    pub(crate) fn new(shape: PageShape) -> Result<Self> {
        let all = shape.kv_heads * shape.head();
        let numbers = match shape.kind {
            PageKind::F16 => PageNumbers::F16 {
                keys: zeros(all)?,
                values: zeros(all)?,
            },
            PageKind::Q8 => PageNumbers::Q8 {
                keys: zeros(all)?,
                key_scales: zeros(shape.kv_heads * PAGE)?,
                values: zeros(all)?,
                value_scales: zeros(shape.kv_heads * PAGE)?,
            },
        };
        Ok(Self { shape, numbers })
    }

    /// Another page with the same content.
    ///
    /// # Errors
    /// As [`Page::new`]'s.
    pub(crate) fn copy(&self) -> Result<Self> {
        let mut copy = Self::new(self.shape)?;
        match (&mut copy.numbers, &self.numbers) {
            (
                PageNumbers::F16 { keys, values },
                PageNumbers::F16 {
                    keys: old_keys,
                    values: old_values,
                },
            ) => {
                keys.copy_from_slice(old_keys);
                values.copy_from_slice(old_values);
            }
            (
                PageNumbers::Q8 {
                    keys,
                    key_scales,
                    values,
                    value_scales,
                },
                PageNumbers::Q8 {
                    keys: old_keys,
                    key_scales: old_key_scales,
                    values: old_values,
                    value_scales: old_value_scales,
                },
            ) => {
                keys.copy_from_slice(old_keys);
                key_scales.copy_from_slice(old_key_scales);
                values.copy_from_slice(old_values);
                value_scales.copy_from_slice(old_value_scales);
            }
            // Both are of one shape.
            _ => {}
        }
        Ok(copy)
    }

    /// Its arrays as bytes, in the order of [`PageShape::arrays`].
    pub(crate) fn bytes(&self) -> Vec<&[u8]> {
        match &self.numbers {
            PageNumbers::F16 { keys, values } => {
                vec![bytemuck::cast_slice(keys), bytemuck::cast_slice(values)]
            }
            PageNumbers::Q8 {
                keys,
                key_scales,
                values,
                value_scales,
            } => vec![
                bytemuck::cast_slice(keys),
                bytemuck::cast_slice(values),
                bytemuck::cast_slice(key_scales),
                bytemuck::cast_slice(value_scales),
            ],
        }
    }

    /// Its arrays as bytes that may be written.
    pub(crate) fn bytes_mut(&mut self) -> Vec<&mut [u8]> {
        match &mut self.numbers {
            PageNumbers::F16 { keys, values } => {
                vec![
                    bytemuck::cast_slice_mut(keys),
                    bytemuck::cast_slice_mut(values),
                ]
            }
            PageNumbers::Q8 {
                keys,
                key_scales,
                values,
                value_scales,
            } => vec![
                bytemuck::cast_slice_mut(keys),
                bytemuck::cast_slice_mut(values),
                bytemuck::cast_slice_mut(key_scales),
                bytemuck::cast_slice_mut(value_scales),
            ],
        }
    }

    /// Writes the key of one head at one place.
    pub(crate) fn write_key(&mut self, head: usize, place: usize, key: &[f32]) {
        let first = head * self.shape.head() + place;
        match &mut self.numbers {
            PageNumbers::F16 { keys, .. } => {
                let lanes = keys[first..].iter_mut().step_by(PAGE);
                let mut half = [f16::ZERO; 16];
                let mut lanes = lanes.take(key.len());
                for key in key.chunks(half.len()) {
                    let half = &mut half[..key.len()];
                    to_half(key, half);
                    for (half, lane) in half.iter().zip(&mut lanes) {
                        *lane = half.to_bits();
                    }
                }
            }
            PageNumbers::Q8 {
                keys, key_scales, ..
            } => {
                let scale = scale_of(key);
                key_scales[head * PAGE + place] = scale;
                for (x, lane) in key.iter().zip(keys[first..].iter_mut().step_by(PAGE)) {
                    *lane = to_eighth(*x, scale);
                }
            }
        }
    }

    /// Writes the value of one head at one place.
    pub(crate) fn write_value(&mut self, head: usize, place: usize, value: &[f32]) {
        let first = head * self.shape.head() + place * self.shape.head_dim;
        match &mut self.numbers {
            PageNumbers::F16 { values, .. } => {
                let row = &mut values[first..first + value.len()];
                to_half(value, bytemuck::cast_slice_mut(row));
            }
            PageNumbers::Q8 {
                values,
                value_scales,
                ..
            } => {
                let scale = scale_of(value);
                value_scales[head * PAGE + place] = scale;
                for (x, row) in value.iter().zip(&mut values[first..]) {
                    *row = to_eighth(*x, scale);
                }
            }
        }
    }

    /// The keys of one head.
    pub(crate) fn keys(&self, head: usize) -> KeyLanes<'_> {
        let range = head * self.shape.head()..(head + 1) * self.shape.head();
        KeyLanes {
            head_dim: self.shape.head_dim,
            page: match &self.numbers {
                PageNumbers::F16 { keys, .. } => ContextPage::F16(&keys[range]),
                PageNumbers::Q8 {
                    keys, key_scales, ..
                } => ContextPage::Q8(&keys[range], &key_scales[head * PAGE..(head + 1) * PAGE]),
            },
        }
    }

    /// The values of one head at the first `used` positions.
    pub(crate) fn values(&self, head: usize, used: usize) -> ValueRows<'_> {
        let range = head * self.shape.head()..(head + 1) * self.shape.head();
        ValueRows {
            head_dim: self.shape.head_dim,
            used,
            page: match &self.numbers {
                PageNumbers::F16 { values, .. } => ContextPage::F16(&values[range]),
                PageNumbers::Q8 {
                    values,
                    value_scales,
                    ..
                } => {
                    let scales = &value_scales[head * PAGE..(head + 1) * PAGE];
                    ContextPage::Q8(&values[range], scales)
                }
            },
        }
    }
}

fn zeros<T: Clone + Default>(count: usize) -> Result<Vec<T>> {
    let mut zeros = Vec::new();
    zeros
        .try_reserve_exact(count)
        .map_err(|error| Error::OutOfMemory {
            purpose: "the KV cache".to_owned(),
            reason: error.to_string(),
        })?;
    zeros.resize(count, T::default());
    Ok(zeros)
}

/// Halves, the largest of them where the numbers are beyond: an infinity in the cache would make
/// positions that see it and positions that don't alike into NaN.
fn to_half(numbers: &[f32], out: &mut [f16]) {
    let most = f16::MAX.to_f32();
    if numbers.iter().all(|x| x.abs() <= most) {
        out.convert_from_f32_slice(numbers);
    } else {
        for (x, out) in numbers.iter().zip(out) {
            *out = f16::from_f32(x.clamp(-most, most));
        }
    }
}

fn scale_of(numbers: &[f32]) -> f32 {
    numbers.iter().fold(0f32, |most, x| most.max(x.abs())) / 127.0
}

fn to_eighth(x: f32, scale: f32) -> i8 {
    if scale > 0.0 {
        (x / scale).round_ties_even() as i8
    } else {
        0
    }
}
