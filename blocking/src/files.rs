//! A directory as a handler: GET and HEAD of what is in it.
//!
//! It can be wrapped or extended like any handler: call its methods for the paths that are files.
//!
//! ```no_run
//! use doorstep_blocking::{Files, Server};
//!
//! Server::bind("127.0.0.1:8000")?.serve(Files::new(".")?)
//! # ;Ok::<(), std::io::Error>(())
//! ```

use std::io;
use std::path::Path;

use doorstep_core::site::Site;
use doorstep_core::site::listing::View;
use doorstep_core::site::multipart::Piece;
use doorstep_core::site::range::ByteRange;
use event_listener::Listener;

use crate::exchange::Exchange;
use crate::handler::Handler;
use doorstep_driver::cgi::{NoPermit, PermitPoll, ScriptDirectory};
use doorstep_driver::files::Content;
use doorstep_driver::files::{Directory, NotListed, Rest, part};
use doorstep_driver::os::Symlinks;
use doorstep_driver::semaphore::Permit;

/// Serves what is below a directory.
#[derive(Debug)]
pub struct Files {
    directory: Directory,
}

impl Files {
    /// Serves `directory`: what stands under that name at each request. So it can be replaced,
    /// built again or mounted over; while nothing is there, all is 404. A relative name is made
    /// absolute against the working directory now.
    ///
    /// # Errors
    /// When there is no such directory now.
    pub fn new(directory: impl AsRef<Path>) -> io::Result<Self> {
        Self::with_symlinks(directory, Symlinks::default())
    }

    /// As [`Files::new`]; symbolic links go as far as `symlinks` says.
    ///
    /// # Errors
    /// As for [`Files::new`].
    pub fn with_symlinks(directory: impl AsRef<Path>, symlinks: Symlinks) -> io::Result<Self> {
        Ok(Self { directory: Directory::new(directory, symlinks)? })
    }

    /// Serves it as `site` says.
    #[must_use]
    pub fn with_site(mut self, site: Site) -> Self {
        self.directory.set_site(site);
        self
    }

    pub(crate) fn beside(mut self, scripts: &mut ScriptDirectory) -> Self {
        self.directory.beside(scripts);
        self
    }

    fn answer(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        let mut rest = self.directory.answer(exchange)?;
        if matches!(rest, Rest::Exhausted(_)) {
            exchange.evict_for_descriptor();
            rest = self.directory.answer(exchange)?;
        }
        loop {
            match rest {
                Rest::Nothing => return Ok(()),
                Rest::Exhausted(error) => return self.directory.refuse(exchange, &error),
                Rest::Range(content, range) => return send(exchange, &content, range),
                Rest::Parts(content, multipart) => {
                    for piece in multipart.pieces() {
                        match piece {
                            Piece::Text(text) => exchange.send(text)?,
                            Piece::Range(range) => send(exchange, &content, range)?,
                        }
                    }
                    return Ok(());
                }
                Rest::List(path, view) => return self.list(exchange, &path, view),
                Rest::Digest(file) => {
                    let (connection, mut vigil) = (exchange.parts().1, self.directory.vigil());
                    let digests =
                        self.directory.digest(&file, || vigil.look(connection.presence()));
                    rest = self.directory.finish(exchange, &file, &digests)?;
                }
            }
        }
    }

    fn list(&self, exchange: &mut Exchange<'_>, path: &[u8], view: View) -> io::Result<()> {
        let make = |exchange: &mut Exchange<'_>, permit| {
            let (connection, mut vigil) = (exchange.parts().1, self.directory.vigil());
            self.directory.list(path, view, permit, || vigil.look(connection.presence()))
        };
        let mut listed = make(exchange, None);
        if listed.as_ref().is_err_and(NotListed::is_exhausted) {
            exchange.evict_for_descriptor();
            listed = make(exchange, None);
        }
        if matches!(listed, Err(NotListed::Large)) {
            listed = match self.enter(exchange)? {
                Ok(permit) => make(exchange, Some(permit)),
                Err(why) => Err(NotListed::Dismissed(why)),
            };
        }
        let Some(listed) = self.directory.show(exchange, view, listed)? else { return Ok(()) };
        listed.pieces().try_for_each(|piece| exchange.send(piece))
    }

    /// A permit for a large listing, waited for.
    fn enter(&self, exchange: &mut Exchange<'_>) -> io::Result<Result<Permit, NoPermit>> {
        exchange.flush()?; // earlier answers do not wait with it
        let mut queue = match self.directory.queue() {
            Ok(queue) => queue,
            Err(full) => return Ok(Err(full)),
        };
        loop {
            let turn = queue.listen();
            match queue.poll(exchange.parts().1) {
                Ok(PermitPoll::Granted(permit)) => return Ok(Ok(permit)),
                Ok(PermitPoll::Wait(most)) => drop(turn.wait_timeout(most)),
                Err(why) => return Ok(Err(why)),
            }
        }
    }
}

impl Handler for Files {
    fn get(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(exchange)
    }
    fn post(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(exchange)
    }
    fn put(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(exchange)
    }
    fn delete(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(exchange)
    }
    fn options(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(exchange)
    }
    fn patch(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(exchange)
    }
}

fn send(exchange: &mut Exchange<'_>, content: &Content, range: ByteRange) -> io::Result<()> {
    match content {
        Content::Bytes(bytes) => exchange.send(part(bytes, range)?),
        Content::File(file) => exchange.send_file(file, range.first, range.len()),
    }
}
