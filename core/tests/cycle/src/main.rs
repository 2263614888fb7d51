//! Runs one exchange N times and ends: what `tests/instructions.rs` counts the instructions of.
//!
//! An exchange is that of `benches/exchange.rs`: unread bytes are copied into an inbox, the head is
//! parsed, a response of 1 KiB goes into the outbox, the outbox is cleared. The first argument is the
//! request, `small` (46 bytes) or `browser` (705 bytes), the second one is N.
//!
//! It is a package of its own, as an example of the core is built with everything that the other
//! examples need.
//!
//! ```text
//! cargo build --release --manifest-path core/tests/cycle/Cargo.toml --target-dir target/cycle
//! valgrind --tool=callgrind target/cycle/release/cycle small 10000
//! ```

use std::env;
use std::hint::black_box;
use std::process::ExitCode;

use doorstep_core::http1::{Connection, Event, Inbox, Limits, Outbox};

#[path = "../../../benches/requests/mod.rs"]
mod requests;

/// The `Date` of every response.
const NOW: u64 = 784_111_777;
const PAGE: [u8; 1024] = [b'x'; 1024];

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let (request, count) = match &arguments[..] {
        ["small", count] => (&requests::SMALL[..], count.parse()),
        ["browser", count] => (&requests::BROWSER[..], count.parse()),
        _ => return ExitCode::FAILURE,
    };
    let Ok(count) = count else { return ExitCode::FAILURE };
    let mut outbox = Outbox::new("bench");
    outbox.set_date(NOW);
    let mut connection = Connection::new(Limits::default());
    let mut inbox = Inbox::new([0; 16 << 10]);
    let served = (0..count).all(|_: u32| {
        let served = serve(&mut connection, &mut inbox, &mut outbox, black_box(request));
        black_box(outbox.unsent());
        outbox.clear();
        served
    });
    if served { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Receives a request and responds to it. Returns whether it was a whole request.
fn serve(
    connection: &mut Connection,
    inbox: &mut Inbox<[u8; 16 << 10]>,
    outbox: &mut Outbox,
    request: &[u8],
) -> bool {
    inbox.space()[..request.len()].copy_from_slice(request);
    inbox.filled(request.len());
    let Ok(Event::Request(head)) = connection.next(inbox) else { return false };
    black_box(head.path());
    let response =
        connection.respond(200, outbox).header("Content-Type", "text/plain; charset=utf-8");
    response.body(black_box(&PAGE)).is_ok() && matches!(connection.next(inbox), Ok(Event::NeedData))
}
