//! Kernels in plain Rust: the reference for the others, and what runs where they can't.

use super::{
    AffineTiles, BlocksMut, ContextPage, Kernels, KeyLanes, LANES, Offset, PAGE, PageScores,
    PlainTiles, Precision, QuantizedRows, RoundedQueries, Softmaxes, ValueRows, Width,
    context::DIMS_TOGETHER, elementwise,
};

/// Runs everywhere.
#[derive(Debug)]
pub(super) struct Portable;

impl Kernels for Portable {
    fn name(&self) -> &'static str {
        "portable"
    }

    fn affine(&self, tiles: &AffineTiles<'_>, groups: &[&QuantizedRows], out: &mut [f32]) {
        tiles.check(groups, out);
        let mut outputs = out.chunks_exact_mut(LANES);
        for tile in 0..tiles.tiles() {
            let rows = groups
                .iter()
                .flat_map(|group| (0..group.rows()).map(move |row| (group, row)));
            for ((group, row), out) in rows.zip(&mut outputs) {
                let sums = affine_row(tiles, tile, group, row);
                for (out, sum) in out.iter_mut().zip(sums) {
                    *out += sum;
                }
            }
        }
    }

    fn plain(&self, tiles: &PlainTiles<'_>, rows: &[&[f32]], out: &mut [f32]) {
        tiles.check(rows, out);
        let mut outputs = out.chunks_exact_mut(LANES);
        for tile in 0..tiles.tiles() {
            let start = tile * tiles.columns * LANES;
            for (row, out) in rows.iter().zip(&mut outputs) {
                let mut sums = [0f32; LANES];
                for (column, x) in row.iter().enumerate() {
                    let first = start + column * LANES;
                    for (lane, sum) in sums.iter_mut().enumerate() {
                        *sum += tiles.numbers.get(first + lane) * x;
                    }
                }
                for (out, sum) in out.iter_mut().zip(sums) {
                    *out += sum;
                }
            }
        }
    }

    fn quantize(&self, rows: &[f32], columns: usize, out: &mut QuantizedRows) {
        elementwise::quantize(rows, columns, out);
    }

    fn quantize_panels(&self, panels: &[f32], out: &mut BlocksMut<'_>) {
        elementwise::quantize_panels(panels, out);
    }

    fn rms_norm(&self, row: &mut [f32], weight: &[f32], eps: f32) {
        elementwise::rms_norm(row, weight, eps);
    }

    fn silu_mul(&self, gate: &mut [f32], up: &[f32]) {
        elementwise::silu_mul(gate, up);
    }

    fn round(&self, numbers: &[f32], most: f32, out: &mut [i16]) -> f32 {
        elementwise::round_row(numbers, most, out)
    }

    fn scores(
        &self,
        queries: &RoundedQueries,
        keys: &KeyLanes<'_>,
        _: Option<&ContextPage<'_>>,
        out: &mut [f32],
    ) {
        keys.check(queries, out);
        let rows = queries.integers.chunks_exact(keys.head_dim);
        let rows = rows.zip(&queries.scales);
        for ((query, scale), out) in rows.zip(out.chunks_exact_mut(PAGE)) {
            out.fill(0.0);
            for (block, query) in query.chunks(DIMS_TOGETHER).enumerate() {
                let mut sums = [0i32; PAGE];
                for (dim, q) in query.iter().enumerate() {
                    let dim = block * DIMS_TOGETHER + dim;
                    for (position, sum) in sums.iter_mut().enumerate() {
                        let key = (dim / 2 * PAGE + position) * 2 + dim % 2;
                        let product = i32::from(*q) * keys.page.integers.get(key);
                        *sum = sum.wrapping_add(product);
                    }
                }
                for ((out, sum), key_scale) in out.iter_mut().zip(sums).zip(keys.page.scales) {
                    *out += sum as f32 * key_scale * scale;
                }
            }
        }
    }

    fn softmax_step(&self, page: &PageScores<'_>, softmaxes: &mut Softmaxes) {
        elementwise::softmax_step(page, softmaxes);
    }

    fn accumulate(
        &self,
        softmaxes: &Softmaxes,
        values: &ValueRows<'_>,
        _: Option<&ContextPage<'_>>,
        out: &mut [f32],
    ) {
        values.check(softmaxes, out);
        let factors = softmaxes.shrink.iter().zip(&softmaxes.units);
        let rows = softmaxes.weights.chunks_exact(PAGE).zip(factors);
        for ((weights, (shrink, unit)), out) in rows.zip(out.chunks_exact_mut(values.head_dim)) {
            for (dim, out) in out.iter_mut().enumerate() {
                let mut sum = 0i32;
                for (position, weight) in weights[..values.used].iter().enumerate() {
                    let value = (position / 2 * values.head_dim + dim) * 2 + position % 2;
                    let product = i32::from(*weight) * values.page.integers.get(value);
                    sum = sum.wrapping_add(product);
                }
                *out = *out * shrink + sum as f32 * unit;
            }
        }
    }
}

