//! docs/architecture.md against the source files.
//!
//! The page has tables from the RFCs' rules to files. Every file that it names in full must exist, and
//! every source file of the workspace must be named, so that the tables can be trusted.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use regex::Regex;

/// Where the source files are.
const SOURCES: [&str; 5] = ["core/src", "driver/src", "blocking/src", "async-smol/src", "src"];
/// The least number of rows, a number: the tables are not to shrink unnoticed.
const MIN_ROWS: usize = 80;

#[test]
fn every_row_names_files_that_exist() {
    let rows = rows(&architecture());
    assert!(rows.len() >= MIN_ROWS, "only {} rows", rows.len());
    for (rule, files) in &rows {
        assert!(!files.is_empty(), "no file: {rule}");
        for file in files {
            assert!(root().join(file).is_file(), "{rule}: there is no {file}");
        }
    }
    let rules: BTreeSet<_> = rows.iter().map(|(rule, _)| rule).collect();
    assert_eq!(rules.len(), rows.len(), "a rule is there twice");
}

#[test]
fn every_path_in_the_text_exists() {
    let text = architecture();
    let missing: Vec<_> =
        named(&text).into_iter().filter(|path| !root().join(path).exists()).collect();
    assert!(missing.is_empty(), "docs/architecture.md names what is not there: {missing:?}");
}

#[test]
fn every_source_file_is_in_a_row() {
    let rows = rows(&architecture());
    let named: BTreeSet<_> = rows.into_iter().flat_map(|(_, files)| files).collect();
    let missing: Vec<_> = sources().into_iter().filter(|file| !named.contains(file)).collect();
    assert!(missing.is_empty(), "docs/architecture.md has no row for {missing:?}");
}

#[test]
fn rows_and_paths_are_found() {
    let text = "| `core/src/no.rs` | before |\n<!-- rules -->\n| rule | file |\n|---|---|\n\
                | Host (§3) | `src/a.rs`, `b.rs` |\n| Nothing | none |\n<!-- /rules -->\n`core/src/x.rs`";
    let host = ("Host (§3)".to_owned(), vec!["src/a.rs".to_owned(), "b.rs".to_owned()]);
    assert_eq!(rows(text), [host, ("Nothing".to_owned(), Vec::new())]);
    let paths: Vec<_> = named(text).into_iter().collect();
    assert_eq!(paths, ["core/src/no.rs", "core/src/x.rs", "src/a.rs"]);
}

/// The rows between the marks: the rule, and the files in backticks.
fn rows(text: &str) -> Vec<(String, Vec<String>)> {
    let (_, rest) = text.split_once("<!-- rules -->").expect("the mark before the tables");
    let (tables, _) = rest.split_once("<!-- /rules -->").expect("the mark after the tables");
    let file = Regex::new("`([^`]+)`").expect("it is a pattern");
    let row = |line: &str| {
        let (rule, files) = line.strip_prefix("| ")?.split_once(" | ")?;
        let files = file.captures_iter(files).map(|found| found[1].to_owned());
        Some((rule.to_owned(), files.collect()))
    };
    let is_heading = |line: &&str| line.ends_with(" | file |");
    tables.lines().filter(|line| !is_heading(line)).filter_map(row).collect()
}

/// The paths in backticks that begin at the root of the workspace.
fn named(text: &str) -> BTreeSet<String> {
    let path =
        Regex::new(r"`((?:(?:core|driver|blocking|async-smol)/|src/|tests/|docs/|fuzz/)[^`\s]*)`")
            .expect("it is a pattern");
    path.captures_iter(text).map(|found| found[1].to_owned()).collect()
}

/// All source files but those that hold only tests.
fn sources() -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    let mut directories: Vec<_> = SOURCES.map(|source| root().join(source)).into();
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("the repository can be read") {
            let path = entry.expect("the repository can be read").path();
            let name = path.strip_prefix(root()).ok().and_then(Path::to_str).expect("it is text");
            if path.is_dir() {
                directories.push(path);
            } else if name.ends_with(".rs") && !name.ends_with("_tests.rs") {
                files.insert(name.to_owned());
            }
        }
    }
    assert!(files.len() > 100, "only {} source files", files.len());
    files
}

fn architecture() -> String {
    let path = root().join("docs/architecture.md");
    fs::read_to_string(path).expect("the architecture is described")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
