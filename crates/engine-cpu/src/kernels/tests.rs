//! Every set of kernels against the portable one, over random shapes, odd sizes and extreme values.

mod attention;

use proptest::prelude::*;

use super::*;

/// The sets that are not the portable one. Where there are none, there is nothing to compare.
fn others() -> Vec<&'static dyn Kernels> {
    let mut sets = available();
    sets.pop();
    sets
}

/// Numbers that repeat, from a seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    /// Mostly small, sometimes 0, sometimes large.
    fn number(&mut self) -> f32 {
        match self.next() % 16 {
            0 => 0.0,
            1 => self.unit() * 1e4,
            _ => self.unit(),
        }
    }

    fn numbers(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.number()).collect()
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }

    /// Some of the extremes: all bits set, or none.
    fn extreme_bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count)
            .map(|_| {
                if self.next().is_multiple_of(2) {
                    255
                } else {
                    0
                }
            })
            .collect()
    }
}

/// Stored numbers of each kind.
enum Owned {
    F16(Vec<u16>),
    Bf16(Vec<u16>),
    F32(Vec<f32>),
}

impl Owned {
    fn new(kind: usize, numbers: &[f32]) -> Self {
        match kind {
            0 => Self::F16(
                numbers
                    .iter()
                    .map(|x| half::f16::from_f32(*x).to_bits())
                    .collect(),
            ),
            1 => Self::Bf16(
                numbers
                    .iter()
                    .map(|x| half::bf16::from_f32(*x).to_bits())
                    .collect(),
            ),
            _ => Self::F32(numbers.to_vec()),
        }
    }

    fn view(&self) -> Numbers<'_> {
        match self {
            Self::F16(bits) => Numbers::F16(bits),
            Self::Bf16(bits) => Numbers::Bf16(bits),
            Self::F32(numbers) => Numbers::F32(numbers),
        }
    }
}

/// Agreement up to the rounding of sums whose terms are of this magnitude.
#[track_caller]
fn assert_near(what: &str, got: &[f32], expected: &[f32], magnitude: f32) {
    assert_eq!(got.len(), expected.len());
    for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
        let allowed = magnitude * 1e-5 + 1e-12;
        assert!(
            (got - expected).abs() <= allowed || (got.is_nan() && expected.is_nan()),
            "{what}: number {index} is {got} instead of {expected}"
        );
    }
}

