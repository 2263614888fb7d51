//! The documentation of the settings against their values.
//!
//! Each public field of a settings struct ends its documentation with its default. These tests read
//! the source, and compare every default that is a number, a time, a truth value or a text with that
//! of `Default`, which is read from its `Debug` output: so a field that is added is checked as well.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::path::Path;
use std::time::Duration;

use doorstep::core::form_data::FormLimits;
use doorstep::core::http1::{Limits, Timeouts};
use doorstep::core::site::Site;
use doorstep::core::site::media_type::MediaTypes;
use doorstep::driver::Config;
use doorstep::driver::auth::AuthSettings;
use doorstep::driver::cgi::CgiSettings;
use doorstep::driver::files::CacheLimits;
use doorstep::driver::net::BindOptions;
use doorstep::driver::os::{LogSettings, Rlimits};
use doorstep::driver::permit_wait::PermitTimeouts;
use doorstep::driver::upload::UploadSettings;
use regex::Regex;

/// docs/stability.md names the settings that this file compares.
#[test]
fn the_list_of_settings_is_complete() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/stability.md"));
    let page = page.expect("the document can be read");
    let (_, list) = page.split_once("**Settings** (").expect("the list is there");
    let (list, _) = list.split_once(')').expect("the list ends");
    let listed: BTreeSet<_> =
        list.split([',', ' ', '\n', '`']).filter(|it| !it.is_empty()).collect();
    let compared = Regex::new(r"(?m)^ +compare\(&(\w+)::default\(\)").expect("it is a pattern");
    let compared = compared.captures_iter(include_str!("settings_docs.rs"));
    let compared: BTreeSet<_> = compared.filter_map(|found| Some(found.get(1)?.as_str())).collect();
    assert_eq!(listed, compared);
}

#[test]
fn settings_document_every_default_and_are_non_exhaustive() {
    let compared = [
        compare(&Limits::default(), "core/src/http1/limits.rs"),
        compare(&Timeouts::default(), "core/src/http1/limits.rs"),
        compare(&FormLimits::default(), "core/src/form_data.rs"),
        compare(&Site::default(), "core/src/site/mod.rs"),
        compare(&Config::default(), "driver/src/config.rs"),
        compare(&AuthSettings::default(), "driver/src/auth/settings.rs"),
        compare(&CgiSettings::default(), "driver/src/cgi/settings.rs"),
        compare(&CacheLimits::default(), "driver/src/files/cache_limits.rs"),
        compare(&UploadSettings::default(), "driver/src/upload/settings.rs"),
        compare(&LogSettings::default(), "driver/src/os/log_settings.rs"),
        compare(&MediaTypes::default(), "core/src/site/media_type.rs"),
        compare(&PermitTimeouts::default(), "driver/src/permit_wait.rs"),
        compare(&Rlimits::default(), "driver/src/os/rlimits.rs"),
        compare(&BindOptions::default(), "driver/src/net/listen.rs"),
    ];
    assert!(compared.iter().sum::<usize>() > 60, "few defaults were compared: {compared:?}");
}

#[test]
fn defaults_are_read_as_people_read_them() {
    for (documented, value) in [
        ("64 KiB", "65536"),
        ("64 KiB/s", "65536"),
        ("250 B/s", "250"),
        ("100,000", "100000"),
        ("100, which is the maximum", "100"),
        ("250 ms", "250ms"),
        ("60 s", "60s"),
        ("false, because it costs a call", "false"),
        ("`no-cache`, which revalidates", "\"no-cache\""),
        ("none", "None"),
        ("none", "[]"),
        ("empty", "\"\""),
        ("`404.html`", "Some(\"404.html\")"),
        ("those of [`Limits`]", "Limits {"),
    ] {
        assert!(agrees(documented, value).unwrap_or(true), "{documented} is {value}");
    }
    for (documented, value) in [
        ("64 KiB", "64"),
        ("64 KB", "65536"),
        ("60 s", "6s"),
        ("60", "60s"),
        ("true", "false"),
        ("none", "Some(\"a\")"),
        ("`a`", "\"b\""),
        ("the usual number", "7"),
    ] {
        assert_eq!(agrees(documented, value), Some(false), "{documented} is not {value}");
    }
}

#[test]
fn fields_are_found_with_their_documentation() {
    let source = "/// A.\npub struct A {\n    /// One,\n    /// two.\n    pub a: u8,\n    b: u8,\n    \
                  pub c: u8,\n}\npub struct B {\n    /// Three.\n    pub d: u8,\n}\n";
    let expected = [("a".to_owned(), "One, two.".to_owned()), ("c".to_owned(), String::new())];
    assert_eq!(documented_fields(source, "A"), expected);
}

