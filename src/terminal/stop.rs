//! What is printed when a graceful shutdown begins: why, if the server ends by itself, and on a terminal how
//! long transfers in progress may take.

use std::time::Duration;

use doorstep_driver::Transfers;

use super::format;
use super::screen::Screen;
use crate::sharing::Sharing;

/// Prints it. The default prints nothing.
#[derive(Default)]
pub(crate) struct StopNotice {
    screen: Screen,
    /// The transfers that are waited for; `None` if nothing is printed.
    transfers: Option<Transfers>,
    grace: Duration,
    sharing: Option<Sharing>,
}

impl StopNotice {
    pub(super) fn new(
        screen: Screen,
        transfers: Option<Transfers>,
        grace: Duration,
        sharing: Option<Sharing>,
    ) -> Self {
        Self { screen, transfers, grace, sharing }
    }

    /// To be called when the shutdown has begun.
    pub(crate) fn print(&self) {
        let mut text = self.sharing.as_ref().and_then(Sharing::message).unwrap_or_default();
        let ends_by_itself = !text.is_empty();
        if let Some(transfers) = &self.transfers {
            let report = self.sharing.as_ref().map(|sharing| sharing.conditions().report());
            let in_progress = match report {
                // The last one that counts may still be in the list.
                Some(report) if report.is_count_reached() => report.in_progress,
                _ => transfers.len() as u64,
            };
            text.extend(waiting(in_progress, self.grace, ends_by_itself));
        }
        if !text.is_empty() {
            self.screen.print(&text);
        }
    }
}

/// The line about transfers in progress; `None` if none is waited for. If the server `ends_by_itself`, the
/// first Ctrl-C is one that begins a shutdown, and the second one ends it.
fn waiting(transfers: u64, grace: Duration, ends_by_itself: bool) -> Option<String> {
    if transfers == 0 || grace.is_zero() {
        return None;
    }
    let limit = match grace {
        Duration::MAX => String::new(),
        grace => format!(" up to {}", format::words(grace)),
    };
    let transfers = format::count(transfers, "transfer");
    let again = if ends_by_itself { "pressed twice" } else { "again" };
    Some(format!("Waiting{limit} for {transfers} in progress; Ctrl-C {again} ends at once.\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_many_how_long_and_how_to_end_it() {
        let seconds = Duration::from_secs;
        assert_eq!(
            waiting(1, seconds(8), false).unwrap(),
            "Waiting up to 8 seconds for 1 transfer in progress; Ctrl-C again ends at once.\n"
        );
        assert_eq!(
            waiting(2, seconds(60), true).unwrap(),
            "Waiting up to 1 minute for 2 transfers in progress; Ctrl-C pressed twice ends at once.\n"
        );
        assert_eq!(
            waiting(2, Duration::MAX, false).unwrap(),
            "Waiting for 2 transfers in progress; Ctrl-C again ends at once.\n"
        );
        assert_eq!((waiting(0, seconds(8), false), waiting(3, seconds(0), false)), (None, None));
    }
}
