//! The checked configuration of the command.
//!
//! A [`CommandConfig`] exists only if everything that can be checked without the network is valid: the
//! served directory exists, and so does every file and user that the arguments name. Whether the
//! address can be listened on shows when it is bound.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use doorstep_core::http1::{Timeouts, Version};
use doorstep_core::site::Site;
use doorstep_driver::auth::Auth;
use doorstep_driver::cgi::CgiSettings;
use doorstep_driver::net::{Listener, Stream, TrustedProxies};
use doorstep_driver::os::{Opened, Root, Symlinks};
use doorstep_driver::upload::UploadSettings;

use crate::arguments::{
    Arguments, BindAddress, LogTargets, Protocol, Runtime, SharingOptions, TerminalOptions,
};
use crate::auth;
use crate::containment::Containment;
use crate::failure::Failure;
use crate::network::Network;
use crate::served_path::ServedPath;
use crate::uploads;

/// The most symbolic links of a path that the system follows.
const MAX_LINKS: usize = 40;

/// Everything [`crate::run::serve`] needs.
#[derive(Debug)]
pub(crate) struct CommandConfig {
    /// Where to listen; empty is the inherited sockets, or every address of this machine.
    pub(crate) bind: Vec<BindAddress>,
    /// `None` is the default, [`crate::listen::DEFAULT_PORT`].
    pub(crate) port: Option<u16>,
    /// The permission bits of Unix sockets.
    pub(crate) unix_mode: u32,
    /// Whether to serve the connection on standard input.
    pub(crate) inetd: bool,
    /// The served directory or file.
    pub(crate) served: ServedPath,
    /// When the server ends by itself.
    pub(crate) sharing: SharingOptions,
    pub(crate) protocol: Version,
    pub(crate) runtime: Runtime,
    /// The workers of the asynchronous runtime; `None` is one for each processor.
    pub(crate) threads: Option<NonZeroUsize>,
    /// `None` is the default of the runtime.
    pub(crate) max_connections: Option<NonZeroUsize>,
    pub(crate) timeouts: Timeouts,
    /// The limit of a request body, in bytes.
    pub(crate) max_body: u64,
    /// The path of the health check.
    pub(crate) health: Option<String>,
    /// The time limit of a graceful shutdown.
    pub(crate) grace: Duration,
    /// Whether other processes may listen on the same port.
    pub(crate) reuse_port: bool,
    /// Whether to print the limits, and not to serve.
    pub(crate) print_limits: bool,
    pub(crate) access_log: bool,
    pub(crate) logs: LogTargets,
    pub(crate) terminal: TerminalOptions,
    pub(crate) site: Site,
    pub(crate) symlinks: Symlinks,
    /// The value of the Server header; empty omits the header, `None` is the default.
    pub(crate) server_header: Option<String>,
    /// Additional headers of every response.
    pub(crate) headers: Vec<(String, String)>,
    /// The proxies whose reports about their clients are believed.
    pub(crate) trusted_proxies: TrustedProxies,
    /// Whether their connections begin with a PROXY protocol header.
    pub(crate) proxy_protocol: bool,
    /// The path below which a proxy serves this server; empty for none.
    pub(crate) prefix: String,
    /// What clients may upload; `None` is nothing.
    pub(crate) uploads: Option<UploadSettings>,
    /// How CGI scripts are run; `None` serves them as files (B-220).
    pub(crate) cgi: Option<CgiSettings>,
    /// Who may have responses; `None` is everyone.
    pub(crate) auth: Option<Auth>,
    pub(crate) containment: Containment,
    /// The slow or broken network; `None` is the network as it is.
    pub(crate) network: Option<Network>,
    /// The certificate of HTTPS; `None` serves HTTP.
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<crate::tls::TlsConfig>,
    /// The port on which HTTP is redirected to HTTPS.
    pub(crate) https_redirect: Option<u16>,
}

