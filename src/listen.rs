//! The sockets that the command serves on: those that were inherited, those of `--bind`, or every
//! address of the machine; or the connection of inetd.

use std::net::SocketAddr;
use std::os::unix::fs::chown;
#[cfg(feature = "tls")]
use std::sync::Arc;

#[cfg(feature = "tls")]
use doorstep_driver::net::TlsSettings;
use doorstep_driver::net::{
    self, BindError, BindOptions, Listener, ListenerAddr, Stream, UNIX_PEER,
};
use doorstep_driver::os;

use crate::arguments::BindAddress;
use crate::banner::Banner;
use crate::config::CommandConfig;
use crate::failure::Failure;
use crate::reports::Reports;
use crate::signals::Reload;
#[cfg(feature = "tls")]
use crate::tls::TlsConfig;

/// The default of `PORT`.
pub(crate) const DEFAULT_PORT: u16 = 8000;

/// The listening sockets that a service manager has passed. To be called first of all
/// ([`net::inherited_listeners`]).
///
/// That `--bind` or `PORT` is given as well is an error: to ignore either of them would serve on
/// addresses that nobody asked for, or leave connections waiting for ever.
pub(crate) fn inherited(config: &CommandConfig) -> Result<Vec<Listener>, Failure> {
    let inherited = net::inherited_listeners().map_err(Failure::Inherited)?;
    let given = config.port.is_some() || !config.bind.is_empty() || config.inetd;
    match inherited.len() {
        0 => Ok(Vec::new()),
        _ if given => Err(Failure::InheritedAndBind),
        _ => Ok(inherited.into_iter().map(|socket| socket.listener).collect()),
    }
}

/// What the server listens on.
pub(crate) struct Listening {
    pub(crate) listeners: Vec<Listener>,
    pub(crate) banner: Banner,
    /// The port of HTTPS, if plain HTTP is redirected to it.
    pub(crate) https_redirect: Option<u16>,
    /// What reads the certificate again at SIGHUP.
    pub(crate) reload: Option<Reload>,
    /// What the certificate has to report.
    pub(crate) reports: Reports,
}

/// Listens on what `config` names, unless listeners were inherited. TCP connections are encrypted if
/// there is a certificate. Those of Unix sockets come from programs of this machine, and are not.
pub(crate) fn listen(
    config: &CommandConfig,
    inherited: Vec<Listener>,
) -> Result<Listening, Failure> {
    let mut listeners = match inherited.is_empty() {
        true => bind(config, config.port.unwrap_or(DEFAULT_PORT))?,
        false => inherited,
    };
    let mut banner = Banner::default();
    banner.addresses.extend(listeners.iter().map(Listener::addr));
    let reports = Reports::default();
    #[cfg(feature = "tls")]
    let reload = encrypt(config, &mut listeners, &mut banner, &reports)?;
    #[cfg(not(feature = "tls"))]
    let reload = None;
    let mut https_redirect = None;
    let https = tcp(&listeners).next();
    if let (Some(port), Some(https)) = (config.https_redirect, https) {
        https_redirect = Some(https.port());
        let hosts: Vec<String> = match config.bind.is_empty() {
            true => tcp(&listeners).map(|address| address.ip().to_string()).collect(),
            false => config.bind.iter().filter_map(BindAddress::host).map(Into::into).collect(),
        };
        let plain = bind_hosts(&hosts, port, config).map_err(|failure| match failure {
            Failure::Bind { error, .. } => Failure::RedirectPort(port, error),
            other => other,
        })?;
        banner.redirects.extend(tcp(&plain));
        listeners.extend(plain);
    }
    let listeners = listeners.into_iter().map(|listener| config.listener(listener)).collect();
    Ok(Listening { listeners, banner, https_redirect, reload, reports })
}

/// The connection of inetd, and what the command has to say about it.
pub(crate) struct Connection {
    pub(crate) stream: Stream,
    /// The address that the client is connected to. Nothing is printed.
    pub(crate) banner: Banner,
    /// What the certificate has to report.
    pub(crate) reports: Reports,
}

/// The connection `stream`, encrypted if there is a certificate.
pub(crate) fn connection(config: &CommandConfig, stream: Stream) -> Result<Connection, Failure> {
    let mut banner = Banner::default();
    let local = stream.local_addr().ok().filter(|address| *address != UNIX_PEER);
    banner.addresses.push(local.map_or(ListenerAddr::Unix(None), ListenerAddr::Tcp));
    let reports = Reports::default();
    #[cfg(feature = "tls")]
    let tls = tls_settings(config, &mut banner, &reports)?;
    let encrypt = |stream: Stream| {
        #[cfg(feature = "tls")]
        if let Some(tls) = &tls {
            return tls.accept(stream);
        }
        Ok(stream)
    };
    let stream = config.stream(stream, encrypt).map_err(Failure::Inetd)?;
    Ok(Connection { stream, banner, reports })
}

