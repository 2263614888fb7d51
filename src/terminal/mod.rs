//! What people at a terminal see besides the banner and the log: a start-up screen, a QR code, transfers in
//! progress, and a last line.
//!
//! The start-up screen and the last line are for stdout, if that is a terminal; the lines of transfers for
//! stderr, if that is one. A file or a pipe gets none of it, except the QR code if `--qr` asks for it. The
//! banner line stays that of `http.server`.

mod browser;
mod format;
mod line;
mod progress;
mod qr;
mod screen;
mod start;
mod stop;
mod suspension;
mod tally;
mod warnings;

use std::env;
use std::io::{self, IsTerminal};
use std::time::Duration;

use doorstep_driver::Transfers;
use rustix::termios::tcgetwinsize;

use self::browser::Browser;
use self::line::Style;
pub(crate) use self::screen::{Screen, ScreenWriter};
use self::start::{StartScreen, Urls};
pub(crate) use self::stop::StopNotice;
pub(crate) use self::tally::Tally;
use crate::banner::{self, Banner};
use crate::config::CommandConfig;
use crate::failure::Failure;
use crate::sharing::Sharing;

/// The terminal of this process, as far as there is one.
#[derive(Default)]
pub(crate) struct Terminal {
    screen: Screen,
    /// The transfers in progress; `None` if there is no terminal to show them or their number on.
    transfers: Option<Transfers>,
    /// Whether to draw a line for each.
    shows_progress: bool,
    /// What the last line counts; `None` for no last line.
    tally: Option<Tally>,
    browser: Option<Browser>,
}

impl Terminal {
    /// The terminal of a server that listens on sockets.
    pub(crate) fn new(config: &CommandConfig) -> Self {
        let shows_progress =
            !config.terminal.no_progress && io::stderr().is_terminal() && !is_dumb();
        let is_terminal = io::stdout().is_terminal();
        Self {
            screen: Screen::default(),
            transfers: (shows_progress || is_terminal).then(Transfers::default),
            shows_progress,
            tally: is_terminal.then(Tally::new),
            browser: None,
        }
    }

    /// The transfers that the server is to report.
    pub(crate) fn transfers(&self) -> Option<Transfers> {
        self.transfers.clone()
    }

    /// What counts the responses; `None` if nothing does.
    pub(crate) fn tally(&self) -> Option<Tally> {
        self.tally.clone()
    }

    /// A writer for logs on stderr; `None` if they have it alone.
    pub(crate) fn log_writer(&self) -> io::Result<Option<ScreenWriter>> {
        self.shows_progress.then(|| ScreenWriter::new(self.screen.clone())).transpose()
    }

    /// Opens the browser, if that was asked for. To be called when the sockets listen and before privileges
    /// are given up.
    pub(crate) fn open_browser(&mut self, config: &CommandConfig, banner: &Banner) {
        if config.terminal.open {
            let url = Urls::new(banner).first().cloned();
            self.browser = browser::open(url);
        }
    }

    /// Gives the banner what is printed with it. To be called with the rights with
    /// which files are served.
    pub(crate) fn complete(&self, config: &CommandConfig, banner: &mut Banner) {
        let (is_terminal, colors) = (io::stdout().is_terminal(), stdout_has_colors());
        let columns = match tcgetwinsize(io::stdout()) {
            Ok(size) if size.ws_col > 0 => usize::from(size.ws_col),
            _ => 80,
        };
        if !is_terminal && !config.terminal.qr {
            return;
        }
        let urls = Urls::new(banner);
        if is_terminal {
            banner.details = Some(StartScreen::new(config, banner, &urls).lines(columns, colors));
        }
        if config.terminal.qr {
            let limit = is_terminal.then_some(columns);
            banner.qr = qr_code(&urls, limit, is_terminal && colors);
        }
    }

