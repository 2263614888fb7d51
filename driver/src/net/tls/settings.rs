//! The certificate of a listener and its key, read again when their files change.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use doorstep_core::log::Level;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};

use super::{TlsError, TlsStream, certificate};
use crate::net::Stream;

/// The default of [`TlsSettings::with_check_interval`].
const CHECK_INTERVAL: Duration = Duration::from_secs(60);

/// How the connections of a listener are encrypted.
///
/// To share them among listeners, and to [reload](TlsSettings::reload) the certificate, hold them in
/// an [`Arc`].
pub struct TlsSettings {
    config: Arc<ServerConfig>,
    certificate: Arc<Certificate>,
    files: Option<CertificateFiles>,
    check_interval: Duration,
    state: Mutex<State>,
    report: Option<Report>,
}

/// The certificate in use; `None` only if an embedder's configuration has another.
#[derive(Debug, Default)]
struct Certificate(RwLock<Option<Arc<CertifiedKey>>>);

/// Receives lines for the log.
type Report = Box<dyn Fn(Level, &str) + Send + Sync>;

/// Where a certificate is read from.
struct CertificateFiles {
    certificate: PathBuf,
    key: Option<PathBuf>,
    password: Option<Vec<u8>>,
}

/// What was read last, and when that was checked.
struct State {
    versions: Vec<Option<FileVersion>>,
    checked: Instant,
}

/// What changes when a file is replaced or written to: device, inode, size, and time of the change in
/// nanoseconds.
type FileVersion = (u64, u64, u64, i128);

impl TlsSettings {
    /// A certificate chain and its private key, in PEM. Without `key` the key is in the file of the
    /// certificate (B-291). `password` decrypts the key.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read, if the certificate is not valid now, if the key is
    /// not that of the certificate, or if the password is wrong or missing.
    pub fn from_files(
        certificate: impl Into<PathBuf>,
        key: Option<PathBuf>,
        password: Option<Vec<u8>>,
    ) -> Result<Self, TlsError> {
        let files = CertificateFiles { certificate: certificate.into(), key, password };
        let versions = files.versions();
        let certified = files.read()?;
        Self::new(certified, Some(files), versions)
    }

    /// A certificate that is made now, for development: clients do not trust it, unless they are
    /// asked to. `names` are host names and IP addresses. It is valid for a year, and so is its key,
    /// which exists only in this process.
    ///
    /// # Errors
    /// Returns an error if a name is neither a host name nor an address.
    pub fn self_signed(
        names: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self, TlsError> {
        let names = names.into_iter().map(Into::into).collect();
        Self::new(certificate::self_signed(names)?, None, Vec::new())
    }

    /// A configuration of rustls, for what these settings do not have, such as client certificates.
    /// Its certificates are not reloaded.
    #[must_use]
    pub fn from_config(config: Arc<ServerConfig>) -> Self {
        Self::with(config, Arc::default(), None, Vec::new())
    }

    fn new(
        certified: CertifiedKey,
        files: Option<CertificateFiles>,
        versions: Vec<Option<FileVersion>>,
    ) -> Result<Self, TlsError> {
        let certificate = Arc::new(Certificate(RwLock::new(Some(Arc::new(certified)))));
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().map_err(TlsError::tls)?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(certificate.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Tickets hold the session, so that none is kept here.
        config.ticketer = ring::Ticketer::new().map_err(TlsError::tls)?;
        Ok(Self::with(Arc::new(config), certificate, files, versions))
    }

    fn with(
        config: Arc<ServerConfig>,
        certificate: Arc<Certificate>,
        files: Option<CertificateFiles>,
        versions: Vec<Option<FileVersion>>,
    ) -> Self {
        let state = Mutex::new(State { versions, checked: Instant::now() });
        Self { config, certificate, files, check_interval: CHECK_INTERVAL, state, report: None }
    }

    /// How often the files are looked at: when a connection is accepted and the last look is older.
    /// Default: 60 s.
    #[must_use]
    pub fn with_check_interval(mut self, interval: Duration) -> Self {
        self.check_interval = interval;
        self
    }

    /// What is called with one line for the log when changed files were read, or could not be. It
    /// must not wait.
    #[must_use]
    pub fn with_report(mut self, report: impl Fn(Level, &str) + Send + Sync + 'static) -> Self {
        self.report = Some(Box::new(report));
        self
    }

    /// Reads the files again, whether they have changed or not. Connections that are open keep the
    /// certificate that they have. Without files, does nothing.
    ///
    /// # Errors
    /// Returns the errors of [`TlsSettings::from_files`]: then the certificate in use stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        let Some(files) = &self.files else { return Ok(()) };
        let mut state = self.state();
        // Before reading: a file that changes meanwhile is read again.
        (state.versions, state.checked) = (files.versions(), Instant::now());
        self.read(files)
    }

    fn read(&self, files: &CertificateFiles) -> Result<(), TlsError> {
        let read = files.read();
        let (level, message) = match &read {
            Ok(_) => (Level::Info, "TLS certificate reloaded".into()),
            Err(error) => {
                (Level::Error, format!("TLS certificate not reloaded, the old one stays: {error}"))
            }
        };
        if let Some(report) = &self.report {
            report(level, &message);
        }
        *self.certificate.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(read?));
        Ok(())
    }

