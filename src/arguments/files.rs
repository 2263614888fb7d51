//! The options about files and about the headers of responses.
//!
//! An invalid value is a usage error, before anything is opened. Every option here is off or safe by
//! default; docs/files.md gives the reasons.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use doorstep_core::http1::{Misuse, Outbox};
use doorstep_core::site::{Site, cors, media_type};
use doorstep_driver::os::Symlinks;

use super::values;
use crate::failure::Failure;
use crate::text_file;

const HEADERS: &str = "Response headers";
/// The largest file of MIME types, in bytes. Those of systems have less than 100 KB.
const MAX_MIME_TYPES: u64 = 16 << 20;

/// The options under "Files" and "Response headers".
#[derive(Debug, Args)]
#[command(next_help_heading = "Files")]
pub(crate) struct FileOptions {
    /// Serve and list hidden files (dotfiles: names that begin with a dot)
    ///
    /// By default they are 404, except for /.well-known/.
    #[arg(long)]
    pub(crate) hidden: bool,

    /// Which symbolic links (symlinks) are followed
    #[arg(long, value_enum, value_name = "RULE", default_value_t = SymlinkRule::Beneath)]
    symlinks: SymlinkRule,

    /// Index page of a directory; repeatable [default: index.html, index.htm]
    ///
    /// The first one that exists in the directory is sent in place of a directory listing.
    #[arg(long, value_name = "NAME", value_parser = index_page)]
    index: Vec<String>,

    /// Disable the directory listing: without an index page it is a 404
    #[arg(long)]
    no_listing: bool,

    /// Disable archives: no directory can be downloaded as one file (zip, tar.gz, tar)
    ///
    /// By default a listed directory has buttons for that, which request ?archive=zip and others.
    #[arg(long)]
    no_archive: bool,

    /// Show the text of README.md, README.txt or README below the directory listing
    ///
    /// The first 64 KiB of it, as plain text.
    #[arg(long)]
    readme: bool,

    /// Single-page application (SPA) fallback: send FILE, not 404 [default: none]
    ///
    /// FILE is a path from the served directory, such as index.html. It is sent with status 200
    /// for a missing path without a file extension, if the client accepts text/html, as browsers
    /// do for pages. Missing scripts, styles and images stay 404.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = path_below)]
    spa: Option<String>,

    /// Send precompressed NAME.br, NAME.zst or NAME.gz in place of NAME
    ///
    /// For clients whose Accept-Encoding allows it (Brotli, Zstandard, gzip).
    #[arg(long)]
    precompressed: bool,

    /// MIME type of unknown extensions [default: application/octet-stream]
    #[arg(long, value_name = "TYPE", value_parser = media_type_of)]
    content_type: Option<String>,

    /// File with additional MIME types, as in mime.types [default: none]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    mime_types: Option<PathBuf>,

    /// Charset of text, JavaScript and JSON in Content-Type; "none" omits it
    #[arg(long, value_name = "NAME", default_value = "utf-8", value_parser = charset)]
    charset: String,

    /// Cache-Control of files: max-age, or "no-cache"
    ///
    /// max-age is a TIME in whole seconds; no-cache means that clients revalidate at each use.
    #[arg(long, value_name = "TIME", default_value = "no-cache", value_parser = cache_control)]
    #[arg(help_heading = HEADERS)]
    cache: String,

    /// Cache matching files for a year, as immutable; repeatable [default: none]
    ///
    /// For files whose names change with their content, as bundlers write them: they are sent with
    /// Cache-Control: max-age=31536000, immutable. PATTERN is a path from the served directory,
    /// such as 'assets/*'; * matches any characters, / too. Quote it, or the shell expands it.
    #[arg(long, value_name = "PATTERN", help_heading = HEADERS, value_parser = immutable_pattern)]
    immutable: Vec<String>,

    /// Add a header to every response; repeatable [default: none]
    ///
    /// Also to errors and responses of scripts. -H Cache-Control VALUE replaces --cache and
    /// --immutable. Listings keep their own Content-Security-Policy.
    #[arg(short = 'H', long, num_args = 2, value_names = ["NAME", "VALUE"])]
    #[arg(help_heading = HEADERS)]
    header: Vec<String>,

