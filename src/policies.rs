//! How files are served, as the command line says it and as the library takes it.
//!
//! What a single word can be wrong about is a usage error, before anything is opened. Everything
//! here is off or safe unless it is asked for; docs/files.md gives the reason of each.

use std::fs;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use doorstep_core::http1::Outbox;
use doorstep_core::site::{Site, cors, media_type};
use doorstep_driver::os::Symlinks;

use crate::failure::Failure;

/// The options about files and their fields.
#[derive(Debug, Args)]
#[command(next_help_heading = "Files")]
pub(crate) struct Policies {
    /// Serve and list names that begin with a dot
    #[arg(long)]
    pub(crate) hidden: bool,

    /// How far symbolic links are followed
    #[arg(long, value_enum, value_name = "RULE", default_value_t = Links::Beneath)]
    symlinks: Links,

    /// File that stands for its directory, instead of index.html and index.htm; repeatable
    #[arg(long, value_name = "NAME", value_parser = index_page)]
    index: Vec<String>,

    /// Show no directories: without an index page they are 404
    #[arg(long)]
    no_listing: bool,

    /// Send FILE where nothing is, to people who go there: for applications of one page
    #[arg(long, value_name = "FILE", value_parser = path_below)]
    spa: Option<String>,

    /// Send name.br, name.zst or name.gz in place of name to who can read them
    #[arg(long)]
    precompressed: bool,

    /// Media type of files whose extension says nothing
    #[arg(long, value_name = "TYPE", value_parser = media_type_of)]
    content_type: Option<String>,

    /// Further media types, in the format of mime.types
    #[arg(long, value_name = "FILE")]
    mime_types: Option<PathBuf>,

    /// Charset of text, JavaScript and JSON; "none" says none
    #[arg(long, value_name = "NAME", default_value = "utf-8", value_parser = charset)]
    charset: String,

    /// How long files may be kept unasked, in seconds; "no-cache" asks at each use
    #[arg(long, value_name = "SECONDS", default_value = "no-cache", value_parser = cache_control)]
    cache: String,

    /// Files whose names change with their content, as "assets/*"; to be kept for a year; repeatable
    #[arg(long, value_name = "PATTERN")]
    immutable: Vec<String>,

    /// Send this field with every answer; repeatable
    #[arg(short = 'H', long, num_args = 2, value_names = ["NAME", "VALUE"])]
    header: Vec<String>,

    /// Let pages of every origin read all this
    #[arg(long)]
    cors: bool,

    /// Let pages use what asks for isolation, and no other origin show any of this
    #[arg(long)]
    isolate: bool,

    /// What Server says; "" leaves it out
    #[arg(long, value_name = "TEXT", value_parser = field_value)]
    pub(crate) server_header: Option<String>,
}

/// [`Symlinks`] by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Links {
    /// If they lead to a place below the directory
    Beneath,
    /// Wherever they lead
    Follow,
    /// Not at all
    Deny,
}

/// Fields that say what an answer is: a second one would only contradict the first.
const OURS: [&str; 10] = [
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

impl Policies {
    /// What is wrong with the fields, which takes two words.
    pub(crate) fn check(&self) -> Result<(), String> {
        let fault = |name: &str, why: &str| {
            format!("invalid field {name:?} for '--header <NAME> <VALUE>': {why}")
        };
        for (name, value) in self.headers() {
            if OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
                return Err(fault(name, "doorstep says this itself"));
            }
            let sent = Outbox::new("").add_default_header(name, value.as_bytes());
            sent.map_err(|misuse| fault(name, &misuse.to_string()))?;
        }
        Ok(())
    }

    /// How far links go.
    pub(crate) fn symlinks(&self) -> Symlinks {
        match self.symlinks {
            Links::Beneath => Symlinks::Beneath,
            Links::Follow => Symlinks::Follow,
            Links::Deny => Symlinks::Deny,
        }
    }

    /// Whether pages of other origins may read what is here, and preflights are answered.
    pub(crate) fn cors(&self) -> bool {
        self.cors
    }

    /// The fields of every answer. One that was asked for stands in for ours of the same name.
    pub(crate) fn fields(&self) -> Vec<(String, String)> {
        let cors = cors::CORS_HEADERS.into_iter().filter(|_| self.cors);
        let isolation = cors::ISOLATION_HEADERS.into_iter().filter(|_| self.isolate);
        let ours = cors.chain(isolation).filter(|(name, _)| !self.names(name));
        ours.chain(self.headers()).map(|(name, value)| (name.into(), value.into())).collect()
    }

    /// How the directory is served, or what is wrong with the types.
    pub(crate) fn site(self) -> Result<Site, Failure> {
        let mut site = Site {
            hidden: self.hidden,
            listing: !self.no_listing,
            precompressed: self.precompressed,
            cors: self.cors,
            ..Site::default()
        };
        // Two of this field would be read as one.
        site.cache_control.clear();
        if !self.names("cache-control") {
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
            match fs::read_to_string(&path) {
                Err(error) => return Err(Failure::Types(path, error)),
                Ok(text) => {
                    let added = site.media_types.add_mime_types(&text);
                    added.map_err(|line| Failure::TypesLine(path, line.0))?;
                }
            }
        }
        Ok(site)
    }

    fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.header.chunks_exact(2).map(|pair| (&*pair[0], &*pair[1]))
    }

    fn names(&self, field: &str) -> bool {
        self.headers().any(|(name, _)| name.eq_ignore_ascii_case(field))
    }
}