    /// Reads the files again if they have changed, at most once in [`TlsSettings::with_check_interval`].
    fn check(&self) {
        let Some(files) = &self.files else { return };
        // While another thread reads, connections have the old certificate.
        let Ok(mut state) = self.state.try_lock() else { return };
        if state.checked.elapsed() < self.check_interval {
            return;
        }
        state.checked = Instant::now();
        let versions = files.versions();
        if versions != state.versions {
            state.versions = versions;
            let _ = self.read(files); // reported
        }
    }

    /// The SHA-256 fingerprint of the certificate in use, as in `AB:01:…`; empty if it is that of
    /// [`TlsSettings::from_config`].
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let Some(certified) = self.certificate.current() else { return String::new() };
        let digest = certified.end_entity_cert().map(Sha256::digest).unwrap_or_default();
        let bytes: Vec<_> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
        bytes.join(":")
    }

    /// The certificate in use, in DER (X.509); `None` if it is that of [`TlsSettings::from_config`].
    #[must_use]
    pub fn certificate(&self) -> Option<Vec<u8>> {
        let certified = self.certificate.current()?;
        certified.end_entity_cert().ok().map(|certificate| certificate.to_vec())
    }

    /// An encrypted stream over `stream`, as [`Listener::with_tls`](crate::net::Listener::with_tls)
    /// makes it of each connection. Nothing is read before its first read.
    ///
    /// # Errors
    /// Returns an error if a configuration of [`TlsSettings::from_config`] cannot be used.
    pub fn accept(&self, stream: impl Into<Stream>) -> io::Result<Stream> {
        self.check();
        self.encrypt(stream.into())
    }

    #[inline(never)] // it is made on the stack: 6 KB that no connection without TLS should need
    fn encrypt(&self, stream: Stream) -> io::Result<Stream> {
        Ok(TlsStream::new(stream, self)?.into())
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for TlsSettings {
    /// Without the key and the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let certificate = self.files.as_ref().map(|files| &files.certificate);
        f.debug_struct("TlsSettings").field("certificate", &certificate).finish_non_exhaustive()
    }
}

impl Certificate {
    fn current(&self) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current()
    }
}

impl CertificateFiles {
    fn read(&self) -> Result<CertifiedKey, TlsError> {
        certificate::read(&self.certificate, self.key.as_deref(), self.password.as_deref())
    }

    fn versions(&self) -> Vec<Option<FileVersion>> {
        let version = |path: &Path| {
            let metadata = fs::metadata(path).ok()?;
            let changed = i128::from(metadata.ctime()) * 1_000_000_000;
            let changed = changed + i128::from(metadata.ctime_nsec());
            Some((metadata.dev(), metadata.ino(), metadata.size(), changed))
        };
        let paths = [Some(&self.certificate), self.key.as_ref()];
        paths.into_iter().flatten().map(|path| version(path)).collect()
    }
}
