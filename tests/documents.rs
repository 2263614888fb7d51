//! The examples and tables of the documents: that examples are run or compiled, and that tables agree
//! with the workspace.
//!
//! Rust examples are doctests of `src/lib.rs`, which lists the documents. Above an example for a shell
//! stands a comment that says what runs it, or why nothing does: `<!-- run by tests/x.rs -->`,
//! `<!-- not run: it takes minutes -->`.
#![cfg(all(unix, feature = "cli"))]

mod support;

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use regex::Regex;
use support::client::Client;
use support::{RUNTIMES, Server};

/// The library crates, and the package of the command.
const PACKAGES: [&str; 5] =
    ["doorstep-core", "doorstep-driver", "doorstep-blocking", "doorstep-async-smol", "doorstep"];

/// A fenced block of a document.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    /// What follows the opening fence: the language, and how it is tested.
    info: String,
    text: String,
    /// The comment above it, without its marks.
    comment: Option<String>,
}

#[test]
fn every_rust_example_is_compiled() {
    let library = read("src/lib.rs");
    let mut examples = 0;
    for (document, text) in documents() {
        let blocks = blocks(&text);
        let rust = blocks.iter().filter(|block| block.info.split(',').next() == Some("rust"));
        let found = rust.count();
        let included = library.contains(&format!("include_str!(\"../{document}\")"));
        assert!(found == 0 || included, "src/lib.rs does not include {document}");
        examples += found;
    }
    assert!(examples > 5, "only {examples} examples were found");
}

#[test]
fn a_rust_example_that_is_not_compiled_has_a_reason() {
    let code = Regex::new(r"(?m)^(?:pub |async )*(?:fn|use|impl|let|struct) |;$");
    let code = code.expect("it is a pattern");
    for (document, text) in documents() {
        for block in blocks(&text) {
            let is_ignored = block.info.split(',').any(|word| word.starts_with("ignore"));
            let is_hidden = matches!(&*block.info, "" | "text") && code.is_match(&block.text);
            let has_reason = block.comment.is_some_and(|comment| comment.starts_with("not run: "));
            assert!(!is_ignored && !is_hidden || has_reason, "{document}: {}", block.text);
            assert_ne!(block.info, "", "{document}: a block without a language: {}", block.text);
        }
    }
}

#[test]
fn a_shell_example_names_what_runs_it_or_why_nothing_does() {
    let mut run = 0;
    for (document, text) in documents() {
        for block in blocks(&text) {
            if !matches!(&*block.info, "sh" | "console") {
                continue;
            }
            let comment = block.comment.unwrap_or_default();
            let name = comment.strip_prefix("run by ").and_then(|rest| rest.split(',').next());
            let Some(name) = name else {
                let reason = comment.strip_prefix("not run: ").unwrap_or_default();
                assert!(!reason.is_empty(), "{document}: no comment above {}", block.text);
                continue;
            };
            let title = document.trim_end_matches(".md");
            assert!(read(name).contains(title), "{document}: {name} does not name it");
            run += 1;
        }
    }
    assert!(run >= 3, "only {run} examples are run");
}

/// docs/cgi.md: the first script.
#[test]
fn the_first_script_of_the_guide_runs() {
    let blocks = blocks(&read("docs/cgi.md"));
    let block = blocks.iter().find(|block| block.text.contains("cgi-bin/hello"));
    let lines = &block.expect("the guide has it").text;
    let (before, last) = lines.trim_end().rsplit_once('\n').expect("it has several lines");
    let (last, _) = last.split_once('#').expect("the last one names its URL");
    let arguments = last.strip_prefix("doorstep ").expect("it starts the server");
    for runtime in RUNTIMES {
        let home = tempfile::tempdir().expect("a temporary directory can be made");
        fs::set_permissions(home.path(), Permissions::from_mode(0o755)).expect("it is ours");
        let shell = || {
            let mut shell = Command::new("sh");
            shell.current_dir(home.path()).args(["-e", "-c"]);
            shell
        };
        let prepared = shell().arg(before).status().expect("there is a shell");
        assert!(prepared.success());
        let doorstep = env!("CARGO_BIN_EXE_doorstep");
        let start = format!("exec {doorstep} 0 --bind 127.0.0.1 {runtime} {arguments}");
        let server = Server::start(shell().arg(start));
        let response = Client::connect(server.port).request("GET", "/cgi-bin/hello", &[]);
        assert_eq!((response.status, &*response.body), (200, &b"Hello, 127.0.0.1\n"[..]));
    }
}

