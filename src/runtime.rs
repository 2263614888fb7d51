//! The servers of both runtimes behind one trait, so that [`crate::run`] is written once.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use doorstep_async_smol as smol;
use doorstep_blocking as blocking;
use doorstep_driver::cgi::Settings;
use doorstep_driver::semaphore::Places;
use doorstep_driver::{Config, Stopper};

use crate::access_log::AccessLog;
use crate::config::CommandConfig;

/// A server of one runtime, and the handlers that it can serve.
pub(crate) trait RuntimeServer: Sized {
    /// Serves files.
    type Files;
    /// Runs CGI scripts, and serves files everywhere else.
    type Cgi;

    fn files(config: &CommandConfig) -> io::Result<Self::Files>;
    fn cgi(root: &Path, settings: Settings, files: Self::Files) -> io::Result<Self::Cgi>;
    /// The running scripts.
    fn processes(cgi: &Self::Cgi) -> Arc<Places>;

    fn new(listeners: Vec<TcpListener>, config: Config) -> io::Result<Self>;
    fn addresses(&self) -> &[SocketAddr];
    fn stopper(&self) -> Stopper;
    fn serve_files(self, handler: AccessLog<Self::Files>) -> io::Result<()>;
    fn serve_cgi(self, handler: AccessLog<Self::Cgi>) -> io::Result<()>;
}

impl RuntimeServer for blocking::Server {
    type Files = blocking::Files;
    type Cgi = blocking::Cgi;

    fn files(config: &CommandConfig) -> io::Result<Self::Files> {
        let files = blocking::Files::linked(&config.root, config.symlinks)?;
        Ok(files.with(config.site.clone()))
    }
    fn cgi(root: &Path, settings: Settings, files: Self::Files) -> io::Result<Self::Cgi> {
        Ok(blocking::Cgi::new(root, settings)?.around(files))
    }
    fn processes(cgi: &Self::Cgi) -> Arc<Places> {
        cgi.places()
    }

    fn new(listeners: Vec<TcpListener>, config: Config) -> io::Result<Self> {
        let server = Self::on(listeners)?.with(config);
        server.raise_descriptor_limit();
        Ok(server)
    }
    fn addresses(&self) -> &[SocketAddr] {
        self.addresses()
    }
    fn stopper(&self) -> Stopper {
        self.stopper()
    }
    fn serve_files(self, handler: AccessLog<Self::Files>) -> io::Result<()> {
        self.serve(handler)
    }
    fn serve_cgi(self, handler: AccessLog<Self::Cgi>) -> io::Result<()> {
        self.serve(handler)
    }
}

impl RuntimeServer for smol::Server {
    type Files = smol::Files;
    type Cgi = smol::Cgi;

    fn files(config: &CommandConfig) -> io::Result<Self::Files> {
        let files = smol::Files::linked(&config.root, config.symlinks)?;
        Ok(files.with(config.site.clone()))
    }
    fn cgi(root: &Path, settings: Settings, files: Self::Files) -> io::Result<Self::Cgi> {
        Ok(smol::Cgi::new(root, settings)?.around(files))
    }
    fn processes(cgi: &Self::Cgi) -> Arc<Places> {
        cgi.places()
    }

    fn new(listeners: Vec<TcpListener>, config: Config) -> io::Result<Self> {
        let server = Self::on(listeners)?.with(config);
        server.raise_descriptor_limit();
        Ok(server)
    }
    fn addresses(&self) -> &[SocketAddr] {
        self.addresses()
    }
    fn stopper(&self) -> Stopper {
        self.stopper()
    }
    fn serve_files(self, handler: AccessLog<Self::Files>) -> io::Result<()> {
        self.run(handler, NonZeroUsize::MIN)
    }
    fn serve_cgi(self, handler: AccessLog<Self::Cgi>) -> io::Result<()> {
        self.run(handler, NonZeroUsize::MIN)
    }
}
