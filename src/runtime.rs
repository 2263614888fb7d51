//! The servers of both runtimes behind one trait, so that [`crate::run`] is written once.

use std::io;
use std::num::NonZeroUsize;

use doorstep_async_smol as smol;
use doorstep_blocking as blocking;
use doorstep_driver::net::{Listener, Stream};
use doorstep_driver::{Config, ShutdownHandle};

/// A server of one runtime.
pub(crate) trait RuntimeServer: Sized {
    /// Binds the server to `listeners`.
    fn new(listeners: Vec<Listener>, config: Config) -> io::Result<Self>;
    fn shutdown_handle(&self) -> ShutdownHandle;
    /// Serves until it is shut down, with this number of workers if the runtime has workers.
    fn serve(
        self,
        handler: impl blocking::Handler + smol::Handler,
        workers: NonZeroUsize,
    ) -> io::Result<()>;
    /// Serves one connection until it ends.
    fn serve_stream(
        stream: Stream,
        config: &Config,
        handler: impl blocking::Handler + smol::Handler,
    ) -> io::Result<()>;
}

/// What the command serves.
pub(crate) enum Served<S> {
    /// The connections of listeners.
    Listeners(S),
    /// One connection.
    Connection(Box<(Stream, Config)>),
}

impl<S: RuntimeServer> Served<S> {
    pub(crate) fn serve(
        self,
        handler: impl blocking::Handler + smol::Handler,
        workers: NonZeroUsize,
    ) -> io::Result<()> {
        match self {
            Self::Listeners(server) => server.serve(handler, workers),
            Self::Connection(connection) => {
                let (stream, config) = *connection;
                S::serve_stream(stream, &config, handler)
            }
        }
    }
}

impl RuntimeServer for blocking::Server {
    fn new(listeners: Vec<Listener>, config: Config) -> io::Result<Self> {
        let server = Self::from_listeners(listeners)?.with_config(config);
        server.raise_descriptor_limit();
        Ok(server)
    }
    fn shutdown_handle(&self) -> ShutdownHandle {
        self.shutdown_handle()
    }
    fn serve(
        self,
        handler: impl blocking::Handler + smol::Handler,
        _: NonZeroUsize,
    ) -> io::Result<()> {
        self.serve(handler)
    }
    fn serve_stream(
        stream: Stream,
        config: &Config,
        handler: impl blocking::Handler + smol::Handler,
    ) -> io::Result<()> {
        blocking::serve_stream(&handler, config, stream)
    }
}

impl RuntimeServer for smol::Server {
    fn new(listeners: Vec<Listener>, config: Config) -> io::Result<Self> {
        let server = Self::from_listeners(listeners)?.with_config(config);
        server.raise_descriptor_limit();
        Ok(server)
    }
    fn shutdown_handle(&self) -> ShutdownHandle {
        self.shutdown_handle()
    }
    fn serve(
        self,
        handler: impl blocking::Handler + smol::Handler,
        workers: NonZeroUsize,
    ) -> io::Result<()> {
        self.run(handler, workers)
    }
    fn serve_stream(
        stream: Stream,
        config: &Config,
        handler: impl blocking::Handler + smol::Handler,
    ) -> io::Result<()> {
        smol::run_stream(&handler, config, stream)
    }
}
