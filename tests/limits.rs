//! `--limits` against the settings: every field that bounds something has its line, and every deadline
//! a test in docs/limits.md.
#![cfg(feature = "cli")]

mod support;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::path::Path;

use doorstep::core::http1::{Limits, Timeouts};
use doorstep::core::site::Site;
use doorstep::driver::Config;
use doorstep::driver::auth::AuthSettings;
use doorstep::driver::cgi::CgiSettings;
use doorstep::driver::files::CacheLimits;
use doorstep::driver::net::BindOptions;
use doorstep::driver::os::{LogSettings, Rlimits};
use doorstep::driver::upload::UploadSettings;
use regex::Regex;
use support::{RUNTIMES, doorstep, text};

/// The fields that bound nothing, or have bounds of their own.
const NOT_BOUNDS: [&str; 35] = [
    "listen.reuse_port",
    "config.limits",
    "config.timeouts",
    "config.protocol",
    "config.server",
    "config.headers",
    "config.error_pages",
    "config.trusted_proxies",
    "config.prefix",
    "config.transfers",
    "config.https_redirect",
    "site.index",
    "site.listing",
    "site.readme",
    "site.archive",
    "site.spa",
    "site.not_found_page",
    "site.hidden",
    "site.media_types",
    "site.cache_control",
    "site.immutable",
    "site.precompressed",
    "site.cors",
    "site.unlisted_directories",
    "upload.directory",
    "upload.overwrite",
    "upload.sync",
    "cgi.directories",
    "cgi.hidden",
    "cgi.symlinks",
    "cgi.cors",
    "cgi.variables",
    "cgi.software",
    "cgi.user",
    "cgi.rlimits",
];

/// Options that switch everything on that has bounds.
const EVERYTHING: [&str; 3] = ["--cgi", "--auth-env=DOORSTEP_USER", "--upload"];

/// What `--limits` prints with these options.
fn limits(options: &[&str]) -> String {
    let mut command = doorstep(options);
    let output = command
        .arg("--limits")
        .env("DOORSTEP_USER", "user:password")
        .output()
        .expect("the command starts");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    text(&output.stdout)
}

/// The lines with bounds: name, value, option, and what happens beyond it.
fn bounds(report: &str) -> Vec<[String; 4]> {
    let line = Regex::new(r"(?m)^  ([a-z]+(?:\.[a-z_]+)+) {2,}(\S+(?: \S+)?)  (\S+) {2,}(\S.*)$");
    let line = line.expect("it is a pattern");
    line.captures_iter(report).map(|found| [1, 2, 3, 4].map(|at| found[at].to_owned())).collect()
}

fn names(report: &str) -> BTreeSet<String> {
    bounds(report).into_iter().map(|[name, ..]| name).collect()
}

fn value(report: &str, name: &str) -> String {
    let all = bounds(report);
    all.into_iter().find(|[other, ..]| other == name).expect("it has a line")[1].clone()
}

/// The fields of a struct, as `name.field`.
fn fields(name: &str, defaults: &impl Debug) -> Vec<String> {
    let field = Regex::new(r"(?m)^    (\w+): ").expect("it is a pattern");
    let debug = format!("{defaults:#?}");
    field.captures_iter(&debug).map(|found| format!("{name}.{}", &found[1])).collect()
}

#[test]
fn every_field_that_bounds_something_has_a_line() {
    let mut expected: BTreeSet<String> = [
        fields("limits", &Limits::default()),
        fields("timeouts", &Timeouts::default()),
        fields("config", &Config::default()),
        fields("site", &Site::default()),
        fields("cache", &CacheLimits::default()),
        fields("cgi", &CgiSettings::default()),
        fields("cgi.rlimits", &Rlimits::default()),
        fields("log", &LogSettings::default()),
        fields("listen", &BindOptions::default()),
        fields("auth", &AuthSettings::default()),
        fields("upload", &UploadSettings::default()),
    ]
    .concat()
    .into_iter()
    .collect();
    for name in NOT_BOUNDS {
        assert!(expected.remove(name), "there is no field {name}");
    }
    assert!(expected.len() > 70, "{expected:?}");
    for runtime in RUNTIMES {
        let mut printed = names(&limits(&[&EVERYTHING[..], &[runtime]].concat()));
        printed.retain(|name| !name.starts_with("stop."));
        assert_eq!(printed, expected, "{runtime}");
    }
}

