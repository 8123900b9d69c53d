//! `mlxengine backends`.

use serde_json::Value;

use crate::command::{finished, mlxengine};

#[test]
fn lists_every_backend_with_its_state() {
    let run = finished(mlxengine(&["backends"]));
    assert_eq!(run.code, Some(0), "{run:?}");
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{run:?}");
    assert!(lines[0].starts_with("mlx "), "{run:?}");
    assert!(lines[1].starts_with("cpu ") && lines[1].contains("ready: CPU ("));
    assert!(lines[2].starts_with("mock ") && lines[2].contains("makes up its answers"));
}

#[test]
fn lists_them_for_programs_too() {
    let list = finished(mlxengine(&["backends", "--json"])).json();
    let mock = &list.as_array().unwrap()[2];
    assert_eq!(mock["name"], "mock");
    assert_eq!(mock["available"], Value::Bool(true));
    assert_eq!(mock["simulated"], Value::Bool(true));
    assert_eq!(list[0]["simulated"], Value::Bool(false));
}
