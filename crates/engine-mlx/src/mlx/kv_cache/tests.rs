//! The cache in steps against one that joins arrays, bit for bit.

use mlx_rs::{Dtype, random, transforms::eval};
use proptest::prelude::*;

use super::{super::kv_numbers::KvForm, *};

/// The oracle: what is kept is cut to its length and joined to what is new, and nothing is given
/// up.
#[derive(Clone, Debug, Default)]
struct ConcatCache(Option<KeysAndValues>);

impl KvCache for ConcatCache {
    fn append(
        &self,
        len: usize,
        first: usize,
        new: &KeysAndValues,
    ) -> MlxResult<(Self, KeysAndValues)> {
        let all = match &self.0 {
            Some(old) if len > 0 => old.zip(new, |old, new| {
                concatenate(&[&slices::positions(old, 0..len as i32)?, new], 2)
            })?,
            _ => new.clone(),
        };
        let end = all.positions() as i32;
        let seen = all.map(|all| slices::positions(all, first as i32..end))?;
        Ok((Self(Some(all)), seen))
    }

    fn arrays(&self) -> Vec<&Array> {
        self.0.iter().flat_map(KeysAndValues::arrays).collect()
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
        keys: KvForm::Plain.store(&draw()).unwrap(),
        values: KvForm::Plain.store(&draw()).unwrap(),
    }
}

fn assert_same(step: &KeysAndValues, concat: &KeysAndValues) {
    for (step, concat) in step.arrays().zip(concat.arrays()) {
        assert_eq!(step.shape(), concat.shape());
        assert_eq!(step.dtype(), concat.dtype());
        assert!(step.eq_values(concat).unwrap(), "the caches differ");
    }
}

/// Both caches of one sequence.
#[derive(Clone)]
struct Pair {
    len: usize,
    step: StepCache,
    concat: ConcatCache,
}

impl Pair {
    fn new(window: Option<usize>) -> Self {
        Self {
            len: 0,
            step: StepCache::empty(window),
            concat: ConcatCache::default(),
        }
    }

    fn append(&mut self, new: &KeysAndValues) {
        let first = first_seen(self.step.window, self.len);
        let (step, all) = self.step.append(self.len, first, new).unwrap();
        let (concat, expected) = self.concat.append(self.len, first, new).unwrap();
        self.step = step;
        self.concat = concat;
        self.len += new.positions();
        eval(self.step.arrays()).unwrap();
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
        window in prop_oneof![Just(None), (1..700usize).prop_map(Some)],
        operations in prop::collection::vec(operation(), 1..24),
    ) {
        let mut pairs = vec![Pair::new(window)];
        let mut current = 0;
        for operation in operations {
            match operation {
                Operation::Append(positions) => {
                    pairs[current].append(&random_positions(positions, Dtype::Float32));
                }
                Operation::Truncate(share) => {
                    let pair = &mut pairs[current];
                    let earliest = pair.step.earliest_cut();
                    let len = earliest + ((pair.len - earliest) as f64 * share) as usize;
                    pair.step = pair.step.cut(len).unwrap();
                    pair.len = len;
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
        let mut pair = Pair::new(None);
        pair.append(&random_positions(5, dtype));
        for _ in 0..600 {
            pair.append(&random_positions(1, dtype));
        }
        assert_eq!(pair.step.end(), 3 * STEP);
    }
}

#[test]
fn steps_built_before_the_last_is_done_match_too() {
    let mut pair = Pair::new(None);
    let mut waiting = Vec::new();
    for _ in 0..300 {
        let new = random_positions(1, Dtype::Float32);
        let (step, all) = pair.step.append(pair.len, 0, &new).unwrap();
        let (concat, expected) = pair.concat.append(pair.len, 0, &new).unwrap();
        pair = Pair {
            len: pair.len + 1,
            step,
            concat,
        };
        mlx_rs::transforms::async_eval(pair.step.arrays()).unwrap();
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
    let mut pair = Pair::new(None);
    assert_eq!((pair.step.end(), pair.step.bytes()), (0, 0));
    pair.append(&random_positions(257, Dtype::Float16));
    assert_eq!(pair.step.end(), 512);
    assert_eq!(pair.step.bytes(), 2 * 2 * 8 * 512 * 2);
}

#[test]
fn a_window_bounds_the_buffers_and_leaves_room_to_cut_back() {
    for window in [1, 200, 256, 300] {
        let mut pair = Pair::new(Some(window));
        for _ in 0..20 {
            pair.append(&random_positions(100, Dtype::Float32));
            let held = pair.step.buffers().unwrap().positions();
            assert!(
                held <= window + SPARE + 100 + 3 * STEP,
                "{held} for {window}"
            );
            let earliest = pair.step.earliest_cut();
            assert!(earliest + SPARE <= pair.len, "{earliest} of {}", pair.len);
        }
        // What leaves the model is what the next token sees and a little more, and goes on alike.
        let kept = pair.step.view(pair.len).unwrap().unwrap();
        assert_eq!(kept.positions(), (window - 1).max(1) + SPARE);
        pair.step = StepCache::with(Some(window), pair.len, &kept).unwrap();
        assert_eq!(pair.step.earliest_cut() + SPARE, pair.len);
        for positions in [1, 1, 400, 1] {
            pair.append(&random_positions(positions, Dtype::Float32));
        }
    }
}

#[test]
fn growth_is_what_an_append_makes() {
    for window in [None, Some(100), Some(700)] {
        let mut pair = Pair::new(window);
        for positions in [1, 255, 1, 600, 1, 200, 300, 1] {
            let growth = pair.step.growth(pair.len, positions);
            let before = pair.step.end();
            pair.append(&random_positions(positions, Dtype::Float32));
            match growth {
                0 => assert_eq!(pair.step.end(), before),
                _ => assert_eq!(pair.step.buffers().unwrap().positions(), growth),
            }
        }
    }
}
