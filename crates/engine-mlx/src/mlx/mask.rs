//! Which positions each new row of a sequence sees.

use mlx_rs::{Array, ops::arange};

use super::exception::MlxResult;

/// The positions that the last `rows` of `len` rows see, each up to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    rows: usize,
    len: usize,
    window: Option<usize>,
    /// The first position that any of them sees.
    pub(super) first: usize,
}

/// What attention is told of it.
#[derive(Debug)]
pub(super) enum Mask {
    /// Every row sees every position.
    None,
    /// Each row sees the positions up to its own, which are the last ones.
    Causal,
    /// `[rows, positions]`, or one of those for each sequence, true for what is seen.
    Positions(Array),
}

impl Seen {
    /// `window` is how many positions a row sees at most, itself included.
    pub(super) fn new(rows: usize, len: usize, window: Option<usize>) -> Self {
        let first = match window {
            Some(window) => (len + 1).saturating_sub(rows + window),
            None => 0,
        };
        Self {
            rows,
            len,
            window,
            first,
        }
    }

    /// The mask over the positions from `first` on.
    pub(super) fn mask(&self) -> MlxResult<Mask> {
        let window = self.window.unwrap_or(usize::MAX);
        if self.rows == 1 {
            Ok(Mask::None)
        } else if self.len <= window {
            Ok(Mask::Causal)
        } else {
            self.window_mask(window as i32).map(Mask::Positions)
        }
    }

    fn window_mask(&self, window: i32) -> MlxResult<Array> {
        let up_to_len = |from: usize| arange::<i32, i32>(from as i32, self.len as i32, None);
        let row = up_to_len(self.len - self.rows)?.reshape(&[-1, 1])?;
        let position = up_to_len(self.first)?.reshape(&[1, -1])?;
        let not_behind = row.ge(&position)?;
        let near = row.lt(position.add(Array::from_int(window))?)?;
        not_behind.logical_and(near)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a row sees, by the definition.
    fn expected(rows: usize, len: usize, window: usize, first: usize) -> Vec<bool> {
        (len - rows..len)
            .flat_map(|row| {
                (first..len).map(move |position| position <= row && position + window > row)
            })
            .collect()
    }

    #[test]
    fn a_window_hides_what_is_behind_and_what_is_far() {
        for (rows, len, window) in [(3, 3, 2), (4, 10, 3), (2, 9, 1), (5, 6, 5)] {
            let seen = Seen::new(rows, len, Some(window));
            let Mask::Positions(mask) = seen.mask().unwrap() else {
                panic!("{rows} of {len} rows need a mask for a window of {window}");
            };
            assert_eq!(mask.shape(), [rows as i32, (len - seen.first) as i32]);
            let expected = expected(rows, len, window, seen.first);
            assert_eq!(mask.as_slice::<bool>(), expected);
            assert!(expected.iter().step_by(len - seen.first).any(|seen| *seen));
        }
    }

    #[test]
    fn within_the_window_no_array_is_needed() {
        assert!(matches!(Seen::new(4, 9, None).mask(), Ok(Mask::Causal)));
        assert!(matches!(Seen::new(4, 9, Some(9)).mask(), Ok(Mask::Causal)));
        assert!(matches!(Seen::new(1, 9, Some(4)).mask(), Ok(Mask::None)));
        assert_eq!(Seen::new(1, 9, Some(4)).first, 5);
        assert_eq!(Seen::new(9, 9, Some(4)).first, 0);
    }
}
