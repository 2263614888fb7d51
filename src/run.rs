//! The server's life: bind, say so, serve until a signal, stop.

use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;

use crate::banner;
use crate::config::Config;
use crate::failure::Failure;
use crate::signals::Signals;

/// Serves as `config` says until Ctrl-C or SIGTERM. Coming back without a failure is success.
pub(crate) fn serve(config: &Config) -> Result<(), Failure> {
    let signals = Signals::catch().map_err(Failure::Serve)?;
    let listeners = bind(config.host.as_deref(), config.port).map_err(|error| Failure::Bind {
        host: config.host.clone(),
        port: config.port,
        error,
    })?;
    let addresses: Vec<SocketAddr> =
        listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
    banner::serving(addresses[0], &[]);
    let (stop, stopped) = mpsc::channel::<()>();
    signals.then(move || drop(stop)).map_err(Failure::Serve)?;
    let _ = stopped.recv();
    Ok(())
}

fn bind(host: Option<&str>, port: u16) -> std::io::Result<Vec<TcpListener>> {
    Ok(vec![TcpListener::bind((host.unwrap_or("::"), port))?])
}
