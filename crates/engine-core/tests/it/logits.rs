//! Rows of logits, grouped by run.

use engine_core::Logits;

#[test]
fn keeps_the_rows_of_each_run_apart() {
    let mut logits = Logits::new();
    logits.reset(2);
    logits.push_run(&[1.0, 2.0, 3.0, 4.0]);
    logits.push_run(&[]);
    logits.push_run(&[5.0, 6.0]);
    assert_eq!(logits.runs(), 3);
    assert_eq!(logits.rows(0).len(), 2);
    assert_eq!(logits.last(0), Some(&[3.0, 4.0][..]));
    assert_eq!(logits.last(1), None);
    assert_eq!(logits.last(2), Some(&[5.0, 6.0][..]));
    assert_eq!(logits.last(3), None);
    logits.reset(3);
    assert_eq!((logits.runs(), logits.last(0)), (0, None));
}

#[test]
#[should_panic(expected = "no whole rows")]
fn half_a_row_is_a_fault_of_the_backend() {
    let mut logits = Logits::new();
    logits.reset(2);
    logits.push_run(&[1.0]);
}

#[test]
fn rows_written_in_place_are_those_of_their_runs() {
    let mut logits = Logits::new();
    logits.reset(2);
    logits.push_run(&[9.0; 6]);
    logits.reset(2);
    logits
        .add_runs([1, 0, 2])
        .copy_from_slice(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(logits.runs(), 3);
    assert_eq!(logits.last(0), Some(&[1.0, 2.0][..]));
    assert_eq!(logits.last(1), None);
    assert_eq!(logits.last(2), Some(&[5.0, 6.0][..]));
    let mut same = Logits::new();
    same.reset(2);
    same.push_run(&[1.0, 2.0]);
    same.push_run(&[]);
    assert_ne!(logits, same);
    same.push_run(&[3.0, 4.0, 5.0, 6.0]);
    assert_eq!(logits, same);
}
