//! The servers of both runtimes behind one trait, so that [`crate::run`] is written once.

use std::io;
use std::num::NonZeroUsize;

use doorstep_async_smol as smol;
use doorstep_blocking as blocking;
use doorstep_driver::net::Listener;
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
}
