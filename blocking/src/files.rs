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
use doorstep_driver::cgi::{Admission, Dismissal, Scripts};
use doorstep_driver::files::Content;
use doorstep_driver::files::{Directory, NotListed, Rest, part};
use doorstep_driver::os::Symlinks;
use doorstep_driver::semaphore::Place;

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
        Self::linked(directory, Symlinks::default())
    }

    /// As [`Files::new`]; symbolic links go as far as `symlinks` says.
    ///
    /// # Errors
    /// As for [`Files::new`].
    pub fn linked(directory: impl AsRef<Path>, symlinks: Symlinks) -> io::Result<Self> {
        Ok(Self { directory: Directory::new(directory, symlinks)? })
    }

    /// Serves it as `site` says.
    #[must_use]
    pub fn with(mut self, site: Site) -> Self {
        self.directory.set_site(site);
        self
    }

    pub(crate) fn beside(mut self, scripts: &mut Scripts) -> Self {
        self.directory.beside(scripts);
        self
    }

    fn answer(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        let mut rest = self.directory.answer(x)?;
        if matches!(rest, Rest::Exhausted(_)) {
            x.make_room();
            rest = self.directory.answer(x)?;
        }
        loop {
            match rest {
                Rest::Nothing => return Ok(()),
                Rest::Exhausted(error) => return self.directory.refuse(x, &error),
                Rest::Range(content, range) => return send(x, &content, range),
                Rest::Parts(content, multipart) => {
                    for piece in multipart.pieces() {
                        match piece {
                            Piece::Text(text) => x.send(text)?,
                            Piece::Range(range) => send(x, &content, range)?,
                        }
                    }
                    return Ok(());
                }
                Rest::List(path, view) => return self.list(x, &path, view),
                Rest::Digest(file) => {
                    let (seat, mut vigil) = (x.parts().1, self.directory.vigil());
                    let digests = self.directory.digest(&file, || vigil.look(seat.presence()));
                    rest = self.directory.finish(x, &file, &digests)?;
                }
            }
        }
    }

    fn list(&self, x: &mut Exchange<'_>, path: &[u8], view: View) -> io::Result<()> {
        let make = |x: &mut Exchange<'_>, permit| {
            let (seat, mut vigil) = (x.parts().1, self.directory.vigil());
            self.directory.list(path, view, permit, || vigil.look(seat.presence()))
        };
        let mut listed = make(x, None);
        if listed.as_ref().is_err_and(NotListed::is_exhausted) {
            x.make_room();
            listed = make(x, None);
        }
        if matches!(listed, Err(NotListed::Large)) {
            listed = match self.enter(x)? {
                Ok(permit) => make(x, Some(permit)),
                Err(why) => Err(NotListed::Dismissed(why)),
            };
        }
        let Some(listed) = self.directory.show(x, view, listed)? else { return Ok(()) };
        listed.pieces().try_for_each(|piece| x.send(piece))
    }

    /// A permit for a large listing, waited for.
    fn enter(&self, x: &mut Exchange<'_>) -> io::Result<Result<Place, Dismissal>> {
        x.flush()?; // earlier answers do not wait with it
        let mut queue = match self.directory.queue() {
            Ok(queue) => queue,
            Err(full) => return Ok(Err(full)),
        };
        loop {
            let turn = queue.listen();
            match queue.look(x.parts().1) {
                Ok(Admission::In(permit)) => return Ok(Ok(permit)),
                Ok(Admission::Wait(most)) => drop(turn.wait_timeout(most)),
                Err(why) => return Ok(Err(why)),
            }
        }
    }
}

impl Handler for Files {
    fn get(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(x)
    }
    fn post(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(x)
    }
    fn put(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(x)
    }
    fn delete(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(x)
    }
    fn options(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(x)
    }
    fn patch(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(x)
    }
}

fn send(x: &mut Exchange<'_>, content: &Content, range: ByteRange) -> io::Result<()> {
    match content {
        Content::Bytes(bytes) => x.send(part(bytes, range)?),
        Content::File(file) => x.send_file(file, range.first, range.len()),
    }
}