impl CommandConfig {
    /// Checks `arguments` against the system.
    pub(crate) fn from_arguments(arguments: Arguments) -> Result<Self, Failure> {
        let served = ServedPath::find(&arguments)?;
        let Arguments { files, cgi, limits, containment, proxies, .. } = arguments;
        let mut cgi = cgi.settings(&served.root)?;
        if served.file.is_some() && cgi.is_some() {
            return Err(Failure::NeedsDirectory(served.as_path().to_owned(), "--cgi"));
        }
        if let Some(settings) = &mut cgi {
            settings.hidden = files.hidden;
            settings.symlinks = files.symlinks();
            settings.cors = files.cors();
            if let Some(server) = &files.server_header {
                settings.software.clone_from(server);
            }
        }
        let auth = auth::users(&arguments.auth, served.as_path(), files.cors())?;
        let mut containment = Containment::new(containment, cgi.as_ref())?;
        let logs = arguments.logs.targets();
        let files_of_logs = [&logs.access, &logs.error].into_iter().flatten();
        containment.writable.extend(files_of_logs.flat_map(|path| directories_of(path)));
        let uploads = arguments.upload.settings();
        if let Some(settings) = &uploads {
            if served.file.is_some() {
                return Err(Failure::NeedsDirectory(served.as_path().to_owned(), "--upload"));
            }
            uploads::check(&served.root, settings)?;
            if let Some(cgi) = &cgi {
                uploads::check_scripts(settings, cgi)?;
            }
            containment.writable.push(served.root.join(OsStr::from_bytes(&settings.directory)));
        }
        let sockets = arguments.bind.iter().filter_map(BindAddress::path);
        containment.removable.extend(sockets.map(directory_of));
        #[cfg(feature = "tls")]
        let https_redirect = arguments.tls.https_redirect;
        #[cfg(feature = "tls")]
        let tls = crate::tls::TlsConfig::from_options(arguments.tls)?;
        #[cfg(feature = "tls")]
        containment
            .readable
            .extend(tls.iter().flat_map(crate::tls::TlsConfig::files).flat_map(directories_of));
        let users = auth.as_ref().and_then(Auth::path);
        containment.readable.extend(users.into_iter().flat_map(directories_of));
        containment.readable.extend(served.file.iter().flat_map(|file| directories_of(file)));
        let symlinks = files.symlinks();
        let headers = files.headers();
        let server_header = files.server_header.clone();
        let site = files.site()?;
        if let Some(page) = &site.spa {
            if served.file.is_some() {
                return Err(Failure::NeedsDirectory(served.as_path().to_owned(), "--spa"));
            }
            check_spa_page(&served.root, symlinks, page)?;
        }
        Ok(Self {
            bind: arguments.bind,
            port: arguments.positionals.port(),
            unix_mode: arguments.sockets.unix_mode(),
            inetd: arguments.sockets.inetd,
            served,
            sharing: arguments.sharing,
            protocol: match arguments.protocol {
                Protocol::Http10 => Version::Http10,
                Protocol::Http11 => Version::Http11,
            },
            runtime: arguments.runtime,
            threads: arguments.threads,
            max_connections: limits.max_connections,
            timeouts: limits.timeouts(),
            max_body: limits.max_body(uploads.is_some()),
            health: arguments.health,
            grace: limits.grace,
            reuse_port: limits.reuse_port,
            print_limits: limits.limits,
            access_log: !arguments.quiet,
            logs,
            terminal: arguments.terminal,
            site,
            symlinks,
            server_header,
            headers,
            trusted_proxies: proxies.trusted(),
            proxy_protocol: proxies.proxy_protocol,
            prefix: proxies.prefix(),
            uploads,
            cgi,
            auth,
            containment,
            network: Network::from_options(&arguments.network),
            #[cfg(feature = "tls")]
            https_redirect,
            #[cfg(not(feature = "tls"))]
            https_redirect: None,
            #[cfg(feature = "tls")]
            tls,
        })
    }

    /// The path of the URL of what is served, behind its first slash.
    pub(crate) fn url_path(&self) -> String {
        let prefix = self.prefix.strip_prefix('/').map(|prefix| format!("{prefix}/"));
        prefix.unwrap_or_default() + &self.served.url_name()
    }

    /// A listener, and what the arguments say about its connections.
    pub(crate) fn listener(&self, socket: impl Into<Listener>) -> Listener {
        let listener = match self.proxy_protocol {
            true => socket.into().with_proxy_protocol(self.trusted_proxies.clone()),
            false => socket.into(),
        };
        match &self.network {
            Some(network) => network.listener(listener),
            None => listener,
        }
    }

    /// A connection, and what the arguments say about it, which is in the order of those of a
    /// [`listener`](Self::listener). `encrypt` makes the TLS stream.
    pub(crate) fn stream(
        &self,
        mut stream: Stream,
        encrypt: impl FnOnce(Stream) -> io::Result<Stream>,
    ) -> io::Result<Stream> {
        if let Some(network) = &self.network {
            stream = network.relay(stream)?;
        }
        if self.proxy_protocol && self.trusted_proxies.contains(stream.peer_addr().ip()) {
            stream = Stream::proxied(stream);
        }
        let stream = encrypt(stream)?;
        Ok(match &self.network {
            Some(network) => network.cut(stream),
            None => stream,
        })
    }
}

/// Whether a file is in a directory or below it, or the same file, whatever their names are.
pub(crate) fn is_beneath(root: &Path, file: &Path) -> bool {
    let (root, file) = (root.canonicalize(), file.canonicalize());
    matches!((root, file), (Ok(root), Ok(file)) if file.starts_with(&root))
}

/// The directory that a file is in, which may be replaced by another one of its name.
pub(crate) fn directory_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory.into(),
        _ => ".".into(),
    }
}

