//! TLS of the command: the certificate, the listeners, and the redirect to HTTPS.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use doorstep_core::log::write_server_message;
use doorstep_driver::net::{self, TlsSettings};
use doorstep_driver::os::{self, Clock, Log};

use crate::arguments::TlsOptions;
use crate::failure::Failure;

/// Where the certificate is from.
#[derive(Debug)]
pub(crate) enum TlsConfig {
    Files { certificate: PathBuf, key: Option<PathBuf>, password: Option<Password> },
    SelfSigned,
}

/// The password of a private key, which no debug output shows.
pub(crate) struct Password(Vec<u8>);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

impl TlsConfig {
    /// Reads the password; the certificate is read when the server starts.
    pub(crate) fn from_options(options: TlsOptions) -> Result<Option<Self>, Failure> {
        let Some(certificate) = options.tls_cert else {
            return Ok(options.tls_self_signed.then_some(Self::SelfSigned));
        };
        let password = options.tls_password_file.map(|path| {
            let text = fs::read_to_string(&path);
            let text = text.map_err(|error| Failure::TlsPassword(path, error))?;
            Ok(Password(text.trim().as_bytes().to_vec())) // as Python does
        });
        Ok(Some(Self::Files { certificate, key: options.tls_key, password: password.transpose()? }))
    }

    /// The certificate for a server that listens on `addresses`. What happens when it is read again
    /// is logged.
    pub(crate) fn settings(
        &self,
        bind: Option<&str>,
        addresses: &[SocketAddr],
        log: Arc<Log>,
    ) -> Result<Arc<TlsSettings>, Failure> {
        let settings = match self {
            Self::Files { certificate, key, password } => {
                let password = password.as_ref().map(|Password(bytes)| bytes.clone());
                TlsSettings::from_files(certificate, key.clone(), password)
            }
            Self::SelfSigned => TlsSettings::self_signed(names(bind, addresses)),
        };
        let clock = Clock::new();
        let report = move |message: &str| {
            let mut line = Vec::new();
            write_server_message(&mut line, &clock.civil(os::now()), message.as_bytes());
            log.write(&line);
        };
        Ok(Arc::new(settings.map_err(Failure::Tls)?.with_report(report)))
    }
}

/// The names of a self-signed certificate: this machine's, the one that was given, and the addresses.
fn names(bind: Option<&str>, addresses: &[SocketAddr]) -> Vec<String> {
    let mut names = vec!["localhost".to_owned()];
    names.extend(bind.map(str::to_owned));
    for url in net::urls(addresses, "https") {
        let host = url.trim_start_matches("https://").rsplit_once(':').map_or("", |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        names.push(host.split('%').next().unwrap_or_default().to_owned());
    }
    names.sort_unstable();
    names.dedup();
    names
}
