//! Tests of Jinja (`value is iterable`) where Python says otherwise than `minijinja`.

use minijinja::{Environment, Value, value::ValueKind};

/// Replaces the tests that differ.
pub(super) fn add_python_tests(environment: &mut Environment<'_>) {
    environment.add_test("iterable", is_iterable);
    environment.add_test("sequence", is_sequence);
    environment.add_test("number", is_number);
}

/// What `iter` takes: nothing is not among it, what is undefined is.
fn is_iterable(value: Value) -> bool {
    matches!(value.kind(), ValueKind::Iterable) || is_sequence(value)
}

/// What has a length and items: texts and maps too.
#[expect(clippy::needless_pass_by_value, reason = "tests take values")]
fn is_sequence(value: Value) -> bool {
    matches!(
        value.kind(),
        ValueKind::Seq
            | ValueKind::Map
            | ValueKind::String
            | ValueKind::Bytes
            | ValueKind::Undefined
    )
}

/// A truth value is a number.
#[expect(clippy::needless_pass_by_value, reason = "tests take values")]
fn is_number(value: Value) -> bool {
    matches!(value.kind(), ValueKind::Number | ValueKind::Bool)
}
