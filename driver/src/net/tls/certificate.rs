//! Reading a certificate and its private key, and what can be wrong with them.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use doorstep_core::http1::date;
use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::SecretDocument;
use pkcs8::der::pem::PemLabel;
use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::parse_x509_certificate;

use crate::os;

/// Why a certificate cannot be used. It is displayed as one line that says what to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// The file cannot be read.
    Read(PathBuf, io::Error),
    /// The file has no certificate in PEM, or one that is malformed.
    NoCertificate(PathBuf),
    /// The certificate is valid only until this time (seconds since 1970-01-01 00:00 UTC), which has
    /// passed.
    Expired(PathBuf, i64),
    /// The certificate is valid only from this time on.
    NotYetValid(PathBuf, i64),
    /// The file has no private key in PEM, or one that is malformed.
    NoKey(PathBuf),
    /// The private key is encrypted, and there is no password.
    PasswordMissing(PathBuf),
    /// The password does not decrypt the private key.
    PasswordWrong(PathBuf),
    /// The private key is encrypted in a format that is not supported.
    KeyEncryption(PathBuf),
    /// The private key is of a kind that is not supported.
    KeyKind(PathBuf, String),
    /// The private key is not that of the certificate.
    Mismatch(PathBuf, PathBuf),
    /// A certificate cannot be made for these names.
    SelfSigned(String),
    /// TLS cannot be set up.
    Tls(String),
}

impl TlsError {
    pub(super) fn tls(error: impl fmt::Display) -> Self {
        Self::Tls(error.to_string())
    }
}

impl std::error::Error for TlsError {}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(path, error) => {
                write!(f, "cannot read {path:?}: {}", os::describe_error(error))
            }
            Self::NoCertificate(path) => write!(
                f,
                "no valid certificate in {path:?}: it must be in PEM (-----BEGIN CERTIFICATE-----), \
                 that of the server first, then those of its issuers"
            ),
            Self::Expired(path, at) => {
                write!(f, "the certificate in {path:?} has expired on {}; renew it", Date(*at))
            }
            Self::NotYetValid(path, at) => write!(
                f,
                "the certificate in {path:?} is not valid before {}; check the clock",
                Date(*at)
            ),
            Self::NoKey(path) => write!(
                f,
                "no valid private key in {path:?}: it must be in PEM (-----BEGIN PRIVATE KEY-----)"
            ),
            Self::PasswordMissing(path) => {
                write!(f, "the private key in {path:?} is encrypted: its password is needed")
            }
            Self::PasswordWrong(path) => {
                write!(f, "the password of the private key in {path:?} is wrong")
            }
            Self::KeyEncryption(path) => write!(
                f,
                "the private key in {path:?} is encrypted in a format that is not supported; convert \
                 it: openssl pkcs8 -topk8 -v2 aes-256-cbc -in {path:?} -out new.pem"
            ),
            Self::KeyKind(path, error) => write!(
                f,
                "the private key in {path:?} cannot be used: {error}; it must be RSA of 2048 bits or \
                 more, ECDSA on P-256 or P-384, or Ed25519"
            ),
            Self::Mismatch(key, certificate) => write!(
                f,
                "the private key in {key:?} is not that of the first certificate in {certificate:?}"
            ),
            Self::SelfSigned(error) => write!(f, "cannot make a certificate: {error}"),
            Self::Tls(error) => write!(f, "cannot set up TLS: {error}"),
        }
    }
}

/// A date as in an HTTP header.
struct Date(i64);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&date::format(self.0)).unwrap_or_default())
    }
}

/// Reads a certificate chain and its key, and checks that they belong together and are valid now.
pub(super) fn read(
    certificate: &Path,
    key: Option<&Path>,
    password: Option<&[u8]>,
) -> Result<CertifiedKey, TlsError> {
    // Another kind of file could block the thread, such as a FIFO.
    let read_file = |path: &Path| match fs::metadata(path)?.is_file() {
        true => fs::read(path),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    };
    let read = |path: &Path| read_file(path).map_err(|error| TlsError::Read(path.into(), error));
    let text = read(certificate)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.unwrap_or_default();
    let Some(Ok((_, parsed))) = chain.first().map(|first| parse_x509_certificate(first)) else {
        return Err(TlsError::NoCertificate(certificate.into()));
    };
    let (validity, now) = (parsed.validity(), os::now());
    let (begin, end) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    if end < now {
        return Err(TlsError::Expired(certificate.into(), end));
    }
    if begin > now {
        return Err(TlsError::NotYetValid(certificate.into(), begin));
    }
    let (path, key) = match key {
        Some(path) => (path, private_key(path, &read(path)?, password)?),
        None => (certificate, private_key(certificate, &text, password)?),
    };
    let signer = ring::sign::any_supported_type(&key)
        .map_err(|error| TlsError::KeyKind(path.into(), error.to_string()))?;
    let certified = CertifiedKey::new(chain, signer);
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        Err(_) => Err(TlsError::Mismatch(path.into(), certificate.into())),
    }
}

/// The first private key of a file in PEM.
fn private_key(
    path: &Path,
    text: &[u8],
    password: Option<&[u8]>,
) -> Result<PrivateKeyDer<'static>, TlsError> {
    let contains = |what: &str| text.windows(what.len()).any(|part| part == what.as_bytes());
    if contains("Proc-Type: 4,ENCRYPTED") {
        return Err(TlsError::KeyEncryption(path.into()));
    }
    if contains(EncryptedPrivateKeyInfoRef::PEM_LABEL) {
        let password = password.ok_or_else(|| TlsError::PasswordMissing(path.into()))?;
        let document = encrypted_section(text).and_then(|pem| {
            let (_, document) = SecretDocument::from_pem(pem).ok()?;
            Some(document)
        });
        let document = document.ok_or_else(|| TlsError::NoKey(path.into()))?;
        let info = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes())
            .map_err(|_| TlsError::KeyEncryption(path.into()))?;
        let decrypted = info.decrypt(password).map_err(|_| TlsError::PasswordWrong(path.into()))?;
        return Ok(PrivatePkcs8KeyDer::from(decrypted.as_bytes().to_vec()).into());
    }
    PrivateKeyDer::from_pem_slice(text).map_err(|_| TlsError::NoKey(path.into()))
}

/// The section of an encrypted private key, in a file that may have others.
fn encrypted_section(text: &[u8]) -> Option<&str> {
    let text = str::from_utf8(text).ok()?;
    let label = EncryptedPrivateKeyInfoRef::PEM_LABEL;
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let text = &text[text.find(&begin)?..];
    Some(&text[..text.find(&end)? + end.len()])
}

/// Makes a certificate that is valid for a year.
pub(super) fn self_signed(names: Vec<String>) -> Result<CertifiedKey, TlsError> {
    let failed = |error: rcgen::Error| TlsError::SelfSigned(error.to_string());
    let key = KeyPair::generate().map_err(failed)?;
    let mut params = CertificateParams::new(names).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, "doorstep, self-signed");
    const DAY: i64 = 24 * 60 * 60;
    let day = |unix: i64| {
        let day = date::Civil::utc(unix);
        date_time_ymd(day.year as i32, day.month, day.day)
    };
    params.not_before = day(os::now() - DAY); // a client's clock may be behind
    params.not_after = day(os::now() + 366 * DAY);
    let certificate = params.self_signed(&key).map_err(failed)?;
    let der = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let signer = ring::sign::any_supported_type(&der).map_err(TlsError::tls)?;
    Ok(CertifiedKey::new(vec![certificate.der().clone()], signer))
}
