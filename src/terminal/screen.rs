//! The terminal that the log, the lines of transfers and other texts share.
//!
//! The lines of transfers stand below the log. Whatever else is written goes through
//! [`Screen::suspend`], which takes the lines away meanwhile, so that no line is torn. One lock orders all of
//! it.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustix::process::getpgrp;
use rustix::termios::{tcgetpgrp, tcgetwinsize};
use unicode_width::UnicodeWidthStr;

use crate::banner;

/// The size of a terminal that does not report one, in columns and rows.
const USUAL_SIZE: (usize, usize) = (80, 24);
/// How often, and with which pauses, [`Screen::close`] tries to take the lines away.
const CLOSE_ATTEMPTS: u32 = 20;
const CLOSE_PAUSE: Duration = Duration::from_millis(5);

/// The terminal of stderr. Clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct Screen(Arc<Mutex<Drawn>>);

/// What is drawn below the log.
#[derive(Default)]
struct Drawn {
    bar: Option<ProgressBar>,
    /// The number of lines.
    lines: usize,
    /// The columns of the terminal when they were drawn.
    columns: usize,
    /// Nothing is drawn for now.
    is_hidden: bool,
    /// Nothing is drawn any more.
    is_closed: bool,
}

impl Screen {
    /// Draws `lines` in place of those before. Nothing is drawn while the process is in the background.
    pub(super) fn draw(&self, lines: &[String]) {
        let mut drawn = self.lock();
        drawn.forget_if_resized();
        if drawn.is_closed || drawn.is_hidden || lines.is_empty() || !is_foreground() {
            drawn.erase();
            return;
        }
        (drawn.lines, drawn.columns) = (lines.len(), size().0);
        drawn.bar.get_or_insert_with(new_bar).set_message(lines.join("\n"));
        to_line_start();
    }

    /// Calls `write` while the lines are taken away.
    pub(super) fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        let mut drawn = self.lock();
        drawn.forget_if_resized();
        match &drawn.bar {
            Some(bar) if is_foreground() => {
                let written = bar.suspend(write);
                to_line_start();
                written
            }
            _ => write(),
        }
    }

    /// Prints on stdout, above the lines if it is the same terminal.
    pub(crate) fn print(&self, text: &str) {
        match shares_stdout() {
            true => self.suspend(|| banner::print(text)),
            false => banner::print(text),
        }
    }

    /// Takes the lines away, and draws none until [`Screen::show`].
    pub(super) fn hide(&self) {
        let mut drawn = self.lock();
        drawn.is_hidden = true;
        drawn.erase();
    }

    /// Ends [`Screen::hide`].
    pub(super) fn show(&self) {
        self.lock().is_hidden = false;
    }

    /// Takes the lines away for good. Returns whether the terminal takes output: a stuck one is not
    /// waited for.
    pub(crate) fn close(&self) -> bool {
        for _ in 0..CLOSE_ATTEMPTS {
            let mut drawn = match self.0.try_lock() {
                Ok(drawn) => drawn,
                Err(TryLockError::Poisoned(drawn)) => drawn.into_inner(),
                Err(TryLockError::WouldBlock) => {
                    thread::sleep(CLOSE_PAUSE);
                    continue;
                }
            };
            drawn.is_closed = true;
            drawn.erase();
            return true;
        }
        false
    }

    fn lock(&self) -> MutexGuard<'_, Drawn> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drawn {
    fn erase(&mut self) {
        let Some(bar) = self.bar.take() else { return };
        match is_foreground() {
            true => bar.finish_and_clear(),
            false => forget(&bar), // the lines above the cursor are another program's now
        }
    }

    /// After a terminal has another width, most have wrapped the lines anew, and they take other rows than
    /// they did, which are cleared here. Then nothing is drawn.
    fn forget_if_resized(&mut self) {
        let columns = size().0;
        if self.columns == columns {
            return;
        }
        let Some(bar) = self.bar.take() else { return };
        if !is_foreground() {
            return forget(&bar);
        }
        if !reflows() {
            return bar.finish_and_clear();
        }
        forget(&bar);
        let above = rows_above(self.lines, self.columns, columns);
        let up = if above > 0 { format!("\x1b[{above}A") } else { String::new() };
        let mut stderr = io::stderr().lock();
        let _ = write!(stderr, "{up}\r\x1b[J").and_then(|()| stderr.flush());
    }
}

/// The rows above the cursor that the lines take after the width has changed from `before`. The cursor is at
/// the start of the last line. indicatif fills each line with spaces and writes no line ends: to the
/// terminal they are one line.
fn rows_above(lines: usize, before: usize, columns: usize) -> usize {
    lines.saturating_sub(1) * before / columns.max(1)
}

/// Moves the cursor to the start of the last line. At its end, what the terminal echoes (`^C`, `^Z`) would
/// be on a line below it, which is not counted when lines are taken away.
fn to_line_start() {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(b"\r").and_then(|()| stderr.flush());
}

/// Ends `bar`, and leaves the terminal as it is.
fn forget(bar: &ProgressBar) {
    bar.set_draw_target(ProgressDrawTarget::hidden());
    bar.finish_and_clear();
}

fn new_bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{msg}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}

/// The columns and rows of the terminal of stderr.
pub(super) fn size() -> (usize, usize) {
    match tcgetwinsize(io::stderr().as_fd()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => USUAL_SIZE,
    }
}

/// Whether this process is in the foreground of the terminal of stderr. One in the background would draw
/// over what another program shows.
fn is_foreground() -> bool {
    tcgetpgrp(io::stderr().as_fd()).is_ok_and(|group| group == getpgrp())
}

/// Whether the terminal wraps its lines anew when it is made narrower: nearly every one but xterm and GNU
/// screen.
fn reflows() -> bool {
    let has = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !has("XTERM_VERSION") && (!has("STY") || has("TMUX"))
}

/// The columns of a line without its colours.
pub(super) fn width(line: &str) -> usize {
    let mut width = 0;
    for (n, part) in line.split("\x1b[").enumerate() {
        let text = match n {
            0 => part,
            _ => part.split_once('m').map_or(part, |(_, text)| text),
        };
        width += text.width();
    }
    width
}

/// Stderr, for a log that shares the terminal.
pub(crate) struct ScreenWriter {
    screen: Screen,
    stderr: File,
}

impl ScreenWriter {
    /// A writer with a descriptor of its own.
    pub(crate) fn new(screen: Screen) -> io::Result<Self> {
        Ok(Self { screen, stderr: File::from(io::stderr().as_fd().try_clone_to_owned()?) })
    }
}

impl Write for ScreenWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Self { screen, stderr } = self;
        screen.suspend(|| stderr.write(bytes))
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether stdout and stderr are the same terminal, or may be.
fn shares_stdout() -> bool {
    io::stdout().is_terminal() && io::stderr().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_take_other_rows_after_the_width_has_changed() {
        assert_eq!(rows_above(4, 80, 60), 4);
        assert_eq!(rows_above(4, 60, 120), 1);
        assert_eq!(rows_above(3, 60, 120), 1);
        assert_eq!((rows_above(1, 80, 60), rows_above(2, 3, 0)), (0, 3));
    }

    #[test]
    fn colours_take_no_columns() {
        assert_eq!(width("  \x1b[1;32m↓\x1b[0m a"), 5);
        assert_eq!(width("日本"), 4);
    }
}
