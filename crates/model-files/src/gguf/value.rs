//! Metadata values: numbers, booleans, strings, and arrays of one type.

use super::{cursor::Cursor, header::GgufError};

/// Arrays in arrays are allowed by the format, but no writer goes deeper than two.
const MAX_NESTING: usize = 4;

/// A metadata value.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each variant is the type that it is named for")]
pub enum MetadataValue {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    U64(u64),
    I64(i64),
    F32(f32),
    F64(f64),
    Bool(bool),
    String(String),
    Array(Array),
}

/// A metadata array: all elements are of one type.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each variant is the type that it is named for")]
pub enum Array {
    U8(Vec<u8>),
    I8(Vec<i8>),
    U16(Vec<u16>),
    I16(Vec<i16>),
    U32(Vec<u32>),
    I32(Vec<i32>),
    U64(Vec<u64>),
    I64(Vec<i64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    Bool(Vec<bool>),
    String(Vec<String>),
    Array(Vec<Array>),
}

impl MetadataValue {
    /// The number, if it is a whole one that is not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            Self::U8(value) => Some(value.into()),
            Self::U16(value) => Some(value.into()),
            Self::U32(value) => Some(value.into()),
            Self::U64(value) => Some(value),
            Self::I8(value) => value.try_into().ok(),
            Self::I16(value) => value.try_into().ok(),
            Self::I32(value) => value.try_into().ok(),
            Self::I64(value) => value.try_into().ok(),
            _ => None,
        }
    }

    /// The number, if it is a floating-point one.
    ///
    /// A single is widened by way of its shortest decimal form, so that 1e-5 stays 1e-5.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::F32(value) => value.to_string().parse().ok(),
            Self::F64(value) => Some(*value),
            _ => None,
        }
    }

    /// The truth value, if it is one.
    pub const fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(value) => Some(value),
            _ => None,
        }
    }

    /// The strings, if it is an array of them.
    pub fn as_strings(&self) -> Option<&[String]> {
        match self {
            Self::Array(Array::String(values)) => Some(values),
            _ => None,
        }
    }

    /// The array, if it is one.
    pub const fn as_array(&self) -> Option<&Array> {
        match self {
            Self::Array(values) => Some(values),
            _ => None,
        }
    }

    /// The type's name, for messages.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::U8(_) => "u8",
            Self::I8(_) => "i8",
            Self::U16(_) => "u16",
            Self::I16(_) => "i16",
            Self::U32(_) => "u32",
            Self::I32(_) => "i32",
            Self::U64(_) => "u64",
            Self::I64(_) => "i64",
            Self::F32(_) => "f32",
            Self::F64(_) => "f64",
            Self::Bool(_) => "a boolean",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
        }
    }

    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, GgufError> {
        const WHAT: &str = "a metadata value";
        let number = cursor.u32("a metadata value's type")?;
        Ok(match number {
            0 => Self::U8(u8::from_le_bytes(cursor.array(WHAT)?)),
            1 => Self::I8(i8::from_le_bytes(cursor.array(WHAT)?)),
            2 => Self::U16(u16::from_le_bytes(cursor.array(WHAT)?)),
            3 => Self::I16(i16::from_le_bytes(cursor.array(WHAT)?)),
            4 => Self::U32(cursor.u32(WHAT)?),
            5 => Self::I32(i32::from_le_bytes(cursor.array(WHAT)?)),
            6 => Self::F32(f32::from_le_bytes(cursor.array(WHAT)?)),
            7 => Self::Bool(boolean(cursor)?),
            8 => Self::String(cursor.string(usize::MAX, "a metadata string")?.to_owned()),
            9 => Self::Array(Array::parse(cursor, 1)?),
            10 => Self::U64(cursor.u64(WHAT)?),
            11 => Self::I64(i64::from_le_bytes(cursor.array(WHAT)?)),
            12 => Self::F64(f64::from_le_bytes(cursor.array(WHAT)?)),
            other => return Err(cursor.error(format!("{other} is not a metadata type"))),
        })
    }
}

