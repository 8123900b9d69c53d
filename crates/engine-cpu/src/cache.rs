//! Keys and values of the positions so far, in pages.
//!
//! A page holds [`PAGE`] positions of all heads of one layer, as integers with a scale for each head's
//! key and value at each position. Keys lie with their positions side by side, so that scores of
//! sixteen positions are computed at once; values lie with their dimensions side by side. Two
//! dimensions of a key, and two positions of a value, are neighbours, as products of pairs take them.
//! A fork shares its pages until one of the two writes.

use engine_core::{Error, KvType, Result, StateType};

use crate::kernels::{ContextPage, Integers, KeyLanes, MOST, PAGE, SMALLEST_SCALE, ValueRows};

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
    /// Sixteen bits, of which thirteen are used: more, and sums of products would not fit.
    Sixteen,
    Eight,
}

impl From<KvType> for PageKind {
    fn from(kind: KvType) -> Self {
        match kind {
            KvType::Q8 => Self::Eight,
            _ => Self::Sixteen,
        }
    }
}

impl PageKind {
    /// The largest integer.
    pub(crate) const fn most(self) -> f32 {
        match self {
            Self::Sixteen => MOST,
            Self::Eight => 127.0,
        }
    }
}

impl PageShape {
    /// Bytes of a page.
    pub(crate) const fn bytes(&self) -> u64 {
        let numbers = 2 * (self.kv_heads * self.head_dim * PAGE) as u64;
        let scales = 2 * (self.kv_heads * PAGE * size_of::<f32>()) as u64;
        match self.kind {
            PageKind::Sixteen => 2 * numbers + scales,
            PageKind::Eight => numbers + scales,
        }
    }

    /// The arrays of a page: name, type, dimensions.
    pub(crate) fn arrays(&self) -> [(&'static str, StateType, Vec<usize>); 4] {
        let numbers = match self.kind {
            PageKind::Sixteen => StateType::I16,
            PageKind::Eight => StateType::I8,
        };
        let (heads, dims) = (self.kv_heads, self.head_dim);
        let scales = || vec![heads, PAGE];
        [
            ("keys", numbers, vec![heads, dims / 2, PAGE, 2]),
            ("values", numbers, vec![heads, PAGE / 2, dims, 2]),
            ("key_scales", StateType::F32, scales()),
            ("value_scales", StateType::F32, scales()),
        ]
    }

    const fn head(&self) -> usize {
        self.head_dim * PAGE
    }
}

/// [`PAGE`] positions of a layer.
#[derive(Debug)]
pub(crate) struct Page {
    shape: PageShape,
    keys: Stored,
    values: Stored,
}

/// All heads' integers and scales.
#[derive(Debug)]
struct Stored {
    integers: StoredIntegers,
    scales: Vec<f32>,
}

#[derive(Debug)]
enum StoredIntegers {
    Sixteen(Vec<i16>),
    Eight(Vec<i8>),
}

impl Stored {
    fn zeros(shape: PageShape) -> Result<Self> {
        let all = shape.kv_heads * shape.head();
        Ok(Self {
            integers: match shape.kind {
                PageKind::Sixteen => StoredIntegers::Sixteen(zeros(all)?),
                PageKind::Eight => StoredIntegers::Eight(zeros(all)?),
            },
            scales: zeros(shape.kv_heads * PAGE)?,
        })
    }

    fn copy(&self) -> Result<Self> {
        Ok(Self {
            integers: match &self.integers {
                StoredIntegers::Sixteen(integers) => StoredIntegers::Sixteen(copy(integers)?),
                StoredIntegers::Eight(integers) => StoredIntegers::Eight(copy(integers)?),
            },
            scales: copy(&self.scales)?,
        })
    }

    fn bytes(&self) -> [&[u8]; 2] {
        let integers = match &self.integers {
            StoredIntegers::Sixteen(integers) => bytemuck::cast_slice(integers),
            StoredIntegers::Eight(integers) => bytemuck::cast_slice(integers),
        };
        [integers, bytemuck::cast_slice(&self.scales)]
    }

    fn bytes_mut(&mut self) -> [&mut [u8]; 2] {
        let integers = match &mut self.integers {
            StoredIntegers::Sixteen(integers) => bytemuck::cast_slice_mut(integers),
            StoredIntegers::Eight(integers) => bytemuck::cast_slice_mut(integers),
        };
        [integers, bytemuck::cast_slice_mut(&mut self.scales)]
    }

    /// Puts pairs of integers, or single ones, where `places` says.
    fn set(&mut self, integers: &[i16], places: impl Iterator<Item = usize>) {
        match &mut self.integers {
            StoredIntegers::Sixteen(all) => {
                for (x, place) in integers.iter().zip(places) {
                    all[place] = *x;
                }
            }
            StoredIntegers::Eight(all) => {
                for (x, place) in integers.iter().zip(places) {
                    // None is beyond `PageKind::most`.
                    all[place] = *x as i8;
                }
            }
        }
    }

