//! The core without std: one connection, from standard input to standard output.
//!
//! `echo.rs` beside this file is all that a device needs besides its own input and output. It uses
//! `core` and `alloc` only; `tests/no_std/` compiles it for targets that have no std.
//!
//! ```sh
//! printf 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello' |
//!     cargo run -p doorstep-core --no-default-features --example no_std
//! ```

#![allow(unreachable_pub, reason = "echo.rs is a module of a library, too")]

mod echo;

use std::io::{self, Error, Read, Write};

use doorstep_core::http1::Outbox;

fn main() -> io::Result<()> {
    let (mut connection, mut outbox) = (echo::Echo::new(), Outbox::new("no_std"));
    let mut input = [0; 512];
    loop {
        let n = io::stdin().read(&mut input)?;
        let open = connection.echo(&input[..n], &mut outbox).map_err(Error::other)?;
        io::stdout().write_all(outbox.unsent())?;
        outbox.clear();
        if !open || n == 0 {
            return io::stdout().flush();
        }
    }
}
