//! `--open`: the URL in the browser.
//!
//! The browser is started when the sockets listen, and before privileges are given up and the sandbox is
//! entered: it is not part of either. Until the server accepts, its connection waits in the listener's
//! backlog. What prevents it is one line on stderr, and no reason not to serve.

use std::env;
use std::io::{self, ErrorKind, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::thread;

use doorstep_driver::os;

/// The program that opens the URL, as long as it runs.
pub(crate) struct Browser {
    child: Child,
    program: String,
    url: String,
}

/// Starts the browser; `None` if there is nothing to start, which is reported.
pub(super) fn open(url: Option<String>) -> Option<Browser> {
    let opened = match url {
        None => Err("there is no URL to open, only Unix sockets".to_owned()),
        Some(url) => check(&|name| env::var_os(name).is_some_and(|value| !value.is_empty()))
            .and_then(|()| start(&url))
            .map_err(|reason| format!("{reason}; open {url} yourself")),
    };
    opened.map_err(|reason| report(&reason)).ok()
}

/// Why no browser can be started, if none can. `has` is whether an environment variable is set.
fn check(has: &dyn Fn(&str) -> bool) -> Result<(), String> {
    if rustix::process::geteuid().is_root() {
        return Err("no browser is started as root".into());
    }
    let displays = ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "WSL_DISTRO_NAME"];
    if cfg!(target_os = "macos") || displays.into_iter().any(has) {
        return Ok(());
    }
    Err("there is no display to open a browser on (DISPLAY, WAYLAND_DISPLAY and BROWSER are not set)".into())
}

fn start(url: &str) -> Result<Browser, String> {
    let mut failed = String::from("there is no program to open a browser with, such as xdg-open");
    for mut command in open::commands(url) {
        // In a process group of its own: Ctrl-C is for the server.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let program = command.get_program().to_string_lossy().into_owned();
        match command.spawn() {
            Ok(child) => return Ok(Browser { child, program, url: url.into() }),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                failed = format!("{program} cannot be started: {}", os::describe_error(&error));
            }
        }
    }
    Err(failed)
}

impl Browser {
    /// Waits, in a thread, for the end of the program, and calls `report` if it has failed.
    pub(super) fn watch(mut self, report: impl Fn(&str) + Send + 'static) {
        let run = move || match self.child.wait() {
            Ok(status) if !status.success() => {
                let Self { program, url, .. } = &self;
                report(&format!("--open: {}; open {url} yourself", why(program, status.code())));
            }
            _ => {}
        };
        let _ = thread::Builder::new().name("browser".into()).spawn(run); // without it, a zombie remains
    }
}

/// What the exit code of a program that opens URLs means; those of xdg-open are documented in its manual.
fn why(program: &str, code: Option<i32>) -> String {
    let is_xdg_open = program.rsplit('/').next() == Some("xdg-open");
    match code {
        Some(3) if is_xdg_open => "no browser was found".into(),
        Some(4) if is_xdg_open => "the browser could not be started".into(),
        _ => format!("{program} could not open the browser"),
    }
}

fn report(reason: &str) {
    let _ = writeln!(io::stderr(), "doorstep: --open: {reason}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_in_words() {
        assert_eq!(why("xdg-open", Some(3)), "no browser was found");
        assert_eq!(why("/usr/bin/xdg-open", Some(4)), "the browser could not be started");
        assert_eq!(why("gio", Some(3)), "gio could not open the browser");
        assert_eq!(why("xdg-open", None), "xdg-open could not open the browser");
    }

    #[test]
    fn a_display_is_needed() {
        if rustix::process::geteuid().is_root() {
            let reason = check(&|_| true).unwrap_err();
            assert_eq!(reason, "no browser is started as root");
            return;
        }
        for name in ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "WSL_DISTRO_NAME"] {
            assert_eq!(check(&|other| other == name), Ok(()));
        }
        assert!(check(&|_| false).is_err() || cfg!(target_os = "macos"));
    }
}
