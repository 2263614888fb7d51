//! `doorstep man`: the manual page, in roff with the macros of man(7).
//!
//! Name, options and their texts are those of `--help`; the other sections are in `manual.roff`.

use std::io;

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::stdout;

/// The sections after the options.
const SECTIONS: &str = include_str!("manual.roff");

const SYNOPSIS: &str = "\
.SH SYNOPSIS
.B doorstep
.RI [ options ]
.RI [ port ]
.RI [ path ]
.br
.B doorstep check
.RI [ options ]
.RI [ directory ]
.br
.B doorstep completions
.I shell
.br
.B doorstep man
";

const DESCRIPTION: &str = "\
.SH DESCRIPTION
Serves the files of a directory over HTTP/1.1 until it is stopped by Ctrl\\-C or SIGTERM.
Arguments, banner, log lines and exit codes are those of
.BR \"python \\-m http.server\" .
By default it serves the current directory on port 8000, on all addresses of the machine:
.B \\-\\-bind 127.0.0.1
serves this machine only.
Names that begin with a dot are not served, and links out of the directory are
not followed.
.PP
Options may be abbreviated while they are unambiguous; commands may not.
A SIZE is in bytes, or has K, M, G or T, in steps of 1024: 4096, 64K, 1.5G.
A TIME is in seconds, or has a unit: 90, 500ms, 5m, 2h; \\(dqnone\\(dq is no limit.
";

/// Prints the manual page.
pub(crate) fn print() -> Result<(), Failure> {
    stdout::print(page().map_err(Failure::Print)?.as_bytes())
}

fn page() -> io::Result<String> {
    let mut command = Arguments::command(); // with the help that `-h` does not show
    command.build();
    let man = Man::new(command.clone());
    // Without a date: the page is the same whenever it is made.
    let version = env!("CARGO_PKG_VERSION");
    let mut page =
        format!(".TH DOORSTEP 1 \"\" \"doorstep {version}\" \"User Commands\"\n").into_bytes();
    man.render_name_section(&mut page)?;
    page.extend_from_slice(SYNOPSIS.as_bytes());
    page.extend_from_slice(DESCRIPTION.as_bytes());
    page.extend_from_slice(options(&man, &command)?.as_bytes());
    page.extend_from_slice(SECTIONS.as_bytes());
    Ok(without_empty_lines(&String::from_utf8_lossy(&page)))
}

/// Replaces empty lines by the macro for space between paragraphs, which makes another break useless.
fn without_empty_lines(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        match line {
            "" => out.push_str(".sp\n"),
            ".br" if out.ends_with(".sp\n") => {}
            line => out.extend([line, "\n"]),
        }
    }
    out
}

/// The section OPTIONS, in which each heading of the help is a subsection.
fn options(man: &Man, command: &Command) -> io::Result<String> {
    let mut section = Vec::new();
    man.render_options_section(&mut section)?;
    let mut section = String::from_utf8_lossy(&section).into_owned();
    for heading in command.get_arguments().filter_map(clap::Arg::get_help_heading) {
        let title = heading.to_uppercase();
        for written in [format!(".SH \"{title}\"\n"), format!(".SH {title}\n")] {
            section = section.replace(&written, &format!(".SS \"{heading}\"\n"));
        }
    }
    Ok(section)
}
