//! The report for people.

use std::io;

use doorstep_core::log;

use super::kind::Severity;
use super::report::Report;
use crate::banner;

/// The most findings of one kind that are shown.
const MAX_SHOWN: usize = 20;

/// Whether stdout is to have colours.
pub(super) fn has_colors() -> bool {
    banner::has_colors(&io::stdout())
}

/// The groups of findings with their paths and what to do; last a line with the numbers.
pub(super) fn render(report: &Report, has_colors: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for (kind, group) in &report.groups {
        let (color, reset) = match (has_colors, kind.severity()) {
            (false, _) => ("", ""),
            (true, Severity::Warning) => ("\x1b[1;33m", "\x1b[0m"),
            (true, Severity::Note) => ("\x1b[1m", "\x1b[0m"),
        };
        let (severity, title, count) = (kind.severity().as_str(), kind.title(), group.count);
        push(&mut out, &format!("{color}{severity}:{reset} {title} ({count})\n"));
        for item in group.items.iter().take(MAX_SHOWN) {
            out.extend_from_slice(b"  ");
            match &*item.path {
                b"" => out.push(b'.'),
                path => log::escape_controls(&mut out, path),
            }
            if !item.detail.is_empty() {
                out.extend_from_slice(b": ");
                log::escape_controls(&mut out, &item.detail);
            }
            out.push(b'\n');
        }
        let shown = u64::try_from(group.items.len().min(MAX_SHOWN)).unwrap_or(u64::MAX);
        if let more @ 1.. = group.count.saturating_sub(shown) {
            push(&mut out, &format!("  and {more} more; see --format json\n"));
        }
        push(&mut out, &format!("  = {}\n\n", kind.remedy(group.advice)));
    }
    let count = |number: u64, one: &str, several: &str| match number {
        1 => format!("1 {one}"),
        number => format!("{number} {several}"),
    };
    push(
        &mut out,
        &format!(
            "{} in {}: {}, {}\n",
            count(report.files, "file", "files"),
            count(report.directories, "directory", "directories"),
            count(report.warnings(), "warning", "warnings"),
            count(report.notes(), "note", "notes"),
        ),
    );
    out
}

fn push(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::kind::Kind;
    use super::*;

    #[test]
    fn long_groups_are_shortened_and_names_are_escaped() {
        let mut report = Report { files: 1, directories: 2, ..Report::default() };
        for n in 0..MAX_SHOWN + 3 {
            report.add(Kind::LinkBroken, format!("{n:02}\x1b[31m").as_bytes(), "-> nowhere");
        }
        let text = String::from_utf8(render(&report, false)).unwrap();
        assert!(
            text.starts_with("warning: links that lead nowhere (23)\n  00\\x1b[31m: -> nowhere\n")
        );
        assert!(text.contains("\n  and 3 more; see --format json\n  = They are a 404"), "{text}");
        assert!(text.ends_with("\n1 file in 2 directories: 23 warnings, 0 notes\n"), "{text}");
        assert!(!text.contains('\x1b'));
        assert!(render(&report, true).starts_with(b"\x1b[1;33mwarning:\x1b[0m "));
    }
}
