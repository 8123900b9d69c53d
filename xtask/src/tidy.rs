//! `cargo xtask tidy`: the rules for files that no other tool knows.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::error::Error;
use crate::layout::Layout;
use crate::{process, progress};

/// The longest that a source file may be.
const MOST_LINES: usize = 600;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 7] = [
    "common", "helper", "helpers", "misc", "shared", "util", "utils",
];

/// Marks of unfinished work, taken apart so that this file has none.
const MARKS: [&str; 3] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
];

/// The files with a table of all crates.
const MAPS: [&str; 2] = ["README.md", "docs/architecture.md"];

/// Crates outside `crates/` that the maps may name.
const ELSEWHERE: [&str; 1] = ["xtask"];

/// Runs the command.
pub(crate) fn run(layout: &Layout) -> Result<(), Error> {
    let root = layout.root();
    let mut complaints = Vec::new();
    for name in files(root)? {
        let path = root.join(&name);
        // What Git lists may just have been deleted, and not everything is text.
        if let Ok(text) = fs::read_to_string(&path) {
            complaints.extend(check_file(&name, &text));
        }
    }
    let crates = crates(root)?;
    for map in MAPS {
        // A map that is not there names no crates either.
        let text = fs::read_to_string(root.join(map)).unwrap_or_default();
        complaints.extend(check_map(map, &text, &crates));
    }
    progress::report("All files are tidy.", &complaints)
}

/// Every file of the project, by its path from the root; no generated ones.
fn files(root: &Path) -> Result<Vec<String>, Error> {
    let list = process::run_quietly(
        Command::new("git")
            .args([
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ])
            .current_dir(root),
    )?;
    let names = list.split('\0').filter(|name| !name.is_empty());
    Ok(names.map(str::to_owned).collect())
}

fn crates(root: &Path) -> Result<BTreeSet<String>, Error> {
    let folder = root.join("crates");
    let entries = fs::read_dir(&folder).map_err(|e| Error::io("read the folder", &folder, e))?;
    Ok(entries
        .flatten()
        .filter(|entry| entry.path().join("Cargo.toml").is_file())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect())
}

/// What is wrong with one file, which is given by its path from the root.
fn check_file(name: &str, text: &str) -> Vec<String> {
    let path = Path::new(name);
    let kind = path
        .extension()
        .and_then(|e| e.to_str())
        .unwrap_or_default();
    let mut complaints = Vec::new();
    if kind == "rs" {
        // A library's text may be its README.
        if !text.starts_with("//!") && !text.starts_with("#![doc = include_str!(") {
            complaints.push(format!(
                "{name}:1: begin with a `//!` line that says what is here"
            ));
        }
        let lines = text.lines().count();
        if lines > MOST_LINES {
            complaints.push(format!(
                "{name}: {lines} lines; divide what is more than {MOST_LINES} by subject"
            ));
        }
        for part in path.with_extension("").iter().filter_map(|p| p.to_str()) {
            if EMPTY_NAMES.contains(&part) {
                complaints.push(format!(
                    "{name}: name it for its subject instead of `{part}`"
                ));
            }
        }
    }
    // Data for tests is as it is.
    let written_by_hand = ["rs", "md", "toml", "yml", "py", "h", "hpp", "cpp"].contains(&kind)
        || name.starts_with(".ci/");
    if written_by_hand {
        complaints.extend(check_lines(name, text));
    }
    complaints
}

fn check_lines(name: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.ends_with([' ', '\t', '\r']) {
            complaints.push(format!(
                "{name}:{number}: white space at the end of the line"
            ));
        }
        let mut words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        if let Some(mark) = words.find(|word| MARKS.contains(word)) {
            complaints.push(format!(
                "{name}:{number}: {mark}; finish it or file an issue"
            ));
        }
    }
    if !text.is_empty() && !text.ends_with('\n') {
        complaints.push(format!("{name}: no line end at the end of the file"));
    }
    complaints
}

/// Whether the tables with a column `crate` name all crates and nothing else.
fn check_map(name: &str, text: &str, crates: &BTreeSet<String>) -> Vec<String> {
    let named = crates_in_tables(text);
    if named.is_empty() {
        return vec![format!("{name}: no table with a column `crate`")];
    }
    let missing = crates
        .difference(&named)
        .map(|c| format!("{name}: the table of crates lacks `{c}`"));
    let gone = named
        .difference(crates)
        .filter(|c| !ELSEWHERE.contains(&c.as_str()))
        .map(|c| format!("{name}: the table of crates names `{c}`, and crates/{c} is not there"));
    missing.chain(gone).collect()
}

