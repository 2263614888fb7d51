//! The options for TLS (HTTPS). The first three are those of `python -m http.server` (B-290).

use crate::arguments::BindAddress;
use crate::listen::DEFAULT_PORT;
use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::values;

/// The options under "TLS (HTTPS)".
#[derive(Debug, Args)]
#[command(next_help_heading = "TLS (HTTPS)")]
pub(crate) struct TlsOptions {
    /// Serve HTTPS with this certificate chain (PEM) [default: none]
    ///
    /// The file is read again when it has changed, as after a renewal.
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) tls_cert: Option<PathBuf>,

    /// Private key of the certificate (PEM) [default: the one in --tls-cert]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) tls_key: Option<PathBuf>,

    /// File with the password of the private key [default: none]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) tls_password_file: Option<PathBuf>,

    /// Serve HTTPS with a self-signed certificate, for development
    ///
    /// It is made now. Clients warn of it. Its fingerprint is printed, to compare it with what they
    /// show.
    #[arg(long)]
    pub(crate) tls_self_signed: bool,

    /// Also listen on this port, and redirect plain HTTP to HTTPS [default: none]
    ///
    /// With -H Strict-Transport-Security max-age=31536000 browsers remember it (HSTS).
    #[arg(long, value_name = "PORT", value_parser = values::port)]
    pub(crate) https_redirect: Option<u16>,
}

impl TlsOptions {
    /// What clap does not check: which options need which.
    pub(crate) fn check(
        &self,
        port: Option<u16>,
        bind: &[BindAddress],
        is_inetd: bool,
    ) -> Result<(), String> {
        if is_inetd && self.https_redirect.is_some() {
            return Err("--inetd serves one connection, and listens on no port: omit \
                        --https-redirect"
                .into());
        }
        let is_on = self.tls_cert.is_some() || self.tls_self_signed;
        let is_unix = !bind.is_empty() && bind.iter().all(|address| address.host().is_none());
        if is_on && is_unix {
            return Err(
                "Unix sockets are not encrypted: add a --bind with an IP address or a host \
                        name, or omit the certificate"
                    .into(),
            );
        }
        let https = port.unwrap_or(DEFAULT_PORT);
        if self.https_redirect.is_some_and(|port| port == https && port != 0) {
            return Err(format!("--https-redirect needs another port than that of HTTPS, {https}"));
        }
        let requires = |option: &str| Err(format!("{option} requires --tls-cert to be set"));
        if self.tls_cert.is_some() && self.tls_self_signed {
            return Err("--tls-cert and --tls-self-signed exclude each other".into());
        }
        if self.tls_key.is_some() && self.tls_cert.is_none() {
            return requires("--tls-key");
        }
        if self.tls_password_file.is_some() && self.tls_cert.is_none() {
            return requires("--tls-password-file");
        }
        if self.https_redirect.is_some() && !is_on {
            return Err(
                "--https-redirect requires --tls-cert or --tls-self-signed to be set".into()
            );
        }
        Ok(())
    }
}
