//! What is not in an archive and why: for the client, in the last entry of the archive, and for the
//! log, in one line.
//!
//! The client sees no name that listings do not show, and no message of the system.

use std::borrow::Cow;
use std::io;

use doorstep_core::log::is_control_or_format;
use doorstep_core::site::archive::top_directory;

use super::zip_names::MAX_CHANGED;
use super::{Abort, member_name};
use crate::os::{self, ErrorClass};

/// The most memory for the report to the client, in bytes. What is beyond it is counted.
const MAX_REPORT: usize = 32 << 10;
/// The number of names in the line of the log.
const MAX_LOGGED: u64 = 3;

/// Why something is not in an archive, or not all of it.
#[derive(Debug)]
pub(super) enum LeftOut {
    /// A link to a directory that contains the link.
    Loop,
    /// [`Site::max_archive_depth`](doorstep_core::site::Site::max_archive_depth).
    TooDeep,
    /// A directory that is not listed, since it has an index page.
    AllButIndexPage,
    /// The end of a file that has become so many bytes shorter while it was read.
    Shrunk(u64),
    /// The end of a file of which so many bytes could not be read.
    Unread(u64, io::Error),
    /// It could not be opened or read.
    Failed(io::Error),
    /// It is there by this name: its own is a path on Windows ([`portable`](super::zip_names::portable)).
    Renamed(Vec<u8>),
    /// As `Renamed`, but there is another one of that name.
    NameTaken,
    /// As `Renamed`, beyond [`MAX_CHANGED`].
    TooManyRenamed,
}

/// All that is not in an archive.
#[derive(Debug)]
pub(super) struct Problems {
    /// The directory that is archived.
    directory: Vec<u8>,
    /// Whether something was left out, and not only renamed.
    is_incomplete: bool,
    report: String,
    /// How many are not in `report`, since it is full.
    more: u64,
    /// How many this process may not read. Listings do not show them.
    denied: u64,
    /// The number of those that are for the log, and the first ones.
    logged: u64,
    log: String,
}

impl LeftOut {
    /// # Errors
    /// Returns an error if descriptors or memory are used up: an archive that lacks files for this
    /// reason is of no use, and a later request may succeed.
    pub(super) fn check(error: io::Error) -> Result<Self, Abort> {
        match ErrorClass::of(&error) {
            ErrorClass::Exhausted => Err(Abort::Exhausted(error)),
            _ => Ok(Self::Failed(error)),
        }
    }

    /// The sentence for the client.
    fn explain(&self) -> Cow<'static, str> {
        match self {
            Self::Loop => "a link to a directory that contains it".into(),
            Self::TooDeep => "too many directories below each other".into(),
            Self::AllButIndexPage => {
                "only its index page is included, which is shown in place of a list".into()
            }
            Self::Shrunk(missing) => {
                format!("it became shorter while it was read: {missing} bytes are missing").into()
            }
            Self::Unread(missing, _) => {
                format!("it could not be read to its end: {missing} bytes are missing").into()
            }
            Self::Failed(error) => match ErrorClass::of(error) {
                ErrorClass::NotFound => "it was removed meanwhile".into(),
                ErrorClass::Denied => "no permission to read it".into(),
                _ => "it could not be read".into(),
            },
            Self::Renamed(name) => {
                format!("its name in this archive is {}", printable(name)).into()
            }
            Self::NameTaken => {
                "its name in a zip archive would be that of another one, with _ in place of \\"
                    .into()
            }
            Self::TooManyRenamed => {
                format!("its name contains \\ or a drive, and {MAX_CHANGED} names were changed")
                    .into()
            }
        }
    }

    /// The text for the log; `None` if it is as it should be.
    fn log_message(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Loop | Self::AllButIndexPage | Self::Renamed(_) => None,
            Self::Failed(error) | Self::Unread(_, error) => Some(os::describe_error(error).into()),
            _ => Some(self.explain()),
        }
    }
}

impl Problems {
    /// For an archive of `directory`.
    pub(super) fn new(directory: &[u8]) -> Self {
        let (report, log) = Default::default();
        let (directory, is_incomplete) = (directory.to_vec(), false);
        Self { directory, is_incomplete, report, more: 0, denied: 0, logged: 0, log }
    }

    /// `path` is left out, or part of it, or its name was changed.
    pub(super) fn add(&mut self, path: &[u8], why: &LeftOut) {
        self.is_incomplete |= !matches!(why, LeftOut::Renamed(_));
        let name = printable(&member_name(&self.directory, path));
        let line = format!("{name}: {}\n", why.explain());
        if self.report.len() + line.len() <= MAX_REPORT {
            self.report.push_str(&line);
        } else {
            self.more += 1;
        }
        if let Some(message) = why.log_message() {
            self.log(&name, &message);
        }
    }

