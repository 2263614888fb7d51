//! The help, the manual page and the completions, as a terminal, `man` and shells see them.
#![cfg(feature = "cli")]

mod support;

use std::fs;
use std::io::Read;
use std::process::{Command, Output, Stdio};

use support::{doorstep, text};

/// The screen of many terminals, and of printed instructions.
const MAX_COLUMNS: usize = 100;

fn run(arguments: &[&str]) -> Output {
    doorstep(arguments).output().expect("the command starts")
}

fn printed(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!((output.status.code(), &*text(&output.stderr)), (Some(0), ""), "{arguments:?}");
    text(&output.stdout)
}

#[test]
fn the_short_help_has_one_line_for_each_option() {
    for command in [&["-h"][..], &["check", "-h"]] {
        let help = printed(command);
        let is_option = |line: &&str| line.starts_with("  -") || line.starts_with("      --");
        assert!(help.lines().filter(is_option).count() > 5, "{help}");
        for line in help.lines() {
            assert!(line.chars().count() <= MAX_COLUMNS, "{line}");
            assert!(!line.starts_with("          "), "a second line: {line}");
        }
    }
    let help = printed(&["-h"]);
    assert!(help.lines().count() <= 72, "{} lines", help.lines().count());
    let last = help.lines().last().expect("it has lines");
    assert!(last.contains("doorstep --help"), "{last}");
}

#[test]
fn the_long_help_has_every_option_with_its_explanation() {
    let (short, long) = (printed(&["-h"]), printed(&["--help"]));
    assert!(long.contains("--timeout-linger") && !short.contains("--timeout-linger"));
    assert!(long.contains("By default they are 404, except for /.well-known/."));
    assert!(!short.contains("except for /.well-known/."));
    assert!(long.contains("Units:") && long.contains("Examples:"));
    assert!(printed(&["check", "--help"]).contains("Exit code: 0"));
}

#[test]
fn the_manual_has_the_usual_sections_and_every_option() {
    let page = printed(&["man"]);
    let mut rest = &*page;
    for section in [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "OPTIONS",
        "COMMANDS",
        "EXIT STATUS",
        "ENVIRONMENT",
        "SIGNALS",
        "FILES",
        "EXAMPLES",
        "SEE ALSO",
    ] {
        let found = rest.split_once(&format!("\n.SH {section}\n"));
        rest = found.unwrap_or_else(|| unreachable!("no section {section} in {rest}")).1;
    }
    let plain = page.replace("\\-", "-").replace("\\fB", "").replace("\\fR", "");
    for line in printed(&["--help"]).lines() {
        let word = line.trim_start().trim_start_matches("-H, ").split([' ', '[']).next();
        if let Some(option) = word.filter(|word| word.starts_with("--")) {
            assert!(plain.contains(option), "the manual has no {option}");
        }
    }
    assert!(
        plain.contains("HTTP protocol version of the responses"),
        "a text without a second part"
    );
}

#[test]
fn the_manual_has_every_exit_code_and_shares_one_file() {
    let page = printed(&["man"]);
    let (_, rest) = page.split_once(".SH EXIT STATUS\n").expect("it has the section");
    let (codes, rest) = rest.split_once("\n.SH ").expect("there is another one");
    let found: Vec<_> = codes.split(".TP\n.B ").skip(1).map(|entry| &entry[..1]).collect();
    assert_eq!(found, ["0", "1", "2", "3"]);
    let last = codes.split(".TP\n.B 3\n").nth(1).unwrap_or_default().replace('\\', "");
    for option in ["--count", "--for", "--idle-exit"] {
        assert!(last.contains(option), "{option} in {last}");
    }
    assert!(rest.contains("\ndoorstep report.pdf \\-\\-count 1"), "{rest}");
}

/// `groff -ww` warns of everything. `mandoc` is not installed everywhere: tests/debian.rs has it.
#[test]
#[cfg(target_os = "linux")]
fn the_manual_is_formatted_without_warnings() {
    let page = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    fs::write(page.path(), printed(&["man"])).expect("it can be written");
    let mut groff = Command::new("groff");
    let Ok(output) = groff.args(["-ww", "-man", "-Tutf8"]).arg(page.path()).output() else {
        return; // groff is not installed
    };
    assert_eq!((output.status.success(), &*text(&output.stderr)), (true, ""));
    assert!(text(&output.stdout).contains("DOORSTEP(1)"));
}

#[test]
fn completions_are_valid_and_name_options_and_subcommands() {
    let script = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let completions = printed(&["completions", shell]);
        for word in ["timeout-keep-alive", "check", "completions"] {
            assert!(completions.contains(word), "{shell}: {word}");
        }
        fs::write(script.path(), completions).expect("it can be written");
        // Shells that are not installed are left out; bash is.
        match Command::new(shell).arg("-n").arg(script.path()).output() {
            Ok(output) if matches!(shell, "bash" | "zsh" | "fish") => {
                assert!(output.status.success(), "{shell}: {}", text(&output.stderr));
            }
            _ => assert_ne!(shell, "bash"),
        }
    }
}