    fn page(&self, head: usize, shape: PageShape) -> ContextPage<'_> {
        let range = head * shape.head()..(head + 1) * shape.head();
        ContextPage {
            integers: match &self.integers {
                StoredIntegers::Sixteen(integers) => Integers::Sixteen(&integers[range]),
                StoredIntegers::Eight(integers) => Integers::Eight(&integers[range]),
            },
            scales: &self.scales[head * PAGE..(head + 1) * PAGE],
        }
    }
}

impl Page {
    /// A page of zeros.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if the system has no memory left.
    pub(crate) fn new(shape: PageShape) -> Result<Self> {
        Ok(Self {
            shape,
            keys: Stored::zeros(shape)?,
            values: Stored::zeros(shape)?,
        })
    }

    /// Another page with the same content.
    ///
    /// # Errors
    /// As [`Page::new`]'s.
    pub(crate) fn copy(&self) -> Result<Self> {
        Ok(Self {
            shape: self.shape,
            keys: self.keys.copy()?,
            values: self.values.copy()?,
        })
    }

    /// The largest integer that it takes.
    pub(crate) const fn most(&self) -> f32 {
        self.shape.kind.most()
    }

    /// Its arrays as bytes, in the order of [`PageShape::arrays`].
    pub(crate) fn bytes(&self) -> [&[u8]; 4] {
        let ([keys, key_scales], [values, value_scales]) = (self.keys.bytes(), self.values.bytes());
        [keys, values, key_scales, value_scales]
    }

    /// Its arrays as bytes that may be written.
    pub(crate) fn bytes_mut(&mut self) -> [&mut [u8]; 4] {
        let ([keys, key_scales], [values, value_scales]) =
            (self.keys.bytes_mut(), self.values.bytes_mut());
        [keys, values, key_scales, value_scales]
    }

    /// Whether its integers, and the scales of the first `used` positions, are such as
    /// [`Page::write_key`] and [`Page::write_value`] get of finite numbers.
    pub(crate) fn is_sound(&self, used: usize) -> bool {
        let most = self.shape.kind.most() as u16;
        [&self.keys, &self.values].iter().all(|stored| {
            let within = match &stored.integers {
                StoredIntegers::Sixteen(all) => all.iter().all(|x| x.unsigned_abs() <= most),
                StoredIntegers::Eight(all) => all.iter().all(|x| *x != i8::MIN),
            };
            let mut heads = stored.scales.chunks_exact(PAGE);
            within
                && heads.all(|scales| {
                    let used = &scales[..used];
                    used.iter().all(|x| x.is_finite() && *x >= SMALLEST_SCALE)
                })
        })
    }

    /// Writes the key of one head at one place: its integers and their scale.
    pub(crate) fn write_key(&mut self, head: usize, place: usize, key: (&[i16], f32)) {
        let first = head * self.shape.head() + 2 * place;
        let places = (first..)
            .step_by(2 * PAGE)
            .flat_map(|pair| [pair, pair + 1]);
        self.keys.set(key.0, places);
        self.keys.scales[head * PAGE + place] = key.1;
    }

    /// Writes the value of one head at one place: its integers and their scale.
    pub(crate) fn write_value(&mut self, head: usize, place: usize, value: (&[i16], f32)) {
        let row = 2 * self.shape.head_dim;
        let first = head * self.shape.head() + place / 2 * row + place % 2;
        self.values.set(value.0, (first..).step_by(2));
        self.values.scales[head * PAGE + place] = value.1;
    }

    /// The keys of one head.
    pub(crate) fn keys(&self, head: usize) -> KeyLanes<'_> {
        KeyLanes {
            head_dim: self.shape.head_dim,
            page: self.keys.page(head, self.shape),
        }
    }

    /// The values of one head at the first `used` positions.
    pub(crate) fn values(&self, head: usize, used: usize) -> ValueRows<'_> {
        ValueRows {
            head_dim: self.shape.head_dim,
            used,
            page: self.values.page(head, self.shape),
        }
    }
}

fn copy<T: Clone + Copy>(numbers: &[T]) -> Result<Vec<T>> {
    let mut copy = reserved(numbers.len())?;
    copy.extend_from_slice(numbers);
    Ok(copy)
}

fn zeros<T: Clone + Default>(count: usize) -> Result<Vec<T>> {
    let mut zeros = reserved(count)?;
    zeros.resize(count, T::default());
    Ok(zeros)
}

fn reserved<T>(count: usize) -> Result<Vec<T>> {
    let mut numbers = Vec::new();
    numbers
        .try_reserve_exact(count)
        .map_err(|error| Error::OutOfMemory {
            purpose: "the KV cache".to_owned(),
            reason: error.to_string(),
        })?;
    Ok(numbers)
}
