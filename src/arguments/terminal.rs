//! The options for people at a terminal.

use clap::Args;

/// The options under "Terminal".
#[derive(Clone, Copy, Debug, Default, Args)]
#[command(next_help_heading = "Terminal")]
pub(crate) struct TerminalOptions {
    /// Print a QR code of the URL, for the camera of a phone
    ///
    /// It is that of the network, so the phone must be in the same one.
    #[arg(long, conflicts_with = "inetd")]
    pub(crate) qr: bool,

    /// Open the URL in the browser
    #[arg(long, conflicts_with = "inetd")]
    pub(crate) open: bool,

    /// Do not show downloads and uploads in progress
    ///
    /// On a terminal, those that take longer than a second have a line below the log. It is not
    /// shown if TERM is "dumb". NO_COLOR disables colors.
    #[arg(long)]
    pub(crate) no_progress: bool,
}