/// All words in code marks in the column `crate` of Markdown tables.
fn crates_in_tables(text: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    let mut column = None;
    let mut in_table = false;
    for line in text.lines().map(str::trim) {
        let Some(row) = line.strip_prefix('|') else {
            in_table = false;
            continue;
        };
        let mut cells = row.split('|').map(str::trim);
        if !in_table {
            in_table = true;
            column = cells.position(|cell| {
                let heading = cell.trim_matches('*').to_lowercase();
                heading == "crate" || heading == "crates"
            });
        } else if let Some(cell) = column.and_then(|column| cells.nth(column)) {
            // Every second part is inside of code marks.
            named.extend(cell.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(name: &str, text: &str) -> String {
        check_file(name, text).join("\n")
    }

    #[test]
    fn a_tidy_file_has_no_complaints() {
        assert_eq!(
            complaints("crates/a/src/lib.rs", "//! What it is.\n\nfn f() {}\n"),
            ""
        );
    }

    #[test]
    fn a_source_file_begins_with_what_it_is() {
        let text = "use std::fs;\n//! Late.\n";
        assert!(complaints("crates/a/src/b.rs", text).contains("b.rs:1: begin with a `//!`"));
        let readme = "#![doc = include_str!(\"../README.md\")]\n";
        assert_eq!(complaints("crates/a/src/lib.rs", readme), "");
        assert_eq!(complaints("docs/a.md", "# Heading\n"), "");
    }

    #[test]
    fn a_file_may_have_six_hundred_lines() {
        let mut text = "//! Line.\n".repeat(MOST_LINES);
        assert_eq!(complaints("a.rs", &text), "");
        text.push_str("//! One more.\n");
        assert!(complaints("a.rs", &text).starts_with("a.rs: 601 lines"));
    }

    #[test]
    fn names_say_what_is_inside() {
        for name in ["crates/a/src/utils.rs", "crates/a/src/common/mod.rs"] {
            assert!(
                complaints(name, "//! X.\n").contains("name it for its subject"),
                "{name}"
            );
        }
        assert_eq!(complaints("crates/a/src/common_prefix.rs", "//! X.\n"), "");
    }

    #[test]
    fn marks_of_unfinished_work_are_found_as_words() {
        for mark in MARKS {
            let text = format!("//! Fine.\n// {mark}: later\n");
            assert!(complaints("a.rs", &text).starts_with(&format!("a.rs:2: {mark}")));
            assert_eq!(
                complaints("a.rs", &format!("//! {mark}S and my_{mark}\n")),
                ""
            );
        }
    }

    #[test]
    fn white_space_at_a_lines_end_and_a_missing_last_line_end_are_found() {
        assert!(complaints("a.md", "one \ntwo\n").starts_with("a.md:1: white space"));
        assert!(complaints(".ci/run", "one\t\n").contains("white space"));
        assert!(complaints("a.toml", "one").contains("no line end"));
    }

    #[test]
    fn data_is_not_looked_at() {
        assert_eq!(complaints("tests/parity/prompts.json", "{ } "), "");
    }

    const MAP: &str = "\
        Text about `no-crate`.\n\
        \n\
        | layer | crate | holds |\n\
        | --- | --- | --- |\n\
        | app | [`one`](crates/one), `two` | `Things` |\n\
        | tool | `xtask` | commands |\n\
        \n\
        | file | holds |\n\
        | --- | --- |\n\
        | `other` | things |\n";

    #[test]
    fn a_map_that_names_all_crates_is_fine() {
        let crates = BTreeSet::from(["one".to_owned(), "two".to_owned()]);
        assert_eq!(check_map("README.md", MAP, &crates), Vec::<String>::new());
    }

    #[test]
    fn a_crate_missing_from_a_map_and_one_that_is_gone_are_found() {
        let crates = BTreeSet::from(["one".to_owned(), "three".to_owned()]);
        assert_eq!(
            check_map("README.md", MAP, &crates),
            [
                "README.md: the table of crates lacks `three`",
                "README.md: the table of crates names `two`, and crates/two is not there"
            ]
        );
        let none = check_map("README.md", "No table.\n", &crates);
        assert_eq!(none, ["README.md: no table with a column `crate`"]);
    }
}
