//! What kernels read of matrices and activations: tiles and rows.

use super::LANES;

/// How many rows of quantized activations may lie together, most first.
///
/// With sixteen, AVX-512 has too few registers for the sums: a row takes a tenth longer.
pub(crate) const ROWS_TOGETHER: [usize; 4] = [8, 4, 2, 1];

/// How many bits a weight takes in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    /// Four: two weights in a byte.
    Nibble,
    /// Eight.
    Byte,
}

impl Width {
    /// Bytes of a tile with this many columns.
    pub(crate) const fn tile_bytes(self, columns: usize) -> usize {
        match self {
            Self::Nibble => columns * LANES / 2,
            Self::Byte => columns * LANES,
        }
    }
}

/// Numbers in the type in which a file stores them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Numbers<'a> {
    F16(&'a [u16]),
    Bf16(&'a [u16]),
    F32(&'a [f32]),
}

impl<'a> Numbers<'a> {
    pub(crate) const fn len(&self) -> usize {
        match self {
            Self::F16(bits) | Self::Bf16(bits) => bits.len(),
            Self::F32(numbers) => numbers.len(),
        }
    }

    /// The same as bytes.
    pub(crate) fn bytes(&self) -> &'a [u8] {
        match self {
            Self::F16(bits) | Self::Bf16(bits) => bytemuck::cast_slice(bits),
            Self::F32(numbers) => bytemuck::cast_slice(numbers),
        }
    }

    /// Some of them.
    pub(crate) fn slice(&self, range: std::ops::Range<usize>) -> Numbers<'a> {
        match self {
            Self::F16(bits) => Numbers::F16(&bits[range]),
            Self::Bf16(bits) => Numbers::Bf16(&bits[range]),
            Self::F32(numbers) => Numbers::F32(&numbers[range]),
        }
    }

    #[inline]
    pub(crate) fn get(&self, index: usize) -> f32 {
        match self {
            Self::F16(bits) => half::f16::from_bits(bits[index]).to_f32(),
            Self::Bf16(bits) => f32::from_bits(u32::from(bits[index]) << 16),
            Self::F32(numbers) => numbers[index],
        }
    }
}

/// What is added to `scale * q`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Offset<'a> {
    /// A number of its own for each group.
    Biases(Numbers<'a>),
    /// `-zero * scale`.
    Zero(f32),
}

/// Tiles of a matrix of affine weights `w = scale * q + bias`, with unsigned `q`.
///
/// A tile is [`LANES`] rows. Its weights lie in lines of 64 bytes, in which four bytes belong to a
/// row: with eight bits a weight, columns `4 j` to `4 j + 3` in line `j`; with four bits, columns
/// `8 j` to `8 j + 3` in the low halves and `8 j + 4` to `8 j + 7` in the high halves.
/// Scales and biases are `[tiles, groups, LANES]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AffineTiles<'a> {
    pub(crate) width: Width,
    pub(crate) columns: usize,
    /// Columns that share a scale: a multiple of the block.
    pub(crate) group: usize,
    pub(crate) block: Blocks,
    pub(crate) quants: &'a [u8],
    pub(crate) scales: Numbers<'a>,
    pub(crate) offset: Offset<'a>,
}

impl AffineTiles<'_> {
    pub(crate) const fn tiles(&self) -> usize {
        self.quants.len() / self.width.tile_bytes(self.columns)
    }

    pub(crate) const fn groups(&self) -> usize {
        self.columns / self.group
    }

    /// Panics unless the sizes fit together, so that kernels may rely on them.
    pub(crate) fn check(&self, groups: &[&QuantizedRows], out: &[f32]) {
        let block = self.block.len();
        let tile_bytes = self.width.tile_bytes(self.columns);
        let numbers = self.tiles() * self.groups() * LANES;
        assert!(
            self.group > 0
                && self.columns.is_multiple_of(self.group)
                && self.group.is_multiple_of(block)
        );
        assert!(self.quants.len().is_multiple_of(tile_bytes));
        assert_eq!(self.scales.len(), numbers);
        if let Offset::Biases(biases) = &self.offset {
            assert_eq!(biases.len(), numbers);
        }
        let rows: usize = groups.iter().map(|group| group.rows).sum();
        assert_eq!(out.len(), self.tiles() * rows * LANES);
        for group in groups {
            assert_eq!(group.block, self.block);
            assert_eq!(group.precision, groups[0].precision);
            assert_eq!(group.columns, self.columns);
            assert!(ROWS_TOGETHER.contains(&group.rows));
            assert_eq!(
                group.words.len(),
                self.columns / block * group.block_words()
            );
        }
    }
}

/// Tiles of a matrix of plain numbers, `[tiles, columns, LANES]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlainTiles<'a> {
    pub(crate) columns: usize,
    pub(crate) numbers: Numbers<'a>,
}

impl PlainTiles<'_> {
    pub(crate) const fn tiles(&self) -> usize {
        self.numbers.len() / (self.columns * LANES)
    }

    /// Panics unless the sizes fit together.
    pub(crate) fn check(&self, rows: &[&[f32]], out: &[f32]) {
        assert!(self.numbers.len().is_multiple_of(self.columns * LANES));
        assert_eq!(out.len(), self.tiles() * rows.len() * LANES);
        assert!(rows.iter().all(|row| row.len() == self.columns));
    }
}