    /// Enable CORS: pages of every origin may read responses
    ///
    /// Sends Access-Control-Allow-Origin: * and responds to CORS preflight requests.
    #[arg(long, help_heading = HEADERS)]
    cors: bool,

    /// Enable cross-origin isolation, which SharedArrayBuffer needs
    ///
    /// WebAssembly threads need it, too. Sends Cross-Origin-Opener-Policy (COOP),
    /// Cross-Origin-Embedder-Policy (COEP) and Cross-Origin-Resource-Policy (CORP). Other origins
    /// can then not embed these files.
    #[arg(long, help_heading = HEADERS)]
    isolate: bool,

    /// Value of the Server header; "" omits the header [default: doorstep and its version]
    #[arg(long, value_name = "TEXT", value_parser = header_value, help_heading = HEADERS)]
    pub(crate) server_header: Option<String>,
}

/// [`Symlinks`] by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SymlinkRule {
    /// Links to targets below the served directory
    Beneath,
    /// All links, also out of the served directory
    Follow,
    /// No links
    Deny,
}

/// Headers that describe a response, or that the server computes. A second one would contradict the
/// first.
const RESERVED_HEADERS: [&str; 10] = [
    "accept-ranges",
    "allow",
    "content-encoding",
    "content-range",
    "content-type",
    "date",
    "etag",
    "last-modified",
    "location",
    "server",
];

impl FileOptions {
    /// Checks the additional headers, which clap cannot: each is two values.
    pub(crate) fn check(&self) -> Result<(), String> {
        for (name, value) in self.additional_headers() {
            if RESERVED_HEADERS.iter().any(|reserved| name.eq_ignore_ascii_case(reserved)) {
                return Err(invalid_header(name, "doorstep sets this header itself"));
            }
            if let Some(message) = header_in_one_argument(name, value) {
                return Err(message);
            }
            let appended = Outbox::new("").add_default_header(name, value.as_bytes());
            appended.map_err(|misuse| match misuse {
                Misuse::BadHeader if !media_type::is_token(name) => {
                    invalid_header(name, "the name must be a word such as X-Frame-Options")
                }
                Misuse::BadHeader => {
                    invalid_header(name, "the value must not contain a line break or a NUL")
                }
                misuse => invalid_header(name, &misuse.to_string()),
            })?;
        }
        Ok(())
    }

    /// Which symbolic links are followed.
    pub(crate) fn symlinks(&self) -> Symlinks {
        match self.symlinks {
            SymlinkRule::Beneath => Symlinks::Beneath,
            SymlinkRule::Follow => Symlinks::Follow,
            SymlinkRule::Deny => Symlinks::Deny,
        }
    }

    /// Whether `--content-type` is given: then files of unknown types are intended.
    pub(crate) fn has_default_type(&self) -> bool {
        self.content_type.is_some()
    }

    /// Whether pages of other origins may read responses, and CORS preflights are responded to.
    pub(crate) fn cors(&self) -> bool {
        self.cors
    }

    /// The headers of every response. One from `--header` replaces ours of the same name.
    pub(crate) fn headers(&self) -> Vec<(String, String)> {
        let cors = cors::CORS_HEADERS.into_iter().filter(|_| self.cors);
        let isolation = cors::ISOLATION_HEADERS.into_iter().filter(|_| self.isolate);
        let ours = cors.chain(isolation).filter(|(name, _)| !self.sets_header(name));
        let all = ours.chain(self.additional_headers());
        all.map(|(name, value)| (name.into(), value.into())).collect()
    }

