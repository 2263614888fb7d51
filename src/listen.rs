//! The sockets that the command serves on: those that were inherited, those of `--bind`, or every
//! address of the machine.

use std::net::TcpListener;

use doorstep_driver::net::{self, BindError, BindOptions, Listener};
use doorstep_driver::os;

use crate::arguments::BindAddress;
use crate::config::CommandConfig;
use crate::failure::Failure;

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

/// Listens on what `config` names, unless listeners were inherited.
pub(crate) fn listen(
    config: &CommandConfig,
    inherited: Vec<Listener>,
) -> Result<Vec<Listener>, Failure> {
    if !inherited.is_empty() {
        return Ok(inherited);
    }
    let port = config.port.unwrap_or(DEFAULT_PORT);
    let mut options = BindOptions::default();
    options.reuse_port = config.reuse_port;
    if config.bind.is_empty() {
        let listeners =
            net::bind_with(None, port, &options).map_err(|error| failed(None, port, error))?;
        return Ok(listeners.into_iter().map(Listener::from).collect());
    }
    let hosts = config.bind.iter().filter_map(|address| match address {
        BindAddress::Host(host) => Some(host.as_str()),
        BindAddress::Unix(_) | BindAddress::UnixAbstract(_) => None,
    });
    let hosts: Vec<&str> = hosts.collect();
    let tcp: Vec<TcpListener> = match hosts.is_empty() {
        true => Vec::new(),
        false => net::bind_all_with(&hosts, port, &options)
            .map_err(|BindError { host, error, .. }| failed(Some(host), port, error))?,
    };
    let mut listeners: Vec<Listener> = tcp.into_iter().map(Listener::from).collect();
    for address in &config.bind {
        let (bound, name) = match address {
            BindAddress::Host(_) => continue,
            BindAddress::Unix(path) => {
                (net::bind_unix(path, config.unix_mode), path.display().to_string())
            }
            BindAddress::UnixAbstract(name) => {
                (net::bind_unix_abstract(name.as_bytes()), format!("@{name}"))
            }
        };
        listeners.push(bound.map_err(|error| match os::is_exhausted(&error) {
            true => Failure::Serve(error),
            false => Failure::BindUnix(name, error),
        })?);
    }
    Ok(listeners)
}

fn failed(address: Option<String>, port: u16, error: std::io::Error) -> Failure {
    match os::is_exhausted(&error) {
        true => Failure::Serve(error),
        false => Failure::Bind { address, port, error },
    }
}