impl Array {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(values) => values.len(),
            Self::I8(values) => values.len(),
            Self::U16(values) => values.len(),
            Self::I16(values) => values.len(),
            Self::U32(values) => values.len(),
            Self::I32(values) => values.len(),
            Self::U64(values) => values.len(),
            Self::I64(values) => values.len(),
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
            Self::Bool(values) => values.len(),
            Self::String(values) => values.len(),
            Self::Array(values) => values.len(),
        }
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements, if they are integers that fit.
    pub fn to_i64s(&self) -> Option<Vec<i64>> {
        Some(match self {
            Self::U8(values) => values.iter().map(|value| i64::from(*value)).collect(),
            Self::I8(values) => values.iter().map(|value| i64::from(*value)).collect(),
            Self::U16(values) => values.iter().map(|value| i64::from(*value)).collect(),
            Self::I16(values) => values.iter().map(|value| i64::from(*value)).collect(),
            Self::U32(values) => values.iter().map(|value| i64::from(*value)).collect(),
            Self::I32(values) => values.iter().map(|value| i64::from(*value)).collect(),
            Self::I64(values) => values.clone(),
            Self::U64(values) => values
                .iter()
                .map(|value| i64::try_from(*value).ok())
                .collect::<Option<_>>()?,
            _ => return None,
        })
    }

    fn parse(cursor: &mut Cursor<'_>, depth: usize) -> Result<Self, GgufError> {
        const LENGTH: &str = "a metadata array's length";
        let number = cursor.u32("a metadata array's element type")?;
        Ok(match number {
            0 => Self::U8(numbers(cursor, u8::from_le_bytes)?),
            1 => Self::I8(numbers(cursor, i8::from_le_bytes)?),
            2 => Self::U16(numbers(cursor, u16::from_le_bytes)?),
            3 => Self::I16(numbers(cursor, i16::from_le_bytes)?),
            4 => Self::U32(numbers(cursor, u32::from_le_bytes)?),
            5 => Self::I32(numbers(cursor, i32::from_le_bytes)?),
            6 => Self::F32(numbers(cursor, f32::from_le_bytes)?),
            10 => Self::U64(numbers(cursor, u64::from_le_bytes)?),
            11 => Self::I64(numbers(cursor, i64::from_le_bytes)?),
            12 => Self::F64(numbers(cursor, f64::from_le_bytes)?),
            7 => {
                let count = cursor.count(1, LENGTH)?;
                Self::Bool(
                    (0..count)
                        .map(|_| boolean(cursor))
                        .collect::<Result<_, _>>()?,
                )
            }
            8 => {
                let count = cursor.count(8, LENGTH)?;
                let text = |_| {
                    cursor
                        .string(usize::MAX, "a metadata string")
                        .map(str::to_owned)
                };
                Self::String((0..count).map(text).collect::<Result<_, _>>()?)
            }
            9 if depth >= MAX_NESTING => {
                return Err(cursor.error(format!(
                    "metadata arrays are nested more than {MAX_NESTING} deep"
                )));
            }
            9 => {
                let count = cursor.count(12, LENGTH)?;
                let array = |_| Self::parse(cursor, depth + 1);
                Self::Array((0..count).map(array).collect::<Result<_, _>>()?)
            }
            other => return Err(cursor.error(format!("{other} is not a metadata type"))),
        })
    }
}

fn boolean(cursor: &mut Cursor<'_>) -> Result<bool, GgufError> {
    match cursor.array("a metadata value")? {
        [0] => Ok(false),
        [1] => Ok(true),
        [other] => Err(cursor.error(format!("a boolean is {other}, neither 0 nor 1"))),
    }
}

fn numbers<T, const N: usize>(
    cursor: &mut Cursor<'_>,
    from_bytes: fn([u8; N]) -> T,
) -> Result<Vec<T>, GgufError> {
    let count = cursor.count(N, "a metadata array's length")?;
    // `count` has been checked against the bytes that are left, so this can't overflow.
    let bytes = cursor.take(count * N, "a metadata array")?;
    let (chunks, _) = bytes.as_chunks::<N>();
    Ok(chunks.iter().map(|chunk| from_bytes(*chunk)).collect())
}
