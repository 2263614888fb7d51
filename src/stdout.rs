//! Printing what the command computes and does not serve: the manual, completions, reports.

use std::io::{self, ErrorKind, Write};

use crate::failure::Failure;

/// Writes `text` to stdout. A reader that has closed its end has read enough: that is success.
pub(crate) fn print(text: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Print(error)),
        _ => Ok(()),
    }
}