/// The directories in which a file is opened: the one that it is in, and if it is a symbolic link, those of
/// what it leads to, which need not exist. The links may be replaced, as those of a renewed certificate are.
pub(crate) fn directories_of(file: &Path) -> Vec<PathBuf> {
    let mut directories = vec![directory_of(file)];
    let mut file = file.to_owned();
    while let Ok(target) = fs::read_link(&file)
        && directories.len() <= MAX_LINKS
    {
        file = directory_of(&file).join(target);
        directories.push(directory_of(&file));
    }
    directories
}

/// Checks that the page of `--spa` can be served now. Like the directory itself it may be replaced
/// later (B-132, B-280).
pub(crate) fn check_spa_page(root: &Path, symlinks: Symlinks, page: &str) -> Result<(), Failure> {
    let failure = |reason: String| Err(Failure::SpaPage(page.to_owned(), reason));
    let root = Root::new(root, symlinks).map_err(|error| Failure::directory(root, error))?;
    match root.open(page.as_bytes()) {
        Opened::File(..) => Ok(()),
        Opened::NotFound => failure("no such file in the served directory".into()),
        Opened::Directory(_) | Opened::Special => failure("not a regular file".into()),
        Opened::Exhausted(error) => Err(Failure::Serve(error)),
        Opened::Denied(error) | Opened::Failed(error) => failure(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn check(words: &[&str]) -> Result<CommandConfig, Failure> {
        CommandConfig::from_arguments(Arguments::parse_from([&["doorstep"], words].concat()))
    }

    #[test]
    fn b_132_the_directory_is_fixed_at_start() {
        let here = std::env::current_dir().unwrap().canonicalize().unwrap();
        assert_eq!(check(&[]).unwrap().served.root, here);
        assert_eq!(check(&["-d", "src"]).unwrap().served.root, here.join("src"));
        assert_eq!(check(&["src", "80"]).unwrap().served.root, here.join("src"));
    }

    #[test]
    fn b_280_the_directory_must_be_one() {
        assert!(matches!(check(&["-d", "nowhere"]), Err(Failure::Directory(..))));
        assert!(matches!(check(&["-d", "Cargo.toml"]), Err(Failure::NotADirectory(_))));
    }

    #[test]
    fn a_spa_page_must_be_a_file_that_can_be_served() {
        assert_eq!(check(&["--spa", "Cargo.toml"]).unwrap().site.spa.unwrap(), "Cargo.toml");
        for page in ["missing.html", "src"] {
            assert!(matches!(check(&["--spa", page]), Err(Failure::SpaPage(..))), "{page}");
        }
    }

    #[test]
    fn scripts_uploads_and_single_page_applications_need_a_directory() {
        let words = [&["--cgi"][..], &["--spa", "Cargo.toml"], &["--upload"]];
        for words in words.map(|words| [&["Cargo.toml"], words].concat()) {
            let words = &words[..];
            assert!(matches!(check(words), Err(Failure::NeedsDirectory(..))), "{words:?}");
        }
    }

    #[test]
    fn quiet_means_no_access_log() {
        assert!(check(&[]).unwrap().access_log);
        assert!(!check(&["--quiet"]).unwrap().access_log);
    }

    #[test]
    fn a_file_is_in_the_directory_of_its_name_and_in_those_that_its_links_lead_to() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        for directory in ["live", "middle", "archive"] {
            fs::create_dir(path(directory)).unwrap();
        }
        let link =
            |target: &str, name: &str| std::os::unix::fs::symlink(target, path(name)).unwrap();
        link("../middle/cert.pem", "live/cert.pem");
        link("../archive/cert1.pem", "middle/cert.pem"); // it need not exist
        link("loop", "loop");
        let directories = |name: &str| {
            let all = directories_of(&path(name)).into_iter();
            all.map(|it| it.canonicalize().unwrap()).collect::<Vec<_>>()
        };
        let root = root.path().canonicalize().unwrap();
        let expected = ["live", "middle", "archive"].map(|name| root.join(name));
        assert_eq!(directories("live/cert.pem"), expected);
        assert_eq!(directories("archive/cert1.pem"), expected[2..]);
        assert_eq!(directories("loop").len(), MAX_LINKS + 1);
        assert_eq!(directories_of(Path::new("a.log")), [Path::new(".")]);
    }

    #[test]
    fn a_file_in_the_served_directory_is_found_by_any_name() {
        let root = tempfile::tempdir().unwrap();
        let inside = root.path().join("users");
        fs::write(&inside, "").unwrap();
        let other = tempfile::tempdir().unwrap();
        let link = other.path().join("users");
        std::os::unix::fs::symlink(&inside, &link).unwrap();
        assert!(is_beneath(root.path(), &inside) && is_beneath(root.path(), &link));
        assert!(is_beneath(&root.path().join("."), &inside));
        assert!(
            !is_beneath(other.path(), &inside) && !is_beneath(root.path(), Path::new("missing"))
        );
    }
}
