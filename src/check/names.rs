//! What the name of a file says: secrets, backups, programs; names that collide, or that other
//! systems cannot save.

use std::collections::BTreeMap;

use doorstep_core::log;
use unicode_normalization::UnicodeNormalization;

use super::kind::Kind;
use crate::secrets;

/// Endings of backups and dumps.
const BACKUP_ENDINGS: [&str; 13] = [
    "~", ".bak", ".dump", ".old", ".orig", ".rej", ".save", ".sql", ".sqlite", ".sqlite3", ".swo",
    ".swp", ".tmp",
];

/// Endings of programs that a web server would run.
const PROGRAM_ENDINGS: [&str; 8] =
    [".asp", ".aspx", ".cfm", ".cgi", ".jsp", ".php", ".phtml", ".php5"];

/// What the name of a served file or directory says about its content.
pub(super) fn content(name: &[u8], is_directory: bool) -> Option<Kind> {
    if secrets::is_secret_name(name, is_directory) {
        return Some(Kind::SecretName);
    }
    let name = String::from_utf8_lossy(name).to_lowercase();
    let ends = |endings: &[&str]| {
        endings.iter().any(|ending| name.len() > ending.len() && name.ends_with(ending))
    };
    if ends(&BACKUP_ENDINGS) || name.len() > 2 && name.starts_with('#') && name.ends_with('#') {
        return Some(Kind::Backup);
    }
    ends(&PROGRAM_ENDINGS).then_some(Kind::SourceCode)
}

/// Why other systems and programs have difficulties with a name.
pub(super) fn difficulty(name: &[u8]) -> Option<(Kind, &'static str)> {
    if str::from_utf8(name).is_err() {
        return Some((Kind::NameEncoding, ""));
    }
    let mut escaped = Vec::new();
    log::escape_controls(&mut escaped, name);
    if escaped != name {
        return Some((Kind::ControlCharacters, ""));
    }
    let reason = if name.ends_with(b".") {
        "ends with a dot"
    } else if name.ends_with(b" ") {
        "ends with a space"
    } else if name.iter().any(|byte| b"<>:\"\\|?*".contains(byte)) {
        "has one of < > : \" \\ | ? *"
    } else if is_device(name) {
        "is the name of a device there"
    } else {
        return None;
    };
    Some((Kind::NameWindows, reason))
}

/// Whether Windows takes the name for a device, whatever its extension is.
fn is_device(name: &[u8]) -> bool {
    let stem = name.split(|&byte| byte == b'.').next().unwrap_or_default();
    let stem = stem.trim_ascii_end().to_ascii_lowercase();
    matches!(
        &*stem,
        b"con"
            | b"prn"
            | b"aux"
            | b"nul"
            | [b'c', b'o', b'm', b'1'..=b'9']
            | [b'l', b'p', b't', b'1'..=b'9']
    )
}

/// The names of one directory that some systems take for the same: each group with its kind, in the
/// order of the names.
pub(super) fn collisions<'n>(
    names: impl Iterator<Item = &'n [u8]>,
) -> impl Iterator<Item = (Kind, Vec<&'n str>)> {
    let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for name in names.filter_map(|name| str::from_utf8(name).ok()) {
        groups.entry(folded(name)).or_default().push(name);
    }
    groups.into_values().filter(|group| group.len() > 1).map(|group| {
        let mut forms: Vec<String> = group.iter().map(|name| name.nfc().collect()).collect();
        forms.dedup();
        let kind = match forms.len() {
            1 => Kind::NormalizationCollision,
            _ => Kind::CaseCollision,
        };
        (kind, group)
    })
}

fn folded(name: &str) -> String {
    match name.is_ascii() {
        true => name.to_ascii_lowercase(),
        false => name.nfd().collect::<String>().to_lowercase().nfc().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_backups_and_programs() {
        for (name, expected) in [
            (".git", Some(Kind::SecretName)),
            (".env.production", Some(Kind::SecretName)),
            (".env.example", None),
            ("ID_RSA", Some(Kind::SecretName)),
            ("id_rsa.pub", None),
            ("vault.KDBX", Some(Kind::SecretName)),
            ("index.html~", Some(Kind::Backup)),
            (".notes.txt.swp", Some(Kind::Backup)),
            ("#notes#", Some(Kind::Backup)),
            ("#", None),
            ("~", None),
            ("dump.sql", Some(Kind::Backup)),
            ("a.php", Some(Kind::SourceCode)),
            (".php", None),
            ("index.html", None),
        ] {
            assert_eq!(content(name.as_bytes(), false), expected, "{name}");
        }
    }

    #[test]
    fn names_that_are_difficult_elsewhere() {
        let kind = |name: &[u8]| difficulty(name).map(|(kind, _)| kind);
        for name in ["a\u{202e}gpj.exe", "a\nb", "a\x1b[31m", "\u{200b}"] {
            assert_eq!(kind(name.as_bytes()), Some(Kind::ControlCharacters), "{name:?}");
        }
        for name in ["a.", "a ", "a:b", "CON", "nul.txt", "com1.tar.gz", "what?"] {
            assert_eq!(kind(name.as_bytes()), Some(Kind::NameWindows), "{name:?}");
        }
        assert_eq!(kind(b"caf\xe9"), Some(Kind::NameEncoding));
        for name in ["a b.txt", "caf\u{e9}", "console", "com0", "com10", "\u{1f600}", ".a"] {
            assert_eq!(kind(name.as_bytes()), None, "{name:?}");
        }
    }

    #[test]
    fn names_collide_by_case_and_by_normalization() {
        let names =
            ["A.txt", "a.txt", "cafe\u{301}", "caf\u{e9}", "e", "Straße", "\u{c9}", "e\u{301}"];
        let found: Vec<_> = collisions(names.iter().map(|name| name.as_bytes())).collect();
        let expected = [
            (Kind::CaseCollision, vec!["A.txt", "a.txt"]),
            (Kind::NormalizationCollision, vec!["cafe\u{301}", "caf\u{e9}"]),
            (Kind::CaseCollision, vec!["\u{c9}", "e\u{301}"]),
        ];
        assert_eq!(found, expected);
        assert_eq!(collisions([b"a".as_slice(), b"b", b"\xff", b"\xfe"].into_iter()).count(), 0);
    }
}
