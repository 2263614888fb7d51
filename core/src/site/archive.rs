//! Archives of directories: the format that a query asks for, and the headers of the response.
//!
//! The query is `archive=tar`, `archive=tar.gz` or `archive=zip`, spelled exactly like this, among
//! other words joined by `&`. The last one counts. Any other value is refused with 400.
//!
//! The names in an archive begin with the name of its directory, and so does the name of the file
//! that is offered to the client. The name of the directory that is served is known to no client:
//! its archive is called [`ROOT_NAME`].
//!
//! This module makes no archive. `Files` of `doorstep-driver` does, with [`Site::archive`] and the cargo
//! feature `archive` of the front end (`doorstep-blocking` or `doorstep-async-smol`). Without the feature,
//! [`Site::archive`] has no effect, and no error says so.
//!
//! [`Site::archive`]: super::Site::archive
//!
//! ```
//! use doorstep_core::site::archive::{ArchiveFormat, top_directory};
//!
//! assert_eq!(ArchiveFormat::from_query(Some(b"archive=tar.gz")), Some(Ok(ArchiveFormat::TarGz)));
//! assert_eq!(ArchiveFormat::from_query(Some(b"sort=size")), None);
//! assert_eq!(ArchiveFormat::TarGz.media_type(), "application/gzip");
//! assert_eq!(top_directory(b"pictures/2026"), b"2026");
//! assert_eq!(top_directory(b""), b"files");
//! let header = ArchiveFormat::Zip.content_disposition(b"pictures/M\xc3\xa4rz");
//! let expected = "attachment; filename=\"M__rz.zip\"; filename*=UTF-8''M%C3%A4rz.zip";
//! assert_eq!(String::from_utf8(header).unwrap(), expected);
//! ```

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::media_type::MediaType;

/// The name of an archive of the directory that is served.
pub const ROOT_NAME: &str = "files";

/// A format of archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArchiveFormat {
    /// tar (POSIX.1-2001, pax), not compressed.
    Tar,
    /// tar, compressed by gzip.
    TarGz,
    /// zip, with compressed files.
    Zip,
}

/// The query asks for an archive in a format that there is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownFormat;

impl ArchiveFormat {
    /// All formats.
    pub const ALL: [Self; 3] = [Self::Zip, Self::TarGz, Self::Tar];

    /// The format that a query asks for; `None` if it asks for no archive.
    #[must_use]
    pub fn from_query(query: Option<&[u8]>) -> Option<Result<Self, UnknownFormat>> {
        let words = query?.split(|&byte| byte == b'&');
        let value = words.rev().find_map(|word| match word {
            b"archive" => Some(&b""[..]),
            word => word.strip_prefix(b"archive="),
        })?;
        let named = Self::ALL.into_iter().find(|format| format.name().as_bytes() == value);
        Some(named.ok_or(UnknownFormat))
    }

    /// The name of the format in the query, and the extension of file names without its dot.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tar => "tar",
            Self::TarGz => "tar.gz",
            Self::Zip => "zip",
        }
    }

    /// The `Content-Type`.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Tar => "application/x-tar",
            Self::TarGz => "application/gzip",
            Self::Zip => "application/zip",
        }
    }

    /// The `Content-Disposition` of an archive of the directory at the clean path `path`: the name of
    /// the file, in ASCII for old clients, and in UTF-8 (RFC 6266 §4.3, RFC 8187).
    #[must_use]
    pub fn content_disposition(self, path: &[u8]) -> Vec<u8> {
        let is_safe =
            |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\' | b'%');
        let name = top_directory(path);
        let ascii = name.iter().map(|byte| if is_safe(byte) { *byte } else { b'_' });
        let extension = self.name();
        let mut value = b"attachment; filename=\"".to_vec();
        value.extend(ascii);
        let name = String::from_utf8_lossy(name);
        let encoded = utf8_percent_encode(&name, ENCODED);
        let rest = format!(".{extension}\"; filename*=UTF-8''{encoded}.{extension}");
        value.extend_from_slice(rest.as_bytes());
        value
    }
}

