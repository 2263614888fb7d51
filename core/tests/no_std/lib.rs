//! `examples/no_std/echo.rs` as a library without std. `.ci/run` compiles it for targets that have
//! none; `tests/no_std.rs` runs the same file.

#![no_std]
#![forbid(unsafe_code)]

#[path = "../../examples/no_std/echo.rs"]
mod echo;

use doorstep_core::http1::{Misuse, Outbox};

pub use echo::Echo;

/// A whole connection in one piece: what the peer has sent, and then its end.
///
/// # Errors
/// Returns an error if a call of the core is out of order, which does not happen.
pub fn echo(input: &[u8], out: &mut Outbox) -> Result<(), Misuse> {
    let mut connection = Echo::new();
    if !input.is_empty() && !connection.echo(input, out)? {
        return Ok(());
    }
    connection.echo(b"", out).map(drop)
}