fn index_page(word: &str) -> Result<String, &'static str> {
    match word {
        "" => Err("a name is wanted"),
        _ if word.starts_with('.') || word.contains(['/', '\0']) => {
            Err("it is the name of a file in each directory, without a slash or leading dot")
        }
        _ => Ok(word.into()),
    }
}

fn path_below(word: &str) -> Result<String, &'static str> {
    let is_name = |name: &str| !name.is_empty() && !name.starts_with('.') && !name.contains('\0');
    let below = word.split('/').all(is_name);
    below.then(|| word.into()).ok_or("it is a path from the directory that is served, as app.html")
}

fn media_type_of(word: &str) -> Result<String, &'static str> {
    media_type::is_media_type(word).then(|| word.into()).ok_or("a type is written as text/plain")
}

fn charset(word: &str) -> Result<String, &'static str> {
    media_type::is_token(word).then(|| word.into()).ok_or("a charset is written as utf-8")
}

fn cache_control(word: &str) -> Result<String, &'static str> {
    match word.parse::<u32>() {
        Ok(seconds) => Ok(format!("max-age={seconds}")),
        Err(_) if word == "no-cache" => Ok(word.into()),
        Err(_) => Err("it is a number of seconds or no-cache"),
    }
}

fn field_value(word: &str) -> Result<String, &'static str> {
    let fits = Outbox::new("").add_default_header("Server", word.as_bytes()).is_ok();
    fits.then(|| word.into()).ok_or("a line break cannot be sent")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Arguments;
    use clap::Parser;

    fn policies(words: &[&str]) -> Policies {
        Arguments::parse_from([&["doorstep"], words].concat()).policies
    }

    fn refused(words: &[&str]) -> bool {
        let said = Arguments::try_parse_from([&["doorstep"], words].concat());
        said.map_or(true, |said| said.policies.check().is_err())
    }

    #[test]
    fn b_131_145_182_unless_told_a_site_is_as_the_library_has_it() {
        let policies = policies(&[]);
        assert_eq!(policies.symlinks(), Symlinks::Beneath);
        assert_eq!(policies.fields(), []);
        assert_eq!(policies.site().unwrap(), Site::default());
    }

    #[test]
    fn b_208_b_293_words_that_cannot_be_sent_are_usage_errors() {
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
            &["--server-header", "a\nb"],
            &["--symlinks", "some"],
        ] {
            assert!(refused(words), "{words:?}");
        }
        assert!(!refused(&["-H", "X-A", "1", "--header", "X-A", ""]));
    }

    #[test]
    fn b_293_a_field_that_is_asked_for_stands_in_for_ours() {
        let policies = policies(&[
            "--cors",
            "--isolate",
            "-H",
            "access-control-allow-origin",
            "https://a.example",
            "-H",
            "Cache-Control",
            "immutable",
        ]);
        let fields = policies.fields();
        let names: Vec<_> = fields.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        let count = |field| names.iter().filter(|name| *name == field).count();
        assert_eq!(count("access-control-allow-origin"), 1);
        assert_eq!(count("cross-origin-opener-policy"), 1);
        assert_eq!(policies.site().unwrap().cache_control, "");
    }

    #[test]
    fn b_182_b_206_cache_and_charset() {
        assert_eq!(policies(&["--cache", "60"]).site().unwrap().cache_control, "max-age=60");
        let site = policies(&["--immutable", "assets/*"]).site().unwrap();
        assert_eq!(site.cache_control_for(b"assets/app.3f2a.js"), "max-age=31536000, immutable");
        assert_eq!(site.cache_control_for(b"index.html"), "no-cache");
        assert_eq!(policies(&["--charset", "none"]).site().unwrap().media_types.charset, None);
    }
}