/// The products of a tile's rows with one row of activations.
fn affine_row(
    tiles: &AffineTiles<'_>,
    tile: usize,
    group: &QuantizedRows,
    row: usize,
) -> [f32; LANES] {
    let tile_bytes = tiles.width.tile_bytes(tiles.columns);
    let quants = &tiles.quants[tile * tile_bytes..][..tile_bytes];
    let block = tiles.block.len();
    let block_bytes = tiles.width.tile_bytes(block);
    let blocks_per_group = tiles.group / block;
    let mut sums = [0f32; LANES];
    for (index, quants) in quants.chunks_exact(block_bytes).enumerate() {
        let (values, factor, total) = group.get(row, index);
        let products = |values: &[i8]| match tiles.width {
            Width::Nibble => nibble_products(quants, values),
            Width::Byte => byte_products(quants, values),
        };
        let mut sums_of_products = products(&values[..block]);
        if group.precision == Precision::Fifteen {
            let lower = products(&values[block..2 * block]);
            for (sum, lower) in sums_of_products.iter_mut().zip(lower) {
                *sum = (*sum << 7) + lower;
            }
        }
        let first = (tile * tiles.groups() + index / blocks_per_group) * LANES;
        for (lane, sum) in sums.iter_mut().enumerate() {
            let scale = tiles.scales.get(first + lane);
            let bias = match &tiles.offset {
                Offset::Biases(biases) => biases.get(first + lane),
                Offset::Zero(zero) => -zero * scale,
            };
            *sum += sums_of_products[lane] as f32 * factor * scale;
            *sum += bias * total;
        }
    }
    sums
}

fn byte_products(quants: &[u8], values: &[i8]) -> [i32; LANES] {
    let mut products = [0i32; LANES];
    let (values, _) = values.as_chunks::<4>();
    for (line, values) in quants.chunks_exact(4 * LANES).zip(values) {
        add_line(&mut products, line, *values, |byte| byte);
    }
    products
}

fn nibble_products(quants: &[u8], values: &[i8]) -> [i32; LANES] {
    let mut products = [0i32; LANES];
    let (values, _) = values.as_chunks::<8>();
    for (line, [a, b, c, d, e, f, g, h]) in quants.chunks_exact(4 * LANES).zip(values) {
        add_line(&mut products, line, [*a, *b, *c, *d], |byte| byte & 15);
        add_line(&mut products, line, [*e, *f, *g, *h], |byte| byte >> 4);
    }
    products
}

#[inline]
fn add_line(products: &mut [i32; LANES], line: &[u8], values: [i8; 4], weight: impl Fn(u8) -> u8) {
    let (bytes, _) = line.as_chunks::<4>();
    for (product, bytes) in products.iter_mut().zip(bytes) {
        for (byte, value) in bytes.iter().zip(values) {
            *product += i32::from(weight(*byte)) * i32::from(value);
        }
    }
}
