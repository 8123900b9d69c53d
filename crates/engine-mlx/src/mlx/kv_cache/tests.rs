//! The cache in steps against one that joins arrays, bit for bit.

use mlx_rs::{random, transforms::eval};
use proptest::prelude::*;

use super::*;

/// The oracle: what is kept is cut to its length and joined to what is new.
#[derive(Clone, Debug, Default)]
struct ConcatCache(Option<KeysAndValues>);

impl KvCache for ConcatCache {
    fn append(&self, len: usize, new: &KeysAndValues) -> MlxResult<(Self, KeysAndValues)> {
        let append = |old: Option<&Array>, new: &Array| match old {
            Some(old) if len > 0 => {
                let kept = slices::positions(old, 0..len as i32)?;
                concatenate(&[&kept, new], 2)
            }
            _ => Ok(new.clone()),
        };
        let all = KeysAndValues {
            keys: append(self.0.as_ref().map(|old| &old.keys), &new.keys)?,
            values: append(self.0.as_ref().map(|old| &old.values), &new.values)?,
        };
        Ok((Self(Some(all.clone())), all))
    }

    fn arrays(&self) -> Option<[&Array; 2]> {
        self.0.as_ref().map(|all| [&all.keys, &all.values])
    }
}

const HEADS: i32 = 2;
const HEAD_DIM: i32 = 8;

fn random_positions(positions: usize, dtype: Dtype) -> KeysAndValues {
    let draw = || {
        // As attention makes them: a transposed view of `[1, positions, heads, head_dim]`.
        random::normal::<f32>(&[1, positions as i32, HEADS, HEAD_DIM], None, None, None)
            .unwrap()
            .as_dtype(dtype)
            .unwrap()
            .transpose_axes(&[0, 2, 1, 3])
            .unwrap()
    };
    KeysAndValues {
        keys: draw(),
        values: draw(),
    }
}

fn assert_same(step: &KeysAndValues, concat: &KeysAndValues) {
    for (step, concat) in [(&step.keys, &concat.keys), (&step.values, &concat.values)] {
        assert_eq!(step.shape(), concat.shape());
        assert_eq!(step.dtype(), concat.dtype());
        assert!(step.eq_values(concat).unwrap(), "the caches differ");
    }
}

/// Both caches of one sequence.
#[derive(Clone, Default)]
struct Pair {
    len: usize,
    step: StepCache,
    concat: ConcatCache,
}

impl Pair {
    fn append(&mut self, new: &KeysAndValues) {
        let (step, all) = self.step.append(self.len, new).unwrap();
        let (concat, expected) = self.concat.append(self.len, new).unwrap();
        self.step = step;
        self.concat = concat;
        self.len += new.keys.dim(2) as usize;
        eval(self.step.arrays().into_iter().flatten()).unwrap();
        assert_same(&all, &expected);
    }
}

#[derive(Clone, Debug)]
enum Operation {
    Append(usize),
    Truncate(f64),
    Fork,
    Switch(usize),
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        6 => prop_oneof![Just(1), 1usize..8, 200usize..300].prop_map(Operation::Append),
        2 => (0.0..1.0).prop_map(Operation::Truncate),
        1 => Just(Operation::Fork),
        2 => (0usize..8).prop_map(Operation::Switch),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_appends_cuts_and_forks_match_the_joining_cache(
        operations in prop::collection::vec(operation(), 1..24),
    ) {
        let mut pairs = vec![Pair::default()];
        let mut current = 0;
        for operation in operations {
            match operation {
                Operation::Append(positions) => {
                    pairs[current].append(&random_positions(positions, Dtype::Float32));
                }
                Operation::Truncate(share) => {
                    pairs[current].len = (pairs[current].len as f64 * share) as usize;
                }
                Operation::Fork => {
                    let copy = pairs[current].clone();
                    pairs.push(copy);
                }
                Operation::Switch(to) => current = to % pairs.len(),
            }
        }
        for pair in &mut pairs {
            pair.append(&random_positions(1, Dtype::Float32));
        }
    }
}

#[test]
fn hundreds_of_single_steps_match_the_joining_cache() {
    for dtype in [Dtype::Float32, Dtype::Float16, Dtype::Bfloat16] {
        let mut pair = Pair::default();
        pair.append(&random_positions(5, dtype));
        for _ in 0..600 {
            pair.append(&random_positions(1, dtype));
        }
        assert_eq!(pair.step.capacity(), 3 * STEP);
    }
}

#[test]
fn steps_built_before_the_last_is_done_match_too() {
    let mut pair = Pair::default();
    let mut waiting = Vec::new();
    for _ in 0..300 {
        let new = random_positions(1, Dtype::Float32);
        let (step, all) = pair.step.append(pair.len, &new).unwrap();
        let (concat, expected) = pair.concat.append(pair.len, &new).unwrap();
        pair = Pair {
            len: pair.len + 1,
            step,
            concat,
        };
        mlx_rs::transforms::async_eval(pair.step.arrays().into_iter().flatten()).unwrap();
        waiting.push((all, expected));
    }
    for (all, expected) in &waiting {
        assert_same(all, expected);
    }
}

#[test]
fn capacity_is_a_whole_number_of_steps() {
    for (len, capacity) in [(0, 0), (1, 256), (256, 256), (257, 512)] {
        assert_eq!(capacity_for(len), capacity);
    }
    let mut pair = Pair::default();
    assert_eq!((pair.step.capacity(), pair.step.bytes()), (0, 0));
    pair.append(&random_positions(257, Dtype::Float16));
    assert_eq!(pair.step.capacity(), 512);
    assert_eq!(pair.step.bytes(), 2 * 2 * 8 * 512 * 2);
}