    /// How the directory is served. Fails if the MIME types cannot be read.
    pub(crate) fn site(self) -> Result<Site, Failure> {
        let mut site = Site::default();
        site.hidden = self.hidden;
        site.listing = !self.no_listing;
        site.readme = self.readme;
        site.archive = !self.no_archive;
        site.precompressed = self.precompressed;
        site.cors = self.cors;
        // Recipients would combine two Cache-Control headers into one.
        site.cache_control.clear();
        if !self.sets_header("cache-control") {
            site.cache_control = self.cache;
            site.immutable = self.immutable;
        }
        site.spa = self.spa;
        if !self.index.is_empty() {
            site.index = self.index;
        }
        site.media_types.charset = Some(self.charset).filter(|name| name != "none");
        if let Some(default) = self.content_type {
            site.media_types.default = default;
        }
        if let Some(path) = self.mime_types {
            match text_file::read(&path, MAX_MIME_TYPES) {
                Err(error) => return Err(Failure::MimeTypes(path, error)),
                Ok(text) => {
                    let added = site.media_types.add_mime_types(&text);
                    added.map_err(|line| Failure::MimeTypesLine(path, line.0))?;
                }
            }
        }
        Ok(site)
    }

    /// The names and values of `--header`.
    fn additional_headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.header.chunks_exact(2).map(|pair| (&*pair[0], &*pair[1]))
    }

    /// Whether `--header` sets the header `name`.
    fn sets_header(&self, name: &str) -> bool {
        self.additional_headers().any(|(set, _)| set.eq_ignore_ascii_case(name))
    }
}

/// The message for a header that is one argument, as with curl: `X-A: b`. `None` if `name` is not
/// such a header.
pub(super) fn header_in_one_argument(name: &str, value: &str) -> Option<String> {
    let (only_name, rest) = name.split_once(':').filter(|(name, _)| media_type::is_token(name))?;
    let value = match rest.trim() {
        "" => value,
        rest => rest,
    };
    let (only_name, value) = (values::quote(only_name), values::quote(value));
    let reason = format!("write name and value as two arguments: -H {only_name} {value}");
    Some(invalid_header(name, &reason))
}

fn invalid_header(name: &str, reason: &str) -> String {
    format!("invalid header {name:?} for '--header <NAME> <VALUE>': {reason}")
}

fn index_page(word: &str) -> Result<String, &'static str> {
    match word {
        "" => Err("must not be empty"),
        _ if word.starts_with('.') || word.contains(['/', '\0']) => {
            Err("must be a file name without \"/\" and without a dot at the start")
        }
        _ => Ok(word.into()),
    }
}

fn path_below(word: &str) -> Result<String, &'static str> {
    let is_name = |name: &str| !name.is_empty() && !name.starts_with('.') && !name.contains('\0');
    let is_below = word.split('/').all(is_name);
    is_below
        .then(|| word.into())
        .ok_or("must be a path from the served directory such as index.html")
}

/// A pattern that a clean path can match: one without `/` at either end, `//`, `.` and `..`.
fn immutable_pattern(word: &str) -> Result<String, &'static str> {
    let is_clean = |name: &str| !matches!(name, "" | "." | "..");
    word.split('/').all(is_clean).then(|| word.into()).ok_or(
        "can never match; it must be a path from the served directory without \"/\" at the start or \
         end, such as 'assets/*'",
    )
}

fn media_type_of(word: &str) -> Result<String, &'static str> {
    let is_valid = media_type::is_media_type(word);
    is_valid.then(|| word.into()).ok_or("must be a MIME type such as text/plain")
}

fn charset(word: &str) -> Result<String, &'static str> {
    media_type::is_token(word).then(|| word.into()).ok_or("must be a charset such as utf-8")
}

fn cache_control(word: &str) -> Result<String, &'static str> {
    if word == "no-cache" {
        return Ok(word.into());
    }
    let time = values::duration_or_zero(word).ok();
    let seconds = time.filter(|time| time.subsec_nanos() == 0).map(|time| time.as_secs());
    match seconds.map(u32::try_from) {
        Some(Ok(seconds)) => Ok(format!("max-age={seconds}")),
        _ => Err("must be a time in whole seconds, such as 60, 30m or 7d, or no-cache"),
    }
}

