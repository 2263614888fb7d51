//! The findings, in bounded memory, and their JSON form.

use std::collections::BTreeMap;
use std::path::PathBuf;

use doorstep_core::{log, path};

use super::kind::{Advice, Kind, Severity};

/// The most findings of one kind that are kept. Beyond it they are only counted.
pub(super) const MAX_ITEMS: usize = 1_000;

/// What a check has found.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// The checked directory.
    pub(super) directory: PathBuf,
    /// The number of files and of directories that are served.
    pub(super) files: u64,
    pub(super) directories: u64,
    pub(super) groups: BTreeMap<Kind, Group>,
}

/// The findings of one kind.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// Their number; `items` has the first ones.
    pub(super) count: u64,
    pub(super) items: Vec<Item>,
    pub(super) advice: Advice,
}

/// A finding.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Item {
    /// The path from the checked directory, which is the empty path. Any bytes.
    pub(super) path: Vec<u8>,
    /// What is special about this one, such as the target of a link; often empty. Any bytes.
    pub(super) detail: Vec<u8>,
}

impl Report {
    pub(super) fn add(&mut self, kind: Kind, path: &[u8], detail: impl AsRef<[u8]>) {
        let group = self.groups.entry(kind).or_default();
        group.count += 1;
        group.advice.has_hidden |= path.split(|&byte| byte == b'/').any(path::is_hidden);
        if group.items.len() < MAX_ITEMS {
            let detail = detail.as_ref().to_vec();
            group.items.push(Item { path: path.to_vec(), detail });
        }
    }

    /// Notes that a link leads to a directory of the system, or to a home directory.
    pub(super) fn add_system_link(&mut self, kind: Kind) {
        self.groups.entry(kind).or_default().advice.leads_to_system = true;
    }

    /// Sorts the findings of each kind by path.
    pub(super) fn sort(&mut self) {
        self.groups.values_mut().for_each(|group| group.items.sort_unstable());
    }

    pub(super) fn warnings(&self) -> u64 {
        self.count(Severity::Warning)
    }

    pub(super) fn notes(&self) -> u64 {
        self.count(Severity::Note)
    }

    fn count(&self, severity: Severity) -> u64 {
        let groups = self.groups.iter().filter(|(kind, _)| kind.severity() == severity);
        groups.map(|(_, group)| group.count).sum()
    }

    /// One JSON object (RFC 8259), described in docs/check.md. In `path` and `detail`, control
    /// characters and bytes that are not UTF-8 are `\xNN`, and a backslash is doubled; `href` is exact.
    pub(super) fn to_json(&self) -> Vec<u8> {
        use std::os::unix::ffi::OsStrExt;

        let mut out = b"{\"version\":1,\"directory\":".to_vec();
        string(&mut out, self.directory.as_os_str().as_bytes());
        let Self { files, directories, .. } = self;
        let (warnings, notes) = (self.warnings(), self.notes());
        out.extend_from_slice(
            format!(
                ",\"files\":{files},\"directories\":{directories},\"warnings\":{warnings},\
                 \"notes\":{notes},\"findings\":["
            )
            .as_bytes(),
        );
        for (n, (kind, group)) in self.groups.iter().enumerate() {
            out.extend_from_slice(if n == 0 { b"\n{" } else { b",\n{" });
            out.extend_from_slice(
                format!(
                    "\"kind\":\"{}\",\"severity\":\"{}\",\"count\":{},\"title\":",
                    kind.name(),
                    kind.severity().as_str(),
                    group.count
                )
                .as_bytes(),
            );
            string(&mut out, kind.title().as_bytes());
            out.extend_from_slice(b",\"remedy\":");
            string(&mut out, kind.remedy(group.advice).as_bytes());
            out.extend_from_slice(b",\"items\":[");
            for (n, item) in group.items.iter().enumerate() {
                out.extend_from_slice(if n == 0 { b"\n {\"path\":" } else { b",\n {\"path\":" });
                string(&mut out, &item.path);
                out.extend_from_slice(b",\"href\":\"/");
                path::encode(&mut out, &item.path); // needs no JSON escape
                out.extend_from_slice(b"\",\"detail\":");
                match item.detail.is_empty() {
                    true => out.extend_from_slice(b"null"),
                    false => string(&mut out, &item.detail),
                }
                out.push(b'}');
            }
            out.extend_from_slice(b"]}");
        }
        out.extend_from_slice(b"\n]}\n");
        out
    }
}

/// Appends `text` as a JSON string, escaped as in logs before.
fn string(out: &mut Vec<u8>, text: &[u8]) {
    let mut escaped = Vec::new();
    log::escape(&mut escaped, text);
    out.push(b'"');
    for byte in escaped {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte); // there are no control characters left
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_exceeds_the_bound_is_counted() {
        let mut report = Report::default();
        for n in 0..MAX_ITEMS + 5 {
            report.add(Kind::Hidden, n.to_string().as_bytes(), "");
        }
        assert_eq!(report.groups[&Kind::Hidden].items.len(), MAX_ITEMS);
        assert_eq!((report.warnings(), report.notes()), (0, MAX_ITEMS as u64 + 5));
    }

    #[test]
    fn strings_are_escaped_for_terminals_and_for_json() {
        let mut out = Vec::new();
        string(&mut out, b"a\"\\\n\xff\xc3\xa9");
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#""a\"\\\\\\x0a\\xff"#.to_owned() + "\u{e9}\""
        );
    }
}