/// Activations that share a scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blocks {
    Of16,
    Of32,
}

impl Blocks {
    pub(crate) const fn len(self) -> usize {
        match self {
            Self::Of16 => 16,
            Self::Of32 => 32,
        }
    }
}

/// How exactly activations are rounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Precision {
    /// To eight bits.
    #[default]
    Eight,
    /// To fifteen bits, `128 * upper + lower`: two bytes, and two products, for each.
    Fifteen,
}

impl Precision {
    /// Bytes of a value.
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::Eight => 1,
            Self::Fifteen => 2,
        }
    }

    /// The largest value. Both of its bytes are signed.
    pub(super) const fn largest(self) -> f32 {
        match self {
            Self::Eight => 127.0,
            Self::Fifteen => 16_319.0,
        }
    }
}

/// Rows of rounded activations, `x = scale * value`, that kernels take together.
///
/// The rows lie block by block, so that a kernel reads them in one stream: for each block the values
/// of all rows, four in a word from the lowest byte up (with fifteen bits, for each row first the
/// upper bytes and then the lower ones), then the scale of each row, then the sum of each row's
/// activations as rounded; scales and sums are the bits of f32.
#[derive(Clone, Debug)]
pub(crate) struct QuantizedRows {
    pub(crate) block: Blocks,
    pub(crate) precision: Precision,
    rows: usize,
    columns: usize,
    words: Vec<u32>,
}

impl QuantizedRows {
    pub(crate) const fn new(block: Blocks) -> Self {
        Self {
            block,
            precision: Precision::Eight,
            rows: 0,
            columns: 0,
            words: Vec::new(),
        }
    }

    /// Makes room for some rows of `columns`, a multiple of the block.
    pub(crate) fn resize(&mut self, rows: usize, columns: usize) {
        self.rows = rows;
        self.columns = columns;
        self.words
            .resize(columns / self.block.len() * self.block_words(), 0);
    }

    pub(crate) const fn rows(&self) -> usize {
        self.rows
    }

    /// Words of a block of all rows.
    const fn block_words(&self) -> usize {
        self.form().block_words()
    }

    /// Words of a row's values in a block.
    const fn row_words(&self) -> usize {
        self.form().row_words()
    }

    pub(super) fn words(&self) -> &[u32] {
        &self.words
    }

    /// All blocks, to be written.
    pub(crate) fn blocks_mut(&mut self) -> BlocksMut<'_> {
        BlocksMut {
            form: self.form(),
            words: &mut self.words,
        }
    }

    pub(crate) const fn form(&self) -> RowsForm {
        RowsForm {
            block: self.block,
            precision: self.precision,
            rows: self.rows,
        }
    }

    /// Values, scale and sum of a block of a row; the reverse of `set`.
    pub(super) fn get(&self, row: usize, block: usize) -> ([i8; 64], f32, f32) {
        let words = self.row_words();
        let start = block * self.block_words();
        let mut values = [0; 64];
        let (fours, _) = values.as_chunks_mut::<4>();
        let of_row = start + row * words;
        for (word, four) in self.words[of_row..of_row + words].iter().zip(fours) {
            *four = word.to_le_bytes().map(|byte| byte as i8);
        }
        let scale = self.words[start + self.rows * words + row];
        let sum = self.words[start + self.rows * (words + 1) + row];
        (values, f32::from_bits(scale), f32::from_bits(sum))
    }
}

/// How rows of rounded activations lie in memory; see [`QuantizedRows`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowsForm {
    pub(crate) block: Blocks,
    pub(crate) precision: Precision,
    pub(crate) rows: usize,
}

impl RowsForm {
    /// Words of a block of all rows.
    pub(crate) const fn block_words(&self) -> usize {
        self.rows * (self.row_words() + 2)
    }

    /// Words of a row's values in a block.
    pub(super) const fn row_words(&self) -> usize {
        self.block.len() / 4 * self.precision.bytes()
    }
}

/// Consecutive blocks of all rows, to be written.
#[derive(Debug)]
pub(crate) struct BlocksMut<'a> {
    pub(crate) form: RowsForm,
    pub(crate) words: &'a mut [u32],
}

impl BlocksMut<'_> {
    /// Where the values, the scale and the sum of a block of a row belong.
    #[inline]
    pub(super) fn block(&mut self, row: usize, block: usize) -> (&mut [u32], &mut u32, &mut u32) {
        let RowsForm { rows, .. } = self.form;
        let (of_row, of_block) = (self.form.row_words(), self.form.block_words());
        let words = &mut self.words[block * of_block..(block + 1) * of_block];
        let (values, rest) = words.split_at_mut(rows * of_row);
        let (scales, sums) = rest.split_at_mut(rows);
        (
            &mut values[row * of_row..(row + 1) * of_row],
            &mut scales[row],
            &mut sums[row],
        )
    }

    /// Writes a block of a row: its values, or their upper and then their lower bytes.
    #[inline]
    pub(super) fn set(&mut self, row: usize, block: usize, values: &[i8], scale: f32, sum: f32) {
        let (words, to_scale, to_sum) = self.block(row, block);
        let (fours, _) = values.as_chunks::<4>();
        for (word, four) in words.iter_mut().zip(fours) {
            *word = u32::from_le_bytes(four.map(|value| value as u8));
        }
        *to_scale = scale.to_bits();
        *to_sum = sum.to_bits();
    }
}