/// Rows in groups that kernels take together.
fn quantized(
    kernels: &dyn Kernels,
    (block, precision): (Blocks, Precision),
    columns: usize,
    rows: &[f32],
) -> Vec<QuantizedRows> {
    let mut groups = Vec::new();
    let mut rest = rows;
    while !rest.is_empty() {
        let left = rest.len() / columns;
        let together = ROWS_TOGETHER
            .into_iter()
            .find(|together| *together <= left)
            .unwrap();
        let (some, others) = rest.split_at(together * columns);
        let mut group = QuantizedRows::new(block);
        group.precision = precision;
        kernels.quantize(some, columns, &mut group);
        groups.push(group);
        rest = others;
    }
    groups
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn affine_products_agree(
        seed: u64,
        bytes: bool,
        of_16: bool,
        centred: bool,
        extreme: bool,
        wide: bool,
        kind in 0usize..3,
        tiles in 1usize..4,
        groups in 1usize..5,
        blocks_per_group in 1usize..5,
        rows in 1usize..40,
    ) {
        let mut random = Random(seed);
        let block = if of_16 { Blocks::Of16 } else { Blocks::Of32 };
        let precision = if wide { Precision::Fifteen } else { Precision::Eight };
        let form = (block, precision);
        let width = if bytes { Width::Byte } else { Width::Nibble };
        let group = blocks_per_group * block.len();
        let columns = groups * group;
        let size = tiles * width.tile_bytes(columns);
        let quants = if extreme { random.extreme_bytes(size) } else { random.bytes(size) };
        let numbers = tiles * groups * LANES;
        let scales = Owned::new(kind, &random.numbers(numbers));
        let biases = Owned::new(kind, &random.numbers(numbers));
        let view = AffineTiles {
            width,
            columns,
            group,
            block,
            quants: &quants,
            scales: scales.view(),
            offset: if centred {
                Offset::Zero(if bytes { 128.0 } else { 8.0 })
            } else {
                Offset::Biases(biases.view())
            },
        };
        let inputs: Vec<f32> = if extreme {
            (0..rows * columns).map(|_| if random.unit() > 0.0 { 1.0 } else { -1.0 }).collect()
        } else {
            random.numbers(rows * columns)
        };
        let groups = quantized(&portable::Portable, form, columns, &inputs);
        let refs: Vec<_> = groups.iter().collect();
        let before = random.numbers(tiles * rows * LANES);
        let mut expected = before.clone();
        portable::Portable.affine(&view, &refs, &mut expected);
        // Sums of products of numbers up to 10^4 each, with quants up to 255.
        let largest = inputs.iter().fold(0f32, |most, x| most.max(x.abs()));
        let magnitude = largest * 1e4 * 256.0 * (columns as f32).sqrt();
        for kernels in others() {
            let mut got = before.clone();
            kernels.affine(&view, &refs, &mut got);
            assert_near(kernels.name(), &got, &expected, magnitude);
            // Alone, a row gives exactly what it gives among others.
            for (index, row) in inputs.chunks_exact(columns).enumerate() {
                let row = quantized(&portable::Portable, form, columns, row);
                let panel = |tile: usize| (tile * rows + index) * LANES;
                let mut alone: Vec<f32> = (0..tiles)
                    .flat_map(|tile| before[panel(tile)..panel(tile) + LANES].to_vec())
                    .collect();
                kernels.affine(&view, &[&row[0]], &mut alone);
                for tile in 0..tiles {
                    prop_assert_eq!(
                        &alone[tile * LANES..(tile + 1) * LANES],
                        &got[panel(tile)..panel(tile) + LANES]
                    );
                }
            }
        }
    }

    #[test]
    fn plain_products_agree(
        seed: u64,
        kind in 0usize..3,
        tiles in 1usize..4,
        columns in 1usize..70,
        rows in 1usize..20,
    ) {
        let mut random = Random(seed);
        let numbers: Vec<f32> = (0..tiles * columns * LANES).map(|_| random.unit()).collect();
        let numbers = Owned::new(kind, &numbers);
        let view = PlainTiles { columns, numbers: numbers.view() };
        let inputs: Vec<_> = (0..rows).map(|_| random.numbers(columns)).collect();
        let refs: Vec<_> = inputs.iter().map(|row| &row[..]).collect();
        let mut expected = vec![0.0; tiles * rows * LANES];
        portable::Portable.plain(&view, &refs, &mut expected);
        for kernels in others() {
            let mut got = vec![0.0; expected.len()];
            kernels.plain(&view, &refs, &mut got);
            assert_near(kernels.name(), &got, &expected, 1e4 * columns as f32);
            for (index, row) in refs.iter().enumerate() {
                let mut alone = vec![0.0; tiles * LANES];
                kernels.plain(&view, &[row], &mut alone);
                for tile in 0..tiles {
                    let panel = (tile * rows + index) * LANES;
                    prop_assert_eq!(&alone[tile * LANES..(tile + 1) * LANES], &got[panel..panel + LANES]);
                }
            }
        }
    }

    #[test]
    fn quantizing_agrees_and_comes_near(seed: u64, of_16: bool, wide: bool, blocks in 1usize..9, power in -20i32..20) {
        let mut random = Random(seed);
        let block = if of_16 { Blocks::Of16 } else { Blocks::Of32 };
        let row: Vec<f32> = random
            .numbers(blocks * block.len())
            .iter()
            .map(|x| x * 2f32.powi(power))
            .collect();
        let precision = if wide { Precision::Fifteen } else { Precision::Eight };
        let of = |kernels: &dyn Kernels| {
            let group = quantized(kernels, (block, precision), row.len(), &row).remove(0);
            let blocks: Vec<_> = (0..blocks).map(|index| group.get(0, index)).collect();
            blocks
        };
        let expected = of(&portable::Portable);
        for (index, x) in row.iter().enumerate() {
            let (values, scale, _) = expected[index / block.len()];
            let mut value = f32::from(values[index % block.len()]);
            if wide {
                value = 128.0 * value + f32::from(values[block.len() + index % block.len()]);
            }
            let back = scale * value;
            prop_assert!((x - back).abs() <= scale * 0.502, "{} became {}", x, back);
        }
        for kernels in others() {
            prop_assert_eq!(of(kernels), expected.clone());
        }
    }

    #[test]
    fn rounding_what_tiles_give_is_rounding_rows(
        seed: u64,
        of_16: bool,
        wide: bool,
        blocks in 1usize..6,
        rows in proptest::sample::select(&ROWS_TOGETHER[..]),
    ) {
        let block = if of_16 { Blocks::Of16 } else { Blocks::Of32 };
        let columns = blocks * block.len();
        let numbers = Random(seed).numbers(rows * columns);
        let mut panels = Vec::new();
        for first in (0..columns).step_by(LANES) {
            for row in numbers.chunks_exact(columns) {
                panels.extend_from_slice(&row[first..first + LANES]);
            }
        }
        for kernels in available() {
            let [mut whole, mut tiled] = [(); 2].map(|()| QuantizedRows::new(block));
            for group in [&mut whole, &mut tiled] {
                group.precision = if wide { Precision::Fifteen } else { Precision::Eight };
            }
            kernels.quantize(&numbers, columns, &mut whole);
            tiled.resize(rows, columns);
            kernels.quantize_panels(&panels, &mut tiled.blocks_mut());
            prop_assert_eq!(whole.words(), tiled.words(), "{}", kernels.name());
        }
    }

    #[test]
    fn norms_and_activations_agree(seed: u64, columns in 1usize..200) {
        let mut random = Random(seed);
        let row = random.numbers(columns);
        let weight = random.numbers(columns);
        let normed = |kernels: &dyn Kernels| {
            let mut row = row.clone();
            kernels.rms_norm(&mut row, &weight, 1e-5);
            row
        };
        let activated = |kernels: &dyn Kernels| {
            let mut gate = row.clone();
            kernels.silu_mul(&mut gate, &weight);
            gate
        };
        for kernels in others() {
            assert_near(kernels.name(), &normed(kernels), &normed(&portable::Portable), 1e6);
            assert_near(kernels.name(), &activated(kernels), &activated(&portable::Portable), 1e6);
        }
    }
}

#[test]
fn what_is_no_number_stays_none() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for kernels in available() {
            let mut row = vec![1.0; 64];
            row[40] = bad;
            let row = &quantized(kernels, (Blocks::Of32, Precision::Eight), 64, &row)[0];
            assert!(row.get(0, 0).1.is_finite(), "{}", kernels.name());
            assert!(row.get(0, 1).1.is_nan(), "{}", kernels.name());
        }
    }
}
