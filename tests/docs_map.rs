//! The documents against the files of the workspace.
//!
//! docs/architecture.md has tables from the RFCs' rules to files. Every file that it names must exist,
//! and every source file of the workspace must be in a row, so that the tables can be trusted. Paths and
//! links of the other documents must lead somewhere, too.

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

/// The subject is what stands before the colon: "Listing: sorting" beside "Listing: sorting, dates", with no
/// other files, is an older wording of it.
#[test]
fn no_row_repeats_another_one_with_its_subject() {
    let rows = rows(&architecture());
    let subject = |rule: &str| rule.split_once(": ").map(|(subject, _)| subject.to_owned());
    for (at, (rule, files)) in rows.iter().enumerate() {
        let repeated = rows.iter().enumerate().find(|(other_at, (other, others))| {
            let is_same = subject(rule).is_some() && subject(rule) == subject(other);
            *other_at != at && is_same && files.iter().all(|file| others.contains(file))
        });
        assert_eq!(repeated, None, "{rule}");
    }
}

#[test]
fn every_path_in_the_documents_exists() {
    for (document, text) in documents() {
        let missing: Vec<_> =
            named(&text).into_iter().filter(|path| !root().join(path).exists()).collect();
        assert!(missing.is_empty(), "{document} names what is not there: {missing:?}");
    }
}

#[test]
fn every_link_between_the_documents_leads_somewhere() {
    let documents = documents();
    let link = Regex::new(r"\]\(([^)\s]+)\)").expect("it is a pattern");
    for (document, text) in &documents {
        let directory = Path::new(document).parent().unwrap_or(Path::new(""));
        for found in link.captures_iter(text) {
            let (path, anchor) = found[1].split_once('#').unwrap_or((&found[1], ""));
            if path.contains("://") {
                continue;
            }
            let target = match path {
                "" => root().join(document),
                path => root().join(directory).join(path),
            };
            let target = target.canonicalize();
            assert!(target.is_ok(), "{document}: there is no {path}");
            let linked = documents.iter().find(|(other, _)| {
                target.as_ref().is_ok_and(|target| {
                    root().join(other).canonicalize().is_ok_and(|path| path == *target)
                })
            });
            if let (false, Some((_, linked))) = (anchor.is_empty(), linked) {
                assert!(anchors(linked).contains(anchor), "{document}: no heading {}", &found[1]);
            }
        }
    }
}

#[test]
fn every_test_named_in_the_documents_exists() {
    let sources = all_sources();
    let exists = |(file, test): &(String, String)| {
        let named = |path: &str| path == file || path.ends_with(&format!("/{file}"));
        let mut files = sources.iter().filter(|(path, _)| named(path));
        files.any(|(_, text)| match test.strip_suffix('…') {
            Some(start) => text.contains(&format!("fn {start}")),
            None => test.is_empty() || text.contains(&format!("fn {test}(")),
        })
    };
    let mut found = 0;
    for (document, text) in documents() {
        let tests = named_tests(&text);
        let missing: Vec<_> = tests.iter().filter(|named| !exists(named)).collect();
        assert!(missing.is_empty(), "{document} names tests that are not there: {missing:#?}");
        found += tests.len();
    }
    assert!(found > 50, "only {found} tests are named");
}

#[test]
fn every_source_file_is_in_a_row() {
    let rows = rows(&architecture());
    let named: BTreeSet<_> = rows.into_iter().flat_map(|(_, files)| files).collect();
    let missing: Vec<_> = sources().into_iter().filter(|file| !named.contains(file)).collect();
    assert!(missing.is_empty(), "docs/architecture.md has no row for {missing:?}");
}

#[test]
fn anchors_are_those_of_headings() {
    let text =
        "# A runtime of one's own: `the` crate\n```sh\n# no heading\n```\n## When it is full\n";
    let anchors: Vec<_> = anchors(text).into_iter().collect();
    assert_eq!(anchors, ["a-runtime-of-ones-own-the-crate", "when-it-is-full"]);
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

#[test]
fn tests_are_found_after_their_mark() {
    let text = "`no.rs`\n\n*Tested by* `a/b.rs` (tables),\n`c.rs: d_e_f`, `g_h_…`.\n\n`n_o_t`";
    let tests = named_tests(text);
    let tests: Vec<_> = tests.iter().map(|(file, test)| (&**file, &**test)).collect();
    assert_eq!(tests, [("a/b.rs", ""), ("c.rs", "d_e_f"), ("c.rs", "g_h_…")]);
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

/// The tests that `text` names after "*Tested by*", up to the end of that paragraph: file and test,
/// which is empty where only the file is named. A test that ends in `…` is a beginning.
fn named_tests(text: &str) -> Vec<(String, String)> {
    let span = Regex::new(r"`(?:([\w/-]+\.rs)(?::\s+)?)?([a-z0-9]+(?:_[a-z0-9]*){2,}…?)?`");
    let span = span.expect("it is a pattern");
    let mut tests = Vec::new();
    for paragraph in text.split("\n\n") {
        let Some((_, by)) =
            paragraph.split_once("*Tested by*").or(paragraph.split_once("*Tested\nby*"))
        else {
            continue;
        };
        let mut file = String::new();
        for found in span.captures_iter(by) {
            if let Some(next) = found.get(1) {
                file = next.as_str().to_owned();
            }
            let test = found.get(2).map_or("", |test| test.as_str());
            if !file.is_empty() && !found[0].is_empty() {
                tests.push((file.clone(), test.to_owned()));
            }
        }
    }
    tests
}

/// All Rust files of the workspace, by path, with their texts.
fn all_sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut directories: Vec<_> = ["core", "driver", "blocking", "async-smol", "src", "tests"]
        .map(|directory| root().join(directory))
        .into();
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("the repository can be read") {
            let path = entry.expect("the repository can be read").path();
            let name = path.strip_prefix(root()).ok().and_then(Path::to_str).expect("it is text");
            if path.is_dir() {
                directories.push(path);
            } else if name.ends_with(".rs") {
                files.push((name.to_owned(), fs::read_to_string(&path).expect("it can be read")));
            }
        }
    }
    files
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

/// The anchors of the headings, as web pages of Markdown have them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut in_code = false;
    let heading = |line: &str| {
        in_code ^= line.starts_with("```");
        let title = line.strip_prefix('#').filter(|_| !in_code)?.trim_start_matches('#').trim();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        Some(kept.collect::<String>().to_lowercase().replace(' ', "-"))
    };
    text.lines().filter_map(heading).collect()
}

/// The documents whose paths and links are checked: their paths and texts.
fn documents() -> Vec<(String, String)> {
    let guides = fs::read_dir(root().join("docs")).expect("the repository can be read");
    let guides = guides.map(|entry| entry.expect("the repository can be read").file_name());
    let guides = guides.filter_map(|name| name.into_string().ok());
    let guides = guides.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}"));
    let others = ["README.md", "CONTRIBUTING.md", "tests/wire/README.md"].map(str::to_owned);
    let read = |name: String| {
        let text = fs::read_to_string(root().join(&name)).expect("it can be read");
        (name, text)
    };
    guides.chain(others).map(read).collect()
}

fn architecture() -> String {
    let path = root().join("docs/architecture.md");
    fs::read_to_string(path).expect("the architecture is described")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