    /// This process may not read `path`, so that the client must not know the name.
    pub(super) fn add_denied(&mut self, path: &[u8]) {
        self.is_incomplete = true;
        self.denied += 1;
        let name = printable(&member_name(&self.directory, path));
        self.log(&name, "permission denied");
    }

    fn log(&mut self, name: &str, message: &str) {
        if self.logged < MAX_LOGGED {
            let separator = if self.logged == 0 { "" } else { "; " };
            self.log.push_str(&format!("{separator}{name}: {message}"));
        }
        self.logged += 1;
    }

    /// The name of the last entry: no other one is next to the top directory.
    pub(super) fn report_name(&self) -> Vec<u8> {
        [top_directory(&self.directory), b"-LEFT-OUT.txt"].concat()
    }

    /// The content of the last entry; `None` if the archive is complete, with all names.
    pub(super) fn report(&self) -> Option<String> {
        if self.report.is_empty() && self.denied == 0 {
            return None;
        }
        let mut text = String::from(match self.is_incomplete {
            true => "This archive is not complete.\n\n",
            false => {
                "This archive is complete. Names that Windows takes for paths were changed.\n\n"
            }
        });
        text.push_str(&self.report);
        for (count, what) in [
            (self.more, "more of these"),
            (self.denied, "that the server has no permission to read"),
        ] {
            if count > 0 {
                text.push_str(&format!("and {count} {what}\n"));
            }
        }
        Some(text)
    }

    /// The line for the log, if something is not in the archive that should be.
    pub(super) fn log_line(&self) -> Option<String> {
        let more = if self.logged > MAX_LOGGED { "; and others" } else { "" };
        (self.logged > 0)
            .then(|| format!("{} left out of the archive: {}{more}", self.logged, self.log))
    }
}

/// A name as one line of text, in which no character changes how others are shown.
fn printable(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    name.chars().map(|c| if is_control_or_format(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_from_which_nothing_is_missing_has_no_report() {
        let problems = Problems::new(b"docs");
        assert_eq!((problems.report(), problems.log_line()), (None, None));
    }

    #[test]
    fn the_client_sees_no_hidden_name_and_no_message_of_the_system() {
        let mut problems = Problems::new(b"a/docs");
        problems.add_denied(b"a/docs/secret");
        problems.add(b"a/docs/x\ny", &LeftOut::Failed(io::Error::other("/dev/sda1 is broken")));
        problems.add(b"a/docs/site", &LeftOut::AllButIndexPage);
        let report = problems.report().unwrap();
        assert_eq!(
            report,
            "This archive is not complete.\n\n\
             docs/x\u{fffd}y: it could not be read\n\
             docs/site: only its index page is included, which is shown in place of a list\n\
             and 1 that the server has no permission to read\n"
        );
        assert_eq!(
            problems.log_line().unwrap(),
            "2 left out of the archive: docs/secret: permission denied; \
             docs/x\u{fffd}y: /dev/sda1 is broken"
        );
        assert_eq!(problems.report_name(), b"docs-LEFT-OUT.txt");
    }

    #[test]
    fn a_changed_name_is_reported_and_no_name_passes_for_another() {
        let mut problems = Problems::new(b"docs");
        problems.add(b"docs/a\\\xe2\x80\xaeb", &LeftOut::Renamed("a_\u{202e}b".into()));
        let report = problems.report().unwrap();
        assert_eq!(
            report,
            "This archive is complete. Names that Windows takes for paths were changed.\n\n\
             docs/a\\\u{fffd}b: its name in this archive is a_\u{fffd}b\n"
        );
        assert_eq!(problems.log_line(), None);
        problems.add(b"docs/c", &LeftOut::NameTaken);
        assert!(problems.report().unwrap().starts_with("This archive is not complete.\n\n"));
        assert!(problems.log_line().is_some());
    }

    #[test]
    fn memory_is_bounded_and_the_rest_is_counted() {
        let mut problems = Problems::new(b"");
        for n in 0..10_000 {
            problems.add(format!("{n}").as_bytes(), &LeftOut::Shrunk(1));
        }
        let report = problems.report().unwrap();
        assert!(report.len() < MAX_REPORT + 200 && report.contains("more of these"), "{report}");
        let line = problems.log_line().unwrap();
        assert!(line.starts_with("10000 left out") && line.ends_with("; and others"), "{line}");
        assert_eq!(line.matches("shorter").count(), 3, "{line}");
    }
}
