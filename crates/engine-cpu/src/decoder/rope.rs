//! Rotary positions (<https://arxiv.org/abs/2104.09864>).

use model_arch::RopeSpec;

/// How heads are turned at each position.
#[derive(Debug)]
pub(crate) struct Rope {
    frequencies: Vec<f32>,
    /// Whether pairs are neighbours rather than halves.
    traditional: bool,
}

/// The angles of some positions.
#[derive(Debug, Default)]
pub(crate) struct Angles {
    pairs: usize,
    cosines: Vec<f32>,
    sines: Vec<f32>,
}

impl Rope {
    pub(crate) fn new(spec: &RopeSpec) -> Self {
        Self {
            frequencies: spec.inverse_frequencies(),
            traditional: spec.traditional,
        }
    }

    /// Computes the angles of positions, one for each row.
    pub(super) fn angles(&self, positions: impl Iterator<Item = usize>, out: &mut Angles) {
        out.pairs = self.frequencies.len();
        out.cosines.clear();
        out.sines.clear();
        for position in positions {
            for frequency in &self.frequencies {
                let (sine, cosine) = (position as f32 * frequency).sin_cos();
                out.cosines.push(cosine);
                out.sines.push(sine);
            }
        }
    }

    /// Turns a head of one row.
    pub(super) fn turn(&self, head: &mut [f32], row: usize, angles: &Angles) {
        let range = row * angles.pairs..(row + 1) * angles.pairs;
        let turns = angles.cosines[range.clone()]
            .iter()
            .zip(&angles.sines[range]);
        if self.traditional {
            let (pairs, _) = head.as_chunks_mut::<2>();
            for ([a, b], (cosine, sine)) in pairs.iter_mut().zip(turns) {
                (*a, *b) = (*a * cosine - *b * sine, *a * sine + *b * cosine);
            }
        } else {
            let (first, second) = head.split_at_mut(angles.pairs);
            for ((a, b), (cosine, sine)) in first.iter_mut().zip(second).zip(turns) {
                (*a, *b) = (*a * cosine - *b * sine, *a * sine + *b * cosine);
            }
        }
    }
}
