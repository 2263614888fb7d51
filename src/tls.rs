//! TLS of the command: the certificate, the listeners, and the redirect to HTTPS.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use doorstep_driver::net::{self, TlsSettings};

use crate::arguments::TlsOptions;
use crate::failure::Failure;
use crate::reports::Reports;
use crate::text_file;

/// The largest file with a password, in bytes.
const MAX_PASSWORD_FILE: u64 = 64 << 10;

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
            let text = text_file::read_any(&path, MAX_PASSWORD_FILE);
            let text = text.map_err(|error| Failure::TlsPassword(path, error))?;
            Ok(Password(text.trim().as_bytes().to_vec())) // as Python does
        });
        Ok(Some(Self::Files { certificate, key: options.tls_key, password: password.transpose()? }))
    }

    /// The files that are read again when they change.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        let (certificate, key) = match self {
            Self::Files { certificate, key, .. } => (Some(certificate), key.as_ref()),
            Self::SelfSigned => (None, None),
        };
        certificate.into_iter().chain(key).map(PathBuf::as_path)
    }

    /// The certificate for a server that listens on `addresses`. What happens when it is read again
    /// is reported.
    pub(crate) fn settings(
        &self,
        hosts: &[&str],
        addresses: &[SocketAddr],
        reports: Reports,
    ) -> Result<Arc<TlsSettings>, Failure> {
        let settings = match self {
            Self::Files { certificate, key, password } => {
                let password = password.as_ref().map(|Password(bytes)| bytes.clone());
                TlsSettings::from_files(certificate, key.clone(), password)
            }
            Self::SelfSigned => TlsSettings::self_signed(names(hosts, addresses)),
        };
        let settings = settings.map_err(Failure::Tls)?;
        Ok(Arc::new(settings.with_report(move |level, message| reports.send(level, message))))
    }
}

/// The names of a self-signed certificate: this machine's, those that were given, and the addresses.
fn names(hosts: &[&str], addresses: &[SocketAddr]) -> Vec<String> {
    let mut names = vec!["localhost".to_owned()];
    names.extend(hosts.iter().map(|&host| host.to_owned()));
    for url in net::urls(addresses, "https") {
        let host = url.trim_start_matches("https://").rsplit_once(':').map_or("", |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        names.push(host.split('%').next().unwrap_or_default().to_owned());
    }
    names.sort_unstable();
    names.dedup();
    names
}