/// docs/choosing.md: the table of dependencies. The expected one is printed, to be copied.
#[test]
#[cfg(target_os = "linux")] // other systems have other dependencies
fn the_dependencies_of_each_crate_are_those_of_cargo_tree() {
    let text = read("docs/choosing.md");
    let (_, table) = text.split_once("<!-- dependencies").expect("the mark before the table");
    let (table, _) = table.split_once("<!-- /dependencies -->").expect("the mark after it");
    let documented: Vec<_> = table.lines().filter(|line| line.starts_with("| `")).collect();
    let expected = PACKAGES.map(|package| {
        let names = |names: BTreeSet<String>| names.into_iter().collect::<Vec<_>>().join(", ");
        let (direct, all) = (tree(package, &["--depth", "1"]), tree(package, &[]));
        format!("| `{package}` | {} | {} |", names(direct), all.len())
    });
    assert_eq!(documented, expected, "it should be:\n{}\n", expected.join("\n"));
    let [library, command] =
        [&["--no-default-features"][..], &[]].map(|it| tree("doorstep", it).len());
    let sentence = format!("needs {library} packages instead of {command},");
    assert!(text.contains(&sentence), "docs/choosing.md should have: {sentence}");
}

/// docs/stability.md: the oldest version of Rust.
#[test]
fn the_oldest_version_of_rust_is_the_documented_one() {
    let manifest = read("Cargo.toml");
    let version = Regex::new(r#"(?m)^rust-version = "([\d.]+)""#).expect("it is a pattern");
    let version = &version.captures(&manifest).expect("the manifest has it")[1];
    let documented = format!("The oldest supported version is Rust {version},");
    assert!(read("docs/stability.md").contains(&documented), "{documented}");
    let image = format!("FROM docker.io/library/rust:{version}-alpine ");
    assert!(read("deploy/Containerfile").contains(&image), "{image}");
}

/// docs/stability.md: the table of Cargo features.
#[test]
fn every_cargo_feature_is_documented() {
    let feature = Regex::new(r"^(\w+) = ").expect("it is a pattern");
    let mut features = BTreeSet::new();
    for package in PACKAGES {
        let directory = match package {
            "doorstep" => "",
            package => package.trim_start_matches("doorstep-"),
        };
        let manifest = read(&Path::new(directory).join("Cargo.toml").to_string_lossy());
        let Some((_, section)) = manifest.split_once("[features]\n") else { continue };
        let lines = section.lines().take_while(|line| !line.starts_with('['));
        let names = lines.filter_map(|line| Some(feature.captures(line)?[1].to_owned()));
        let names = names.filter(|name| name != "default");
        features.extend(names.map(|name| (package.to_owned(), name)));
    }
    let row = Regex::new(r"(?m)^\| `(doorstep[a-z-]*)` \| `(\w+)` \|").expect("it is a pattern");
    let text = read("docs/stability.md");
    let documented = row.captures_iter(&text).map(|row| (row[1].to_owned(), row[2].to_owned()));
    assert_eq!(documented.collect::<BTreeSet<_>>(), features);
}

/// README.md: the table of options.
#[test]
fn the_readme_names_every_option() {
    let help = support::doorstep(&["--help"]).output().expect("it runs");
    let help = String::from_utf8(help.stdout).expect("it is text");
    let option = Regex::new(r"(?m)^ +(?:-\w, )?(--[a-z-]+)").expect("it is a pattern");
    let options = option.captures_iter(&help).map(|found| found[1].to_owned());
    let options: BTreeSet<_> =
        options.filter(|name| !matches!(&**name, "--help" | "--version")).collect();
    let readme = read("README.md");
    let named = Regex::new("`(--[a-z-]+)`").expect("it is a pattern");
    let table = readme.lines().filter(|line| line.starts_with("| "));
    let named: BTreeSet<_> =
        table.flat_map(|line| named.captures_iter(line)).map(|found| found[1].to_owned()).collect();
    assert_eq!(named, options);
}

/// The tables of options in the guides: option, default, what it limits.
#[test]
fn documented_defaults_are_those_of_the_help() {
    let help = support::doorstep(&["--help"]).output().expect("it runs");
    let help = String::from_utf8(help.stdout).expect("it is text");
    let row = Regex::new(r"`(--[a-z-]+) [A-Z]+` \| ([^|]+) \|").expect("it is a pattern");
    let mut compared = 0;
    for (document, text) in documents() {
        for found in row.captures_iter(&text) {
            let (option, default) = (&found[1], &found[2]);
            let is_value = default == "none" || default.chars().all(|c| c.is_ascii_alphanumeric());
            let Some((_, rest)) = help.split_once(&format!(" {option} <")).filter(|_| is_value)
            else {
                continue;
            };
            let (_, stated) = rest.split_once("[default: ").expect("the help has a default");
            let (stated, _) = stated.split_once(']').expect("it ends");
            let stated = if stated == "no limit" { "none" } else { stated };
            let stated = if stated == "the server's" { "none" } else { stated };
            assert_eq!(default, stated, "{document}: {option}");
            compared += 1;
        }
    }
    assert!(compared >= 10, "only {compared} defaults were compared");
}

#[test]
fn blocks_are_found_with_the_comment_above() {
    let text = "a\n<!-- run by x -->\n```sh\nls\n```\n\n````markdown\n```rust\n````\n";
    let block = |info: &str, text: &str, comment: Option<&str>| Block {
        info: info.into(),
        text: text.into(),
        comment: comment.map(str::to_owned),
    };
    let expected = [block("sh", "ls\n", Some("run by x")), block("markdown", "```rust\n", None)];
    assert_eq!(blocks(text), expected);
}

/// The packages that `package` depends on, by name, without itself.
fn tree(package: &str, more: &[&str]) -> BTreeSet<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).args(["tree", "--offline", "--locked"]);
    cargo.args(["--edges=normal", "--prefix=none", "--package", package]).args(more);
    let output = cargo.output().expect("cargo runs these tests");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = String::from_utf8(output.stdout).expect("it is text");
    let names = output.lines().filter_map(|line| line.split(' ').next());
    names.filter(|name| !name.is_empty() && *name != package).map(str::to_owned).collect()
}

