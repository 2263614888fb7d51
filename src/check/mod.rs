//! `doorstep check`: what serving a directory would expose, and what would surprise its visitors.
//!
//! What is listed, followed and readable, and which media type a file has, is asked of the server's
//! own code ([`Root`], [`Site`]); here are only the questions. The tree is walked without following
//! links, one directory at a time, in the order of names: the report of an unchanged tree is always
//! the same. Memory is needed for the names of the directories on the way to the current one, and
//! for at most [`report::MAX_ITEMS`] findings of each kind.
//!
//! It reads names, metadata and small files, and writes nothing. It cannot know what a proxy in front
//! hides, and it sees what the user may read who runs it: run it as the user that will serve.

mod directory;
mod kind;
mod names;
mod report;
mod text;
mod walk;

use std::process::ExitCode;

use doorstep_core::site::media_type::MediaTypes;
use doorstep_driver::os::{self, Root, Symlinks};

use crate::arguments::{CheckOptions, ReportFormat};
use crate::config::check_spa_page;
use crate::failure::Failure;
use crate::stdout;
use walk::Checker;

/// A media type that no file has: that of names which the tables do not know.
const UNKNOWN: &str = "unknown";

/// Checks a directory and prints the report. The code is 0 if there are no warnings, and otherwise 1.
pub(crate) fn run(options: CheckOptions) -> Result<ExitCode, Failure> {
    let CheckOptions { directory, format, files, cgi } = options;
    let failure = |error| Failure::CheckDirectory(directory.clone(), error);
    let path = os::absolute(&directory).map_err(failure)?;
    let symlinks = files.symlinks();
    let open = |symlinks| Root::new(&path, symlinks).map_err(failure);
    let (root, beneath) = (open(symlinks)?, open(Symlinks::Beneath)?);
    let scripts = cgi.settings(&path)?.map(|cgi| cgi.directories.paths().collect());
    let has_default_type = files.has_default_type();
    let mut site = files.site()?;
    if let Some(page) = &site.spa {
        check_spa_page(&path, symlinks, page)?;
    }
    // Whether a directory could be read is asked even if it would not be listed.
    site.listing = true;
    let mut types: MediaTypes = site.media_types.clone();
    if !has_default_type {
        types.default = UNKNOWN.into();
    }
    let checker = Checker { path: path.clone(), root, beneath, symlinks, site, types, scripts };
    let report = checker.check().map_err(failure)?;
    stdout::print(&match format {
        ReportFormat::Text => text::render(&report, text::has_colors()),
        ReportFormat::Json => report.to_json(),
    })?;
    Ok(ExitCode::from(u8::from(report.warnings() > 0)))
}
