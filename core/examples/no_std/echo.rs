//! A connection of an echo server, with `core` and `alloc` only. The response to a request with a
//! body is that body; to others it is their path.

use doorstep_core::http1::{Connection, Event, Inbox, Limits, Misuse, Outbox};

/// One connection. Its memory: 1 KiB for input, which bounds the head of a request, and the outbox.
pub struct Echo {
    connection: Connection,
    inbox: Inbox<[u8; 1024]>,
}

impl Echo {
    /// A new connection.
    pub fn new() -> Self {
        Self { connection: Connection::new(Limits::default()), inbox: Inbox::new([0; 1024]) }
    }

    /// Takes what the peer has sent; no bytes mean that it sends nothing more. Appends to `out` what
    /// is to be sent. Returns `false` if the connection is to be closed after that.
    ///
    /// # Errors
    /// Returns an error if a call of this function is out of order, which does not happen.
    pub fn echo(&mut self, mut input: &[u8], out: &mut Outbox) -> Result<bool, Misuse> {
        if input.is_empty() {
            self.inbox.filled(0);
        }
        loop {
            match self.connection.next(&mut self.inbox) {
                Ok(Event::Request(head)) if head.has_body() => {
                    self.connection.send_continue(out);
                    self.connection.respond(200, out).streamed_body()?;
                }
                Ok(Event::Request(head)) => self.connection.respond(200, out).body(head.path())?,
                Ok(Event::Body(part)) => self.connection.send(part, out)?,
                Ok(Event::End(_)) => self.connection.end(out)?,
                Ok(Event::NeedData) if input.is_empty() => return Ok(true),
                Ok(Event::NeedData) => {
                    let space = self.inbox.space();
                    let (taken, rest) = input.split_at(input.len().min(space.len()));
                    space[..taken.len()].copy_from_slice(taken);
                    self.inbox.filled(taken.len());
                    input = rest;
                }
                Ok(Event::ResponseDue(_) | Event::SwitchedProtocol | Event::Closed) => {
                    return Ok(false);
                }
                Err(reject) => {
                    self.connection.refuse(reject, self.inbox.unread(), out);
                }
            }
        }
    }
}
