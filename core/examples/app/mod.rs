//! The application that every loop here serves: the part of a server that is not the loop's.
//!
//! The response to GET is the path. The response to POST is the body of the request, sent back as it
//! arrives, before its end. The response to PUT is the size of the body, sent when all of it was
//! read.

use doorstep_core::http1::{Connection, Event, Misuse, Outbox, ResponseDue};

/// The application's state of one connection.
#[derive(Default)]
pub(crate) struct App {
    received: usize,
}

impl App {
    /// Handles an event about a request.
    pub(crate) fn handle(
        &mut self,
        event: &Event<'_>,
        connection: &mut Connection,
        outbox: &mut Outbox,
    ) -> Result<(), Misuse> {
        match event {
            Event::Request(head) if head.method() == b"POST" => {
                connection.send_continue(outbox); // the body is about to be read
                connection.respond(200, outbox).streamed_body()
            }
            Event::Request(head) if head.method() == b"PUT" => {
                connection.send_continue(outbox);
                self.received = 0;
                Ok(())
            }
            Event::Request(head) if head.method() == b"CONNECT" => {
                connection.respond(501, outbox).error_page("") // it is not a proxy
            }
            Event::Request(head) => connection.respond(200, outbox).body(head.path()),
            Event::Body(part) if connection.response_due() == Some(ResponseDue::Stream) => {
                connection.send(part, outbox)
            }
            Event::Body(part) => {
                self.received += part.len();
                Ok(())
            }
            Event::ResponseDue(ResponseDue::Head) => {
                let size = format!("{} bytes\n", self.received);
                connection.respond(200, outbox).body(size.as_bytes())
            }
            Event::ResponseDue(_) => connection.end(outbox),
            _ => Ok(()),
        }
    }
}
