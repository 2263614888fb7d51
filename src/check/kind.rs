//! The kinds of findings: name, severity, what it is, and what to do.

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    /// Visitors get what they should not, or miss what they should get.
    Warning,
    /// It may be intended.
    Note,
}

impl Severity {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// A kind of finding. Reports have them in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    PrivateKey,
    SecretName,
    Backup,
    SourceCode,
    LinkOutFollowed,
    LinkOut,
    LinkBroken,
    Unreadable,
    IndexShadowed,
    IndexNotFile,
    IndexCase,
    CaseCollision,
    NormalizationCollision,
    StalePrecompressed,
    ScriptNotExecutable,
    ControlCharacters,
    PathTooLong,
    ListingTruncated,
    Hidden,
    HiddenServed,
    LinkDenied,
    UnknownType,
    SpecialFile,
    LargeListing,
    WritableByAll,
    NameEncoding,
    NameWindows,
}

/// What is special about the findings of a kind, and decides about what to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Advice {
    /// Some are served because of `--hidden`.
    pub(super) has_hidden: bool,
    /// Some are links to a directory of the system, or to a home directory.
    pub(super) leads_to_system: bool,
}

impl Kind {
    /// The name in JSON. It does not change.
    pub(super) fn name(self) -> &'static str {
        self.row().0
    }

    pub(super) fn severity(self) -> Severity {
        match self < Self::Hidden {
            true => Severity::Warning,
            false => Severity::Note,
        }
    }

    /// What is found, in a few words.
    pub(super) fn title(self) -> &'static str {
        self.row().1
    }

    /// What it means, and what to do. `advice` is what applies to the findings.
    pub(super) fn remedy(self, advice: Advice) -> &'static str {
        match self {
            Self::SecretName if !advice.has_hidden => {
                "Visitors can download them. Move them out of the directory."
            }
            Self::LinkOut if advice.leads_to_system => {
                "They are not followed: 404. Some lead to directories of the system or of a user: copy what is meant to be served, or remove the links."
            }
            _ => self.row().2,
        }
    }

    fn row(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::PrivateKey => (
                "private-key",
                "private keys",
                "Visitors can download them. Move them out of the directory, and replace them if they were served.",
            ),
            Self::SecretName => (
                "secret-name",
                "names of files that usually hold secrets or a whole history",
                "Visitors can download them. Move them out of the directory, or omit --hidden.",
            ),
            Self::Backup => (
                "backup",
                "backups of editors, and dumps of databases",
                "Visitors can download earlier versions and data. Delete them, or move them out.",
            ),
            Self::SourceCode => (
                "source-code",
                "programs that are sent and not run",
                "Visitors get their source, with what it contains. Move them out; scripts are run with --cgi.",
            ),
            Self::LinkOutFollowed => (
                "link-out-followed",
                "links that lead out of the directory and are followed",
                "What they lead to is served, too. Omit --symlinks follow, or remove the link.",
            ),
            Self::LinkOut => (
                "link-out",
                "links that lead out of the directory",
                "They are not followed: 404. Copy the target, mount it, or give --symlinks follow.",
            ),
            Self::LinkBroken => (
                "link-broken",
                "links that lead nowhere",
                "They are a 404, and not listed. Correct or remove them.",
            ),
            Self::Unreadable => (
                "unreadable",
                "files and directories that this user may not read",
                "They are a 404, and not listed. Change their permissions, or serve as another user.",
            ),
            Self::IndexShadowed => (
                "index-shadowed",
                "index pages that another one hides",
                "Only the first of the --index names is the page of the directory. Remove the other one.",
            ),
            Self::IndexNotFile => (
                "index-not-file",
                "directories with the name of an index page",
                "They are not the page of their directory. Rename them, or set --index.",
            ),
            Self::IndexCase => (
                "index-case",
                "index pages in another case than the server looks for",
                "The directory is listed in their place. Rename them, or set --index.",
            ),
            Self::CaseCollision => (
                "case-collision",
                "names that differ only in case",
                "Windows and macOS keep one of them, for example after wget -r. Rename the others.",
            ),
            Self::NormalizationCollision => (
                "normalization-collision",
                "names that look the same (Unicode normalization, NFC and NFD)",
                "A link leads to one of them; macOS keeps one. Rename or remove the others.",
            ),
            Self::StalePrecompressed => (
                "precompressed-stale",
                "precompressed files that are older than their original",
                "They are not sent. Compress the original again.",
            ),
            Self::ScriptNotExecutable => (
                "script-not-executable",
                "files among the scripts that may not be executed",
                "They are a 403. Use chmod +x, or move them out of the directory of scripts.",
            ),
            Self::ControlCharacters => (
                "control-characters",
                "names with control characters, or characters that change the direction of text",
                "They can pass for another name, and break logs and programs. Rename them.",
            ),
            Self::PathTooLong => (
                "path-too-long",
                "paths that are too long to be requested",
                "They are a 404, and not listed. Shorten them.",
            ),
            Self::ListingTruncated => (
                "listing-truncated",
                "directories with more entries than a listing shows",
                "The others can be requested, but not found. Divide the directory, or add an index page.",
            ),
            Self::Hidden => (
                "hidden",
                "hidden names, which are not served",
                "They are a 404. --hidden would serve them.",
            ),
            Self::HiddenServed => (
                "hidden-served",
                "hidden names that are served",
                "--hidden serves them, to everyone. Omit it if that is not meant.",
            ),
            Self::LinkDenied => (
                "link-denied",
                "links, none of which are followed",
                "They are a 404: --symlinks deny. Copy the target if it is meant to be served.",
            ),
            Self::UnknownType => (
                "unknown-type",
                "files of unknown media types",
                "They are sent as application/octet-stream: browsers save them. See --mime-types and --content-type.",
            ),
            Self::SpecialFile => (
                "special-file",
                "FIFOs, sockets and devices",
                "They are never opened: 404, and not listed.",
            ),
            Self::LargeListing => (
                "large-listing",
                "directories with a large listing",
                "Few such listings are made at once; other requests for them wait. An index page avoids that.",
            ),
            Self::WritableByAll => (
                "writable-by-all",
                "files and directories that every user of this machine can change",
                "Use chmod o-w, unless that is meant.",
            ),
            Self::NameEncoding => (
                "name-encoding",
                "names that are not UTF-8",
                "They can be requested, but browsers show and save them under another name.",
            ),
            Self::NameWindows => (
                "name-windows",
                "names that Windows cannot save",
                "Browsers there save them under another name, and programs fail. Rename them.",
            ),
        }
    }

    /// All kinds, in the order of reports.
    #[cfg(test)]
    pub(super) const ALL: [Self; 27] = [
        Self::PrivateKey,
        Self::SecretName,
        Self::Backup,
        Self::SourceCode,
        Self::LinkOutFollowed,
        Self::LinkOut,
        Self::LinkBroken,
        Self::Unreadable,
        Self::IndexShadowed,
        Self::IndexNotFile,
        Self::IndexCase,
        Self::CaseCollision,
        Self::NormalizationCollision,
        Self::StalePrecompressed,
        Self::ScriptNotExecutable,
        Self::ControlCharacters,
        Self::PathTooLong,
        Self::ListingTruncated,
        Self::Hidden,
        Self::HiddenServed,
        Self::LinkDenied,
        Self::UnknownType,
        Self::SpecialFile,
        Self::LargeListing,
        Self::WritableByAll,
        Self::NameEncoding,
        Self::NameWindows,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_kind_is_documented_with_its_severity() {
        let text = include_str!("../../docs/check.md");
        let names: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), Kind::ALL.len());
        for kind in Kind::ALL {
            let row = format!("| `{}` | {} |", kind.name(), kind.severity().as_str());
            assert!(text.contains(&row), "docs/check.md has no {row}");
        }
    }

    #[test]
    fn no_option_is_advised_that_does_not_apply_or_would_serve_the_system() {
        let advice = |has_hidden, leads_to_system| Advice { has_hidden, leads_to_system };
        assert!(Kind::SecretName.remedy(advice(true, false)).contains("omit --hidden"));
        assert!(!Kind::SecretName.remedy(advice(false, false)).contains("--hidden"));
        assert!(Kind::LinkOut.remedy(advice(false, false)).contains("--symlinks follow"));
        assert!(!Kind::LinkOut.remedy(advice(false, true)).contains("--symlinks"));
    }
}