fn header_value(word: &str) -> Result<String, &'static str> {
    let is_valid = Outbox::new("").add_default_header("Server", word.as_bytes()).is_ok();
    is_valid.then(|| word.into()).ok_or("must not contain control characters such as a line break")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Arguments;
    use clap::Parser;

    fn options(words: &[&str]) -> FileOptions {
        Arguments::parse_from([&["doorstep"], words].concat()).files
    }

    fn refused(words: &[&str]) -> bool {
        let arguments = Arguments::try_parse_from([&["doorstep"], words].concat());
        arguments.map_or(true, |arguments| arguments.files.check().is_err())
    }

    #[test]
    fn b_131_145_182_the_default_site_is_the_librarys() {
        let options = options(&[]);
        assert_eq!(options.symlinks(), Symlinks::Beneath);
        assert_eq!(options.headers(), []);
        let site = options.site().unwrap();
        assert!(site.archive, "on in the command");
        let mut library = Site::default();
        library.archive = true;
        assert_eq!(site, library);
    }

    #[test]
    fn b_208_b_293_invalid_values_are_usage_errors() {
        for words in [
            &["-H", "X"][..],
            &["-H", "X Y", "a"],
            &["-H", "", "a"],
            &["-H", "X", "a\r\nSet-Cookie: b"],
            &["-H", "Content-Length", "1"],
            &["-H", "content-type", "text/plain"],
            &["-H", "A", "b", "-H", "Server", "c"],
            &["--index", "a/b"],
            &["--index", ".."],
            &["--spa", "/etc/passwd"],
            &["--spa", "../x"],
            &["--content-type", "text"],
            &["--charset", "a b"],
            &["--cache", "-1"],
            &["--cache", "soon"],
            &["--cache", "none"],
            &["--cache", "500ms"],
            &["--cache", "200y"],
            &["--server-header", "a\nb"],
            &["--symlinks", "some"],
            &["--immutable", ""],
            &["--immutable", "/assets/*"],
            &["--immutable", "./assets/*"],
            &["--immutable", "assets/"],
            &["--immutable", "a//b"],
            &["--immutable", "../*"],
        ] {
            assert!(refused(words), "{words:?}");
        }
        assert!(!refused(&["-H", "X-A", "1", "--header", "X-A", ""]));
    }

    #[test]
    fn b_293_the_message_names_the_invalid_part_of_a_header() {
        for (name, value, expected) in [
            ("X Y", "a", "the name must be a word such as X-Frame-Options"),
            ("", "a", "the name must be a word"),
            (":a", "b", "the name must be a word"),
            ("X", "a\r\nSet-Cookie: b", "the value must not contain a line break"),
            ("Upgrade", "a", "only the server writes it"),
        ] {
            let message = options(&["-H", name, value]).check().unwrap_err();
            assert!(message.contains(expected) && !message.contains("reason"), "{message}");
        }
    }

    #[test]
    fn b_293_an_additional_header_replaces_ours_of_the_same_name() {
        let options = options(&[
            "--cors",
            "--isolate",
            "-H",
            "access-control-allow-origin",
            "https://a.example",
            "-H",
            "Cache-Control",
            "immutable",
        ]);
        let headers = options.headers();
        let names: Vec<_> = headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        let count = |header| names.iter().filter(|name| *name == header).count();
        assert_eq!(count("access-control-allow-origin"), 1);
        assert_eq!(count("cross-origin-opener-policy"), 1);
        assert_eq!(options.site().unwrap().cache_control, "");
    }

    #[test]
    fn b_182_b_206_cache_and_charset() {
        for (word, expected) in [
            ("60", "max-age=60"),
            ("0", "max-age=0"),
            ("5m", "max-age=300"),
            ("1h 30m", "max-age=5400"),
            ("no-cache", "no-cache"),
        ] {
            assert_eq!(options(&["--cache", word]).site().unwrap().cache_control, expected);
        }
        let site = options(&["--immutable", "assets/*"]).site().unwrap();
        assert_eq!(site.cache_control_for(b"assets/app.3f2a.js"), "max-age=31536000, immutable");
        assert_eq!(site.cache_control_for(b"index.html"), "no-cache");
        assert_eq!(options(&["--charset", "none"]).site().unwrap().media_types.charset, None);
    }
}