/// The fenced blocks of a document.
fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut fence: Option<String> = None;
    let mut above = "";
    for line in text.lines() {
        match &fence {
            Some(open) if line.trim() == *open => fence = None,
            Some(_) => {
                let block = blocks.last_mut().expect("a fence begins a block");
                block.text += line;
                block.text += "\n";
            }
            None if line.trim_start().starts_with("```") => {
                let info = line.trim_start().trim_start_matches('`');
                fence = Some("`".repeat(line.trim_start().len() - info.len()));
                let comment =
                    above.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
                let (info, comment) = (info.to_owned(), comment.map(str::to_owned));
                blocks.push(Block { info, text: String::new(), comment });
            }
            None => {}
        }
        above = line.trim();
    }
    blocks
}

/// The documents, by path, with their texts.
fn documents() -> Vec<(String, String)> {
    let guides = fs::read_dir(root().join("docs")).expect("the repository can be read");
    let guides = guides.map(|entry| entry.expect("the repository can be read").file_name());
    let guides = guides.filter_map(|name| name.into_string().ok());
    let guides = guides.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}"));
    let others = ["README.md", "CONTRIBUTING.md"].map(str::to_owned);
    guides.chain(others).map(|name| (name.clone(), read(&name))).collect()
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).expect("the file can be read")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