/// Compares the documentation of the fields of `T` in `path` with the values in `defaults`, and
/// checks that `T` can have more fields without breaking a program (docs/stability.md). Returns how
/// many values were compared.
fn compare<T: Debug>(defaults: &T, path: &str) -> usize {
    let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path));
    let debug = format!("{defaults:#?}");
    let name = debug.split_once(" {").expect("it is a struct").0;
    let source = source.expect("the source can be read");
    let start = format!("#[non_exhaustive]\npub struct {name} {{\n");
    assert!(source.contains(&start), "{name} is not non_exhaustive");
    let fields = documented_fields(&source, name);
    let values = values(&debug);
    let [documented, existing] =
        [&fields, &values].map(|all| all.iter().map(|(field, _)| field).collect::<Vec<_>>());
    assert_eq!(documented, existing, "the public fields of {name} in {path}");
    let mut compared = 0;
    for ((field, documentation), (_, value)) in fields.iter().zip(&values) {
        let documented = documented_default(documentation);
        assert!(documented.is_some(), "{name}::{field}: no \"Default: …\" in its documentation");
        let agrees = documented.and_then(|documented| agrees(documented, value));
        assert!(agrees != Some(false), "{name}::{field} is {value}, not {documented:?}");
        compared += usize::from(agrees.is_some());
    }
    compared
}

/// The public fields of the struct `name` in `source`, each with its documentation as one line.
fn documented_fields(source: &str, name: &str) -> Vec<(String, String)> {
    let start = format!("pub struct {name} {{\n");
    let body = source.split_once(&start).expect("the struct is there").1;
    let body = body.split_once("\n}").expect("the struct ends").0;
    let mut documentation = Vec::new();
    let mut fields = Vec::new();
    for line in body.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            documentation.push(text.trim());
            continue;
        }
        if let Some((field, _)) = line.strip_prefix("pub ").and_then(|line| line.split_once(':')) {
            fields.push((field.to_owned(), documentation.join(" ")));
        }
        documentation.clear();
    }
    fields
}

/// The fields of a struct and the beginning of their values, from its indented `Debug` output.
fn values(debug: &str) -> Vec<(String, String)> {
    let field = Regex::new(r"(?m)^    (\w+): (.*)$").expect("it is a pattern");
    let mut all: Vec<_> = Vec::new();
    for found in field.captures_iter(debug) {
        let rest = &debug[found.get(2).expect("it matched").start()..];
        let end = ["\n    }", "\n    ]", "\n    )"].iter().filter_map(|end| rest.find(end)).min();
        let is_whole = found[2].ends_with(',');
        let value = match (is_whole, end) {
            (false, Some(end)) => rest[..end].to_owned() + &rest[end + 5..=end + 5],
            _ => found[2].trim_end_matches(',').to_owned(),
        };
        let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
        all.push((found[1].to_owned(), value.replace("( ", "(").replace(",)", ")")));
    }
    all
}

/// What follows "Default: " up to the end of the sentence.
fn documented_default(documentation: &str) -> Option<&str> {
    let default = documentation.rsplit_once("Default: ")?.1;
    Some(default.split_once(". ").map_or(default, |(first, _)| first).trim_end_matches('.'))
}

/// Whether a documented default is `value`, in `Debug` form; `None` if the value is of a kind that
/// is not compared.
fn agrees(documented: &str, value: &str) -> Option<bool> {
    let first = documented.split([',', ' ']).next().unwrap_or("");
    if let Some(quoted) = value.strip_prefix("Some(").unwrap_or(value).strip_prefix('"') {
        let text = quoted.trim_end_matches(')').trim_end_matches('"');
        let exact = documented.strip_prefix('`').and_then(|rest| rest.split_once('`'));
        let is_it = |exact: &str| text == exact || exact.ends_with('/') && text.starts_with(exact);
        if text.is_empty() {
            return Some(first == "empty");
        }
        return Some(exact.is_some_and(|(exact, _)| is_it(exact)));
    }
    match value {
        "true" | "false" => Some(first == value),
        "None" | "[]" => Some(matches!(first, "none" | "`None`")),
        _ => {
            let is_number = value.bytes().all(|b| b.is_ascii_digit());
            let is_time = value.trim_end_matches('s').trim_end_matches('m');
            let is_time = !is_number && is_time.bytes().all(|b| b.is_ascii_digit() || b == b'.');
            match (is_number, is_time) {
                (true, _) => Some(number(documented).is_some_and(|n| n.to_string() == value)),
                (_, true) => Some(time(documented).is_some_and(|t| format!("{t:?}") == value)),
                _ => None,
            }
        }
    }
}

/// `100,000`, `64 KiB`, `250 B/s`.
fn number(documented: &str) -> Option<u64> {
    let form = Regex::new(r"^(\d{1,3}(?:,\d{3})*)(?: ([KMG]iB|B)(?:/s)?)?(?:, |$)");
    let found = form.expect("it is a pattern").captures(documented)?;
    let shift = match found.get(2).map(|unit| unit.as_str()) {
        Some("KiB") => 10,
        Some("MiB") => 20,
        Some("GiB") => 30,
        _ => 0,
    };
    Some(found[1].replace(',', "").parse::<u64>().ok()? << shift)
}

/// `60 s`, `250 ms`.
fn time(documented: &str) -> Option<Duration> {
    let (number, unit) = documented.split_once(' ')?;
    let number = number.parse().ok()?;
    match unit {
        "s" => Some(Duration::from_secs(number)),
        "ms" => Some(Duration::from_millis(number)),
        _ => None,
    }
}
