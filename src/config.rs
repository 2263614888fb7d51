//! What the command line means: arguments that have been checked.
//!
//! A [`Config`] exists only when everything that can be known without touching the network is in
//! order; above all its directory is there. Whether the address can be had is found by binding it.

use std::io::ErrorKind;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use doorstep_core::http1::{Timeouts, Version};
use doorstep_core::site::Site;
use doorstep_driver::cgi::CgiSettings;
use doorstep_driver::os::{self, Symlinks};

use crate::arguments::{Arguments, Protocol, Runtime};
use crate::failure::Failure;

/// Everything [`crate::run::serve`] needs.
#[derive(Debug)]
pub(crate) struct Config {
    /// An address or a name; `None` is every address of this machine.
    pub(crate) host: Option<String>,
    pub(crate) port: u16,
    /// Absolute, if it can be; see [`os::absolute`].
    pub(crate) root: PathBuf,
    pub(crate) protocol: Version,
    pub(crate) runtime: Runtime,
    /// `None`: as many as suit the runtime.
    pub(crate) max_connections: Option<NonZeroUsize>,
    /// How long clients may take.
    pub(crate) timeouts: Timeouts,
    /// Of a request, in bytes.
    pub(crate) max_body: u64,
    /// Of a stop, in all.
    pub(crate) grace: Duration,
    pub(crate) access_log: bool,
    pub(crate) site: Site,
    pub(crate) symlinks: Symlinks,
    /// What Server says instead of our name; the empty one leaves it out.
    pub(crate) server: Option<String>,
    /// Fields of every answer.
    pub(crate) fields: Vec<(String, String)>,
    /// How scripts are run; `None`: they are files (B-220).
    pub(crate) scripts: Option<CgiSettings>,
}

impl Config {
    /// Makes out what `said` means, or why it cannot be done.
    pub(crate) fn check(said: Arguments) -> Result<Self, Failure> {
        let root = match os::absolute(&said.directory) {
            Ok(root) => root,
            Err(error) if error.kind() == ErrorKind::NotADirectory => {
                return Err(Failure::NotADirectory(said.directory));
            }
            Err(error) => return Err(Failure::Directory(said.directory, error)),
        };
        let mut scripts = said.scripts.settings(&root)?;
        if let Some(settings) = &mut scripts {
            settings.hidden = said.policies.hidden;
            settings.symlinks = said.policies.symlinks();
            settings.cors = said.policies.cors();
            if let Some(server) = &said.policies.server_header {
                settings.software.clone_from(server);
            }
        }
        Ok(Self {
            host: said.bind,
            port: said.port,
            root,
            protocol: match said.protocol {
                Protocol::Http10 => Version::Http10,
                Protocol::Http11 => Version::Http11,
            },
            runtime: said.runtime,
            max_connections: said.max_connections,
            timeouts: said.deadlines.timeouts(),
            max_body: said.max_body,
            grace: said.grace,
            access_log: !said.quiet,
            symlinks: said.policies.symlinks(),
            fields: said.policies.fields(),
            server: said.policies.server_header.clone(),
            site: said.policies.site()?,
            scripts,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn check(words: &[&str]) -> Result<Config, Failure> {
        Config::check(Arguments::parse_from([&["doorstep"], words].concat()))
    }

    #[test]
    fn b_132_the_directory_is_fixed_at_start() {
        let here = std::env::current_dir().unwrap().canonicalize().unwrap();
        assert_eq!(check(&[]).unwrap().root, here);
        assert_eq!(check(&["-d", "src"]).unwrap().root, here.join("src"));
    }

    #[test]
    fn b_280_the_directory_must_be_one() {
        assert!(matches!(check(&["-d", "nowhere"]), Err(Failure::Directory(..))));
        assert!(matches!(check(&["-d", "Cargo.toml"]), Err(Failure::NotADirectory(_))));
    }

    #[test]
    fn quiet_means_no_access_log() {
        assert!(check(&[]).unwrap().access_log);
        assert!(!check(&["--quiet"]).unwrap().access_log);
    }
}