/// Encrypts the TCP listeners, if there is a certificate. Returns what reads it again.
#[cfg(feature = "tls")]
fn encrypt(
    config: &CommandConfig,
    listeners: &mut Vec<Listener>,
    banner: &mut Banner,
    reports: &Reports,
) -> Result<Option<Reload>, Failure> {
    let Some(settings) = tls_settings(config, banner, reports)? else { return Ok(None) };
    let all = std::mem::take(listeners).into_iter();
    listeners.extend(all.map(|listener| match listener.addr() {
        ListenerAddr::Tcp(_) => listener.with_tls(settings.clone()),
        _ => listener,
    }));
    if matches!(config.tls, Some(TlsConfig::SelfSigned)) {
        return Ok(None);
    }
    Ok(Some(Box::new(move || {
        let _ = settings.reload(); // it reports an error itself
    })))
}

/// Reads the certificate, if there is one, for the TCP addresses of `banner`, which then says so. Fails
/// if there are none.
#[cfg(feature = "tls")]
fn tls_settings(
    config: &CommandConfig,
    banner: &mut Banner,
    reports: &Reports,
) -> Result<Option<Arc<TlsSettings>>, Failure> {
    let Some(tls) = &config.tls else { return Ok(None) };
    let addresses = banner.tcp();
    if addresses.is_empty() {
        return Err(Failure::UnixEncryption);
    }
    let hosts: Vec<&str> = config.bind.iter().filter_map(BindAddress::host).collect();
    let settings = tls.settings(&hosts, &addresses, reports.clone())?;
    if matches!(tls, TlsConfig::SelfSigned) {
        banner.fingerprint = Some(settings.fingerprint());
    }
    banner.is_https = true;
    Ok(Some(settings))
}

/// The addresses of the TCP listeners.
fn tcp(listeners: &[Listener]) -> impl Iterator<Item = SocketAddr> {
    listeners.iter().filter_map(|listener| match listener.addr() {
        ListenerAddr::Tcp(address) => Some(address),
        _ => None,
    })
}

/// Listens on every address of the configuration, or of the machine. One that is given twice is bound
/// once.
fn bind(config: &CommandConfig, port: u16) -> Result<Vec<Listener>, Failure> {
    let mut listeners = bind_tcp(config, port)?;
    for (position, address) in config.bind.iter().enumerate() {
        if config.bind[..position].contains(address) {
            continue;
        }
        let (bound, name) = match address {
            BindAddress::Host(_) => continue,
            BindAddress::Unix(path) => {
                (net::bind_unix(path, config.unix_mode), path.display().to_string())
            }
            BindAddress::UnixAbstract(name) => {
                (net::bind_unix_abstract(name.as_bytes()), format!("@{name}"))
            }
        };
        let failed = |error| match os::is_exhausted(&error) {
            true => Failure::Serve(error),
            false => Failure::BindUnix(name.clone(), error),
        };
        listeners.push(bound.map_err(failed)?);
        if let (Some(path), Some((uid, gid))) = (address.path(), config.containment.owner()) {
            chown(path, Some(uid), Some(gid)).map_err(failed)?;
        }
    }
    Ok(listeners)
}

/// Listens on the TCP addresses of the configuration: none if there are only Unix sockets.
fn bind_tcp(config: &CommandConfig, port: u16) -> Result<Vec<Listener>, Failure> {
    if config.bind.is_empty() {
        let bound = net::bind_with(None, port, &options(config));
        let bound = bound.map_err(|error| failed(None, port, error))?;
        return Ok(bound.into_iter().map(Listener::from).collect());
    }
    let hosts: Vec<&str> = config.bind.iter().filter_map(BindAddress::host).collect();
    bind_hosts(&hosts, port, config)
}

/// Listens on these hosts, of which there may be none.
fn bind_hosts(
    hosts: &[impl AsRef<str>],
    port: u16,
    config: &CommandConfig,
) -> Result<Vec<Listener>, Failure> {
    if hosts.is_empty() {
        return Ok(Vec::new());
    }
    let bound = net::bind_all_with(hosts, port, &options(config));
    let bound = bound.map_err(|BindError { host, error, .. }| failed(Some(host), port, error))?;
    Ok(bound.into_iter().map(Listener::from).collect())
}

fn options(config: &CommandConfig) -> BindOptions {
    let mut options = BindOptions::default();
    options.reuse_port = config.reuse_port;
    options
}

fn failed(address: Option<String>, port: u16, error: std::io::Error) -> Failure {
    match os::is_exhausted(&error) {
        true => Failure::Serve(error),
        false => Failure::Bind { address, port, error },
    }
}
