//! Uploads of the command: whether the directory takes files, and the warning if everyone may store some.

use std::io;
use std::net::IpAddr;
use std::path::Path;

use doorstep_core::site::upload::request;
use doorstep_driver::cgi::CgiSettings;
use doorstep_driver::net::ListenerAddr;
use doorstep_driver::os;
use doorstep_driver::upload::{self, UploadSettings};

use crate::failure::Failure;

/// Checks that files can be stored now.
pub(crate) fn check(root: &Path, settings: &UploadSettings) -> Result<(), Failure> {
    let failure = |error: io::Error| {
        let directory = String::from_utf8_lossy(&settings.directory).into_owned();
        Failure::UploadDirectory(directory, os::without_path(error))
    };
    upload::check_directory(root, settings).map_err(failure)
}

/// Checks that no scripts are run in the directory: nothing could be stored there.
pub(crate) fn check_scripts(settings: &UploadSettings, cgi: &CgiSettings) -> Result<(), Failure> {
    let mut scripts = cgi.directories.paths();
    match scripts.any(|scripts| request::may_be_beneath(&scripts, &settings.directory)) {
        false => Ok(()),
        true => {
            let directory = String::from_utf8_lossy(&settings.directory).into_owned();
            Err(Failure::UploadScripts(directory))
        }
    }
}

/// The line about uploads without authentication to one of `addresses`; `None` if all are within this
/// machine.
pub(crate) fn open_warning(addresses: &[ListenerAddr]) -> Option<String> {
    let is_exposed = |ip: IpAddr| !ip.to_canonical().is_loopback();
    let exposed = addresses.iter().find_map(|address| match address {
        ListenerAddr::Tcp(address) if is_exposed(address.ip()) => Some(address),
        _ => None,
    })?;
    Some(format!(
        "warning: everyone who can reach {exposed} can upload files; ask for a password with --auth-file, \
         or listen on 127.0.0.1"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_warning_is_about_what_other_machines_can_reach() {
        let warning = |addresses: &[&str]| {
            let addresses: Vec<_> =
                addresses.iter().map(|it| ListenerAddr::Tcp(it.parse().unwrap())).collect();
            open_warning(&addresses)
        };
        assert_eq!(warning(&["127.0.0.1:80", "[::1]:80"]), None);
        assert!(warning(&["127.0.0.1:80", "0.0.0.0:80"]).unwrap().contains("reach 0.0.0.0:80 can"));
    }

    #[test]
    fn a_directory_that_takes_no_files_is_a_failure() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("file"), "").unwrap();
        let check = |directory: &str| {
            let mut settings = UploadSettings::default();
            settings.directory = directory.into();
            check(root.path(), &settings)
        };
        assert!(check("").is_ok());
        for directory in ["missing", "file"] {
            let line = check(directory).unwrap_err().to_string();
            assert!(line.contains(directory) && line.contains("--upload="), "{line}");
        }
    }
}