/// The name with which all names in an archive of the clean path `path` begin.
#[must_use]
pub fn top_directory(path: &[u8]) -> &[u8] {
    match path.rsplit(|&byte| byte == b'/').next() {
        Some(name) if !name.is_empty() => name,
        _ => ROOT_NAME.as_bytes(),
    }
}

/// Whether files of this type are compressed already, so that compressing them again costs time and
/// saves nothing.
#[must_use]
pub fn is_compressed(media_type: &MediaType<'_>) -> bool {
    /// Types that are not images, sound or video.
    const COMPRESSED: [&str; 16] = [
        "application/epub+zip",
        "application/gzip",
        "application/java-archive",
        "application/vnd.android.package-archive",
        "application/vnd.debian.binary-package",
        "application/vnd.ms-cab-compressed",
        "application/vnd.rar",
        "application/x-7z-compressed",
        "application/x-bzip2",
        "application/x-rar-compressed",
        "application/x-rpm",
        "application/x-xz",
        "application/zip",
        "application/zstd",
        "font/woff",
        "font/woff2",
    ];
    /// Images and sound that are usually not compressed.
    const PLAIN: [&str; 8] = [
        "audio/aiff",
        "audio/midi",
        "audio/wav",
        "audio/x-wav",
        "image/bmp",
        "image/svg+xml",
        "image/tiff",
        "image/x-icon",
    ];
    let essence = media_type.essence;
    let is_media = ["image/", "audio/", "video/"].iter().any(|kind| essence.starts_with(kind));
    let is_one_of = |types: &[&str]| types.contains(&essence);
    media_type.encoding.is_some() || is_one_of(&COMPRESSED) || (is_media && !is_one_of(&PLAIN))
}

/// What is percent-encoded in an extended parameter: all but `attr-char` (RFC 8187 §3.2.1).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::Site;

    #[test]
    fn the_last_archive_in_the_query_counts() {
        for (query, format) in [
            ("archive=tar", Some(Ok(ArchiveFormat::Tar))),
            ("archive=zip", Some(Ok(ArchiveFormat::Zip))),
            ("sort=size&archive=tar.gz&x", Some(Ok(ArchiveFormat::TarGz))),
            ("archive=rar&archive=zip", Some(Ok(ArchiveFormat::Zip))),
            ("archive=zip&archive=rar", Some(Err(UnknownFormat))),
            ("archive=ZIP", Some(Err(UnknownFormat))),
            ("archive=", Some(Err(UnknownFormat))),
            ("archive", Some(Err(UnknownFormat))),
            ("archives=zip", None),
            ("xarchive=zip", None),
            ("", None),
        ] {
            assert_eq!(ArchiveFormat::from_query(Some(query.as_bytes())), format, "{query}");
        }
        assert_eq!(ArchiveFormat::from_query(None), None);
    }

    #[test]
    fn rfc_6266_a_file_name_breaks_no_header() {
        for (path, expected) in [
            (&b"a/b c"[..], "filename=\"b c.tar\"; filename*=UTF-8''b%20c.tar"),
            (b"", "filename=\"files.tar\"; filename*=UTF-8''files.tar"),
            (b"a\"b\\c%41", "filename=\"a_b_c_41.tar\"; filename*=UTF-8''a%22b%5Cc%2541.tar"),
            (
                b"\xff\r\n;'*",
                "filename=\"___;'*.tar\"; filename*=UTF-8''%EF%BF%BD%0D%0A%3B%27%2A.tar",
            ),
        ] {
            let value = String::from_utf8(ArchiveFormat::Tar.content_disposition(path)).unwrap();
            assert_eq!(value, format!("attachment; {expected}"));
        }
    }

    #[test]
    fn types_that_are_compressed_are_known() {
        let types = Site::default().media_types;
        for (name, compressed) in [
            ("a.jpg", true),
            ("a.mp4", true),
            ("a.zip", true),
            ("a.tar.gz", true),
            ("a.svg", false),
            ("a.txt", false),
            ("a.wav", false),
            ("a", false),
        ] {
            assert_eq!(is_compressed(&types.guess(name.as_bytes())), compressed, "{name}");
        }
    }
}
