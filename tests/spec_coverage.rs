//! Every behaviour in docs/differences.md against the tests that name it.
//!
//! A test carries the ids of the rows it checks, as `b_042` or `b_042_281` in its name, or as
//! `B-042` in what it compares or in a transcript of tests/wire. A row that is *same* or *different*
//! must have one, or stand in [`UNTESTED`] with the reason. A row in [`UNTESTED`] that has a test, and a
//! row that is *not yet* and has one, fail too. Run with `--nocapture` to see the rows without a test.

#![expect(clippy::print_stdout, reason = "the rows without a test are there to be read")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use regex::Regex;

/// Rows that are done and have no test, and why.
const UNTESTED: &[(&str, &str)] = &[
    ("B-185", "only system calls show how bytes are copied"),
    ("B-205", "the core reads no files (core/clippy.toml), so neither the machine's table"),
    ("B-300", "an interface: the doctests of the front ends use it"),
    ("B-303", "an interface: the doctests of the front ends use it"),
    ("B-304", "an interface: the doctests of the front ends use it"),
    ("B-306", "tests/wire.rs does nothing else, for every transcript"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Same,
    Different,
    NotYet,
}

#[test]
fn every_row_that_is_done_has_a_test() {
    let rows = rows();
    let tested = tested();
    let untested: BTreeMap<_, _> = UNTESTED.iter().copied().collect();
    println!("rows without a test:");
    for (id, status) in rows.iter().filter(|(id, _)| !tested.contains(*id)) {
        println!("  {id} {status:?} {}", untested.get(id.as_str()).unwrap_or(&""));
    }
    let missing: Vec<_> = rows
        .iter()
        .filter(|(_, status)| **status != Status::NotYet)
        .map(|(id, _)| id.as_str())
        .filter(|id| !tested.contains(*id) && !untested.contains_key(id))
        .collect();
    assert!(missing.is_empty(), "done, but no test names them: {missing:?}");
    let outlived: Vec<_> = untested
        .into_keys()
        .filter(|id| tested.contains(*id) || rows.get(*id).is_none_or(|s| *s == Status::NotYet))
        .collect();
    assert!(outlived.is_empty(), "strike them from UNTESTED: {outlived:?}");
    let is_done = |id: &&String| rows.get(*id) == Some(&Status::NotYet);
    let done: Vec<_> = tested.iter().filter(is_done).collect();
    assert!(done.is_empty(), "\"not yet\" in docs/differences.md, but tests name them: {done:?}");
    let unknown: Vec<_> = tested.iter().filter(|id| !rows.contains_key(*id)).collect();
    assert!(unknown.is_empty(), "tests name rows that docs/differences.md lacks: {unknown:?}");
}

#[test]
fn exactly_the_rows_that_differ_are_explained() {
    let text = differences();
    let (prose, _) = text.split_once("## Every row").expect("there are two parts");
    let explained = ids(prose);
    let different: BTreeSet<String> = rows()
        .into_iter()
        .filter(|(_, status)| *status == Status::Different)
        .map(|(id, _)| id)
        .collect();
    assert_eq!(explained, different);
}

#[test]
fn ids_are_found_in_prose_and_in_names() {
    let found =
        ids("B-001, B-2, XB-003 B-0045 fn b_006_007_nine() b_0089 sub_010 b_011 b_012_b_013");
    let wanted = ["B-001", "B-006", "B-007", "B-011", "B-012", "B-013"];
    assert_eq!(found.into_iter().collect::<Vec<_>>(), wanted);
}

fn differences() -> String {
    read(&root().join("docs/differences.md"))
}

/// The tables' rows: the id and the status that ends the line.
fn rows() -> BTreeMap<String, Status> {
    let mut rows = BTreeMap::new();
    for line in differences().lines().filter(|line| line.starts_with("| B-")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let status = match cells[..] {
            [_, _, "same"] => Status::Same,
            [_, _, "different"] => Status::Different,
            [_, _, "not yet"] => Status::NotYet,
            _ => unreachable!("three cells, the last one a status: {line}"),
        };
        let before = rows.insert(cells[0].to_owned(), status);
        assert_eq!(before, None, "{line}");
    }
    assert!(rows.len() >= 220, "only {} rows", rows.len());
    rows
}

/// The rows that tests name: in the tests of each source file, in test files, in transcripts.
fn tested() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the repository can be read") {
            let path = entry.expect("the repository can be read").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
            if path.is_dir() {
                if !name.starts_with('.') && name != "target" {
                    folders.push(path);
                }
            } else if let Some(test) = test_part(&path, name) {
                found.extend(ids(&test));
            }
        }
    }
    found
}

/// The part of a file that is a test, if any; other comments may name rows without checking them.
fn test_part(path: &Path, name: &str) -> Option<String> {
    let below = path.strip_prefix(root()).unwrap_or(path);
    let in_tests = below.iter().any(|part| part == "tests") || name.ends_with("tests.rs");
    match path.extension()?.to_str()? {
        "rs" if below == Path::new("tests/spec_coverage.rs") => None,
        "rs" if in_tests => Some(read(path)),
        "rs" => read(path).split_once("#[cfg(test)]").map(|(_, tests)| tests.to_owned()),
        "md" if below.starts_with("tests/wire") => Some(read(path)),
        _ => None,
    }
}

/// The ids in a text, as `B-042`.
fn ids(text: &str) -> BTreeSet<String> {
    let prose = Regex::new(r"\bB-(\d{3})\b").expect("it is a pattern");
    let name = Regex::new(r"\bb_\w+").expect("it is a pattern");
    let in_prose = prose.captures_iter(text).map(|found| found[1].to_owned());
    let in_names = name.find_iter(text).flat_map(|name| {
        let mut behind_b = false;
        name.as_str().split('_').filter(move |&word| {
            let is_id = word.len() == 3 && word.bytes().all(|b| b.is_ascii_digit());
            behind_b = word == "b" || behind_b && is_id;
            behind_b && is_id
        })
    });
    let found = in_prose.chain(in_names.map(str::to_owned));
    found.map(|digits| format!("B-{digits}")).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("files of the repository are text")
}