/// The first paragraph of docs/limits.md names the structs whose fields have lines.
#[test]
fn the_page_names_every_struct_with_bounds() {
    let page = read("docs/limits.md");
    let (_, list) = page.split_once("settings struct: ").expect("the list is there");
    let (list, _) = list.split_once(". ").expect("the list ends");
    let name = Regex::new(r"`([A-Z]\w+)`").expect("it is a pattern");
    let listed = name.captures_iter(list).map(|found| found[1].to_owned());
    let printed = Regex::new(r#"fields\("[a-z.]+", &(\w+)::"#).expect("it is a pattern");
    let printed = printed.captures_iter(include_str!("limits.rs"));
    let printed: BTreeSet<_> = printed.map(|found| found[1].to_owned()).collect();
    assert_eq!(listed.collect::<BTreeSet<_>>(), printed);
}

#[test]
fn values_are_those_of_the_options() {
    for (runtime, connections) in RUNTIMES.into_iter().zip(["1024", "10000"]) {
        let report = limits(&[runtime]);
        assert_eq!(value(&report, "config.max_connections"), connections);
        assert_eq!(value(&report, "timeouts.idle"), "60 s");
        assert_eq!(value(&report, "stop.exit"), "9 s");
        assert!(!report.contains("cgi."), "{report}");
        let report = limits(&[
            runtime,
            "--cgi",
            "--max-connections=100",
            "--timeout-keep-alive=none",
            "--grace=4",
            "--cgi-memory=1G",
        ]);
        assert_eq!(value(&report, "config.max_connections"), "100");
        assert_eq!(value(&report, "timeouts.idle"), "no limit");
        assert_eq!(value(&report, "stop.exit"), "4500 ms");
        assert_eq!(value(&report, "cgi.rlimits.memory"), "1 GiB");
    }
}

#[test]
fn the_worst_case_memory_follows_from_the_options() {
    let whole = |options: &[&str]| {
        let report = limits(options);
        let line = report.lines().find(|line| line.starts_with("  the whole server"));
        let words = line.expect("it has a line").split_whitespace().skip(3);
        let words: Vec<_> = words.take(2).collect();
        let scale = match words[1] {
            "MiB" => 1,
            "GiB" => 1 << 10,
            "TiB" => 1 << 20,
            unit => unreachable!("{unit} in {report}"),
        };
        words[0].parse::<u64>().expect("it is a number") * scale
    };
    for runtime in RUNTIMES {
        let small = whole(&[runtime, "--max-connections=16", "--no-listing"]);
        for more in [
            &["--max-connections=16"][..],
            &["--max-connections=64", "--no-listing"],
            &["--max-connections=16", "--no-listing", "--cgi"],
        ] {
            let more_of_it = whole(&[&[runtime], more].concat());
            assert!(small < more_of_it, "{runtime} {more:?}: {small} {more_of_it}");
        }
    }
}

#[test]
fn invalid_options_and_a_missing_directory_are_errors_as_ever() {
    for options in [&["--limits", "--max-body=big"][..], &["--limits", "-d", "/nowhere"]] {
        let output = doorstep(options).output().expect("the command starts");
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), String::new()));
    }
}

#[test]
fn docs_limits_md_has_what_is_printed_and_a_test_for_each_deadline() {
    let document = read("docs/limits.md");
    let documented = document.split_once("<!-- limits -->").expect("it has an example").1;
    let documented = documented.split_once("<!-- /limits -->").expect("the example ends").0;
    let printed = bounds(&limits(&EVERYTHING));
    assert_eq!(bounds(documented), printed, "docs/limits.md is not what --limits prints");

    let row = Regex::new(r"(?m)^\| `([a-z_.]+)` \| `([\w/.-]+)` \| `(\w+)` \|$");
    let rows: Vec<[String; 3]> = row
        .expect("it is a pattern")
        .captures_iter(&document)
        .map(|found| [1, 2, 3].map(|at| found[at].to_owned()))
        .collect();
    let is_time = |value: &str| value.ends_with(" s") || value.ends_with(" ms");
    let deadlines: BTreeSet<_> = printed
        .iter()
        .filter(|[name, value, ..]| is_time(value) && !name.starts_with("stop."))
        .map(|[name, ..]| name.as_str())
        .collect();
    let held: BTreeSet<_> = rows.iter().map(|[name, ..]| name.as_str()).collect();
    assert_eq!(held, deadlines, "the table of deadlines in docs/limits.md");
    for [name, file, test] in &rows {
        let found = read(file).contains(&format!("fn {test}("));
        assert!(found, "{name}: there is no {test} in {file}");
    }
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| unreachable!("{path:?}: {error}"))
}