    /// Starts the threads. To be called when privileges were given up.
    pub(crate) fn start(&mut self, report: impl Fn(&str) + Send + 'static) -> Result<(), Failure> {
        if let Some(browser) = self.browser.take() {
            browser.watch(report);
        }
        let Some(transfers) = self.transfers.as_ref().filter(|_| self.shows_progress) else {
            return Ok(());
        };
        let style = Style {
            colors: banner::stderr_has_colors(),
            unicode: is_utf8(&|name| env::var(name).ok()),
        };
        progress::start(transfers.clone(), self.screen.clone(), style).map_err(Failure::Serve)?;
        suspension::start(self.screen.clone()).map_err(Failure::Serve)
    }

    /// What is written to while there may be lines.
    pub(crate) fn screen(&self) -> Screen {
        self.screen.clone()
    }

    /// What says that the server stops. `grace` is how long transfers may take then.
    pub(crate) fn stop_notice(&self, grace: Duration, sharing: Option<Sharing>) -> StopNotice {
        let transfers = self.transfers.clone().filter(|_| self.tally.is_some());
        StopNotice::new(self.screen.clone(), transfers, grace, sharing)
    }

    /// Takes the lines away, and prints the last one.
    pub(crate) fn close(&self, is_log_flushed: bool) {
        if self.screen.close()
            && is_log_flushed
            && let Some(tally) = &self.tally
        {
            banner::print(&tally.line());
        }
    }
}

/// The lines of the QR code, or one that says why there is none.
fn qr_code(urls: &Urls, columns: Option<usize>, colors: bool) -> Vec<String> {
    let sorry = |reason: &str| vec![format!("  No QR code: {reason}."), String::new()];
    let Some(url) = urls.network.first() else {
        return sorry("the server listens on this machine only");
    };
    let Some(code) = qr::code(url, colors) else { return sorry("the URL is too long") };
    let width = code.iter().map(|line| screen::width(line)).max().unwrap_or(0);
    if columns.is_some_and(|columns| columns < width + 2) {
        return sorry(&format!("the terminal is narrower than {} columns", width + 2));
    }
    let code = code.iter().map(|line| format!("  {line}"));
    code.chain([format!("  {url}"), String::new()]).collect()
}

/// Whether the terminal can only append (`TERM=dumb`), or what it can do is not known.
fn is_dumb() -> bool {
    env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

fn stdout_has_colors() -> bool {
    banner::has_colors(&io::stdout())
}

/// Whether the locale is one with UTF-8. `get` is the value of an environment variable.
fn is_utf8(get: &dyn Fn(&str) -> Option<String>) -> bool {
    let names = ["LC_ALL", "LC_CTYPE", "LANG"];
    let locale = names.into_iter().filter_map(get).find(|value| !value.is_empty());
    let locale = locale.unwrap_or_default().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_of_the_locale_counts() {
        let is = |pairs: &[(&str, &str)]| {
            is_utf8(&|name| pairs.iter().find(|pair| pair.0 == name).map(|pair| pair.1.to_owned()))
        };
        assert!(is(&[("LANG", "de_DE.UTF-8")]) && is(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8")]));
        assert!(!is(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]) && !is(&[]));
    }

    #[test]
    fn a_qr_code_is_of_the_best_url_or_says_why_there_is_none() {
        let own = |urls: &[&str]| urls.iter().map(|url| (*url).to_owned()).collect();
        let urls =
            Urls { local: own(&["http://127.0.0.1/"]), network: own(&["http://192.0.2.1/", "x"]) };
        let code = qr_code(&urls, None, false);
        assert_eq!(code[code.len() - 2], "  http://192.0.2.1/");
        assert_eq!(qr_code(&urls, Some(35), false), code, "it is 33 columns wide");
        assert!(qr_code(&urls, Some(34), true)[0].contains("narrower than 35 columns"));
        let local = Urls { network: Vec::new(), ..urls };
        assert!(qr_code(&local, None, true)[0].contains("this machine only"));
    }
}