#[test]
fn bash_completes_an_option_and_a_subcommand() {
    let script = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    fs::write(script.path(), printed(&["completions", "bash"])).expect("it can be written");
    let complete = |words: &str, index: usize| {
        let test = format!(
            "source {}; COMP_WORDS=(doorstep {words}); COMP_CWORD={index}; \
             _doorstep doorstep \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            script.path().display()
        );
        let output = Command::new("bash").args(["--norc", "-c", &test]).output();
        text(&output.expect("bash is installed").stdout)
    };
    assert_eq!(complete("--precom", 1), "--precompressed\n");
    assert_eq!(complete("comple", 1), "completions\n");
    assert!(complete("completions ''", 2).contains("zsh"));
}

#[test]
fn bash_completes_files_and_directories_wherever_a_path_may_stand() {
    let (script, root) = (tempfile::NamedTempFile::new(), tempfile::tempdir());
    let (script, root) = (script.expect("it can be made"), root.expect("it can be made"));
    fs::write(script.path(), printed(&["completions", "bash"])).expect("it can be written");
    fs::create_dir(root.path().join("site")).expect("it can be made");
    fs::write(root.path().join("a file"), "").expect("it can be written");
    let complete = |words: &str, index: usize| {
        let test = format!(
            "compopt() {{ echo \"$2\"; }}; source {}; COMP_WORDS=(doorstep {words}); \
             COMP_CWORD={index}; _doorstep doorstep \"${{COMP_WORDS[COMP_CWORD]}}\" \
             \"${{COMP_WORDS[COMP_CWORD-1]}}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            script.path().display()
        );
        let mut bash = Command::new("bash");
        let output = bash.args(["--norc", "-c", &test]).current_dir(root.path()).output();
        let text = text(&output.expect("bash is installed").stdout);
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let has = |found: &[String], word: &str| found.iter().any(|found| found == word);
    for (words, index) in
        [("''", 1), ("8000 ''", 2), ("-q ''", 2), ("check ''", 2), ("check --hidden ''", 3)]
    {
        let found = complete(words, index);
        assert!(has(&found, "site") && has(&found, "a file"), "{words}: {found:?}");
        assert_eq!(has(&found, "check"), index == 1, "{words}: {found:?}");
        assert!(!found.iter().any(|word| word.starts_with(['-', '['])), "{words}: {found:?}");
    }
    assert!(has(&complete("si", 1), "site") && has(&complete("check si", 2), "site"));
    assert!(has(&complete("--directory si", 2), "plusdirs"));
    for option in
        ["--auth-file", "--access-log", "--error-log", "--mime-types", "--spa", "--tls-cert"]
    {
        let found = complete(&format!("{option} ''"), 2);
        assert!(has(&found, "a file") && has(&found, "filenames"), "{option}: {found:?}");
    }
    assert!(
        has(&complete("--uplo", 1), "--upload") && has(&complete("8000 --uplo", 2), "--upload")
    );
    assert_eq!(complete("--runtime b", 2), ["blocking"]);
}

/// The paragraphs of options are filled: none has a line that was wrapped by somebody else before.
#[test]
fn the_long_help_is_wrapped_to_the_terminal() {
    const INDENT: usize = 10;
    for (width, arguments) in [60, 80, 100, 120]
        .into_iter()
        .flat_map(|width| [(width, &["--help"][..]), (width, &["check", "--help"])])
    {
        let mut command = doorstep(arguments);
        command.env("COLUMNS", width.to_string()).stdin(Stdio::null());
        let help = text(&command.output().expect("it starts").stdout);
        let columns = MAX_COLUMNS.min(width);
        let is_prose = |line: &str| {
            let text = line.trim_start();
            line.len() - text.len() == INDENT
                && !text.is_empty()
                && !text.starts_with(['-', '['])
                && !text.ends_with(':')
        };
        let lines: Vec<_> = help.lines().collect();
        assert!(lines.iter().filter(|line| is_prose(line)).count() > 20, "{help}");
        for (line, next) in lines.iter().zip(&lines[1..]) {
            let is_one_word = line.split_whitespace().count() == 1;
            assert!(line.chars().count() <= columns || is_one_word, "{width}: {line}");
            let word = next.split_whitespace().next().unwrap_or_default();
            if is_prose(line) && is_prose(next) && !word.is_empty() {
                let filled = line.trim_end().chars().count() + 1 + word.chars().count();
                assert!(filled > columns, "{width}: {line}\n{next}");
            }
        }
    }
}

#[test]
fn an_unknown_shell_is_a_usage_error() {
    let output = run(&["completions", "tcsh"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("possible values: bash, elvish, fish"));
    let output = run(&["completions"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_reader_that_stops_reading_is_no_error() {
    for arguments in [&["man"][..], &["completions", "zsh"], &["--help"]] {
        let mut command = doorstep(arguments);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        drop(child.stdout.take()); // possibly before the command writes, possibly after
        let mut errors = String::new();
        let mut stderr = child.stderr.take().expect("it is piped");
        stderr.read_to_string(&mut errors).expect("it is text");
        let status = child.wait().expect("it ends");
        assert_eq!((status.code(), &*errors), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_error() {
    let full = fs::File::create("/dev/full").expect("Linux has it");
    let output = doorstep(&["man"]).stdout(full).output().expect("it starts");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("cannot write to stdout: No space left"));
}
