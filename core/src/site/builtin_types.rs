//! Media types that take precedence over the table of mime_guess.
//!
//! There are three kinds of entries. Source code, configuration, logs and the like are
//! `text/plain`, so that browsers show them; no entry is `text/html`, so none makes a browser run
//! foreign scripts. Compressed files have the type of the compression, not of the content (B-201,
//! B-203, B-204). Where mime_guess has no type, or one that IANA does not register, the entry is
//! the registered type, or otherwise the one in use. A type that browsers need stays, registered or
//! not: `image/x-icon` is replaced, `audio/wav` and `video/x-matroska` are not.
//!
//! All keys are in lower case and sorted.

/// The media type for an extension, in any letter case.
pub(super) fn by_extension(extension: &str) -> Option<&'static str> {
    if extension == "Z" {
        return Some("application/octet-stream"); // not "z": B-201 concerns the upper-case letter only
    }
    let wanted = Key::new(extension.as_bytes())?;
    if TEXT_EXTENSION_KEYS.binary_search(&wanted).is_ok() {
        return Some(TEXT_PLAIN);
    }
    OTHER_TYPE_KEYS.binary_search(&wanted).ok().map(|place| OTHER_TYPES[place].1)
}

/// The media type of a file whose extension is unknown, by its whole name in any letter case.
pub(super) fn by_file_name(name: &[u8]) -> Option<&'static str> {
    TEXT_FILE_NAME_KEYS.binary_search(&Key::new(name)?).is_ok().then_some(TEXT_PLAIN)
}

/// A word of a table as one number, in the same order as the words: quick to compare, which is done
/// for each response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key(u128);

impl Key {
    /// The key for `text` in lower case; `None` if it is longer than any key.
    const fn new(text: &[u8]) -> Option<Self> {
        if text.len() > size_of::<u128>() {
            return None;
        }
        let (mut bytes, mut n) = ([0; size_of::<u128>()], 0);
        while n < text.len() {
            bytes[n] = text[n].to_ascii_lowercase();
            n += 1;
        }
        Some(Self(u128::from_be_bytes(bytes)))
    }

    const fn from_words<const N: usize>(words: &[&str; N]) -> [Self; N] {
        let (mut keys, mut n) = ([Self(0); N], 0);
        while n < N {
            keys[n] =
                Self::new(words[n].as_bytes()).expect("every word of a table is short enough");
            n += 1;
        }
        keys
    }
}

static TEXT_EXTENSION_KEYS: [Key; TEXT_EXTENSIONS.len()] = Key::from_words(&TEXT_EXTENSIONS);
static TEXT_FILE_NAME_KEYS: [Key; TEXT_FILE_NAMES.len()] = Key::from_words(&TEXT_FILE_NAMES);
static OTHER_TYPE_KEYS: [Key; OTHER_TYPES.len()] = {
    let (mut words, mut n) = ([""; OTHER_TYPES.len()], 0);
    while n < OTHER_TYPES.len() {
        words[n] = OTHER_TYPES[n].0;
        n += 1;
    }
    Key::from_words(&words)
};

const TEXT_PLAIN: &str = "text/plain";

/// Extensions of files that are plain text.
#[rustfmt::skip]
static TEXT_EXTENSIONS: [&str; 237] = [
    "adoc", "agda", "ahk", "am", "applescript", "as", "asciidoc", "ass", "astro", "awk", "b2",
    "b2sum", "bash", "bat", "bazel", "bib", "buildinfo", "bzl", "capnp", "changes", "cl", "clj",
    "cljc", "cljs", "cls", "cmake", "coffee", "config", "containerfile", "cr", "csh", "csx", "cts",
    "cu", "cuh", "d", "dart", "desktop", "di", "diff", "dockerfile", "dpr", "dsc", "dtx",
    "editorconfig", "edn", "eex", "ejs", "el", "elm", "env", "erb", "erl", "err", "ex", "exs", "f",
    "f03", "f08", "f77", "f90", "f95", "fbs", "feature", "fish", "for", "frag", "fs", "fsi", "fsx",
    "gemspec", "glsl", "go", "gql", "gradle", "graphql", "groovy", "gyp", "gypi", "haml",
    "handlebars", "hbs", "hcl", "heex", "hlsl", "hrl", "hs", "hx", "idr", "iss", "j2", "jade",
    "java", "jinja", "jinja2", "jl", "json5", "jsonc", "jsonl", "ksh", "kt", "kts", "latex",
    "lean", "less", "lhs", "liquid", "lisp", "litcoffee", "lock", "lrc", "ltx", "lua", "ly", "m",
    "m4", "man", "md5", "md5sum", "metal", "ml", "mli", "mm", "mod", "mount", "mustache", "ndjson",
    "nfo", "nim", "ninja", "nix", "nsi", "odin", "org", "orig", "pas", "patch", "pc", "pde", "php",
    "pl", "pm", "po", "pod", "pp", "pri", "pro", "properties", "proto", "ps1", "psd1", "psm1",
    "pug", "purs", "pxd", "pyi", "pyx", "qmd", "qml", "r", "rake", "rb", "rej", "rkt", "rmd",
    "robot", "roff", "rs", "rst", "ru", "sass", "sc", "scala", "scm", "scss", "sed", "service",
    "sfv", "sh", "sha1", "sha1sum", "sha224", "sha224sum", "sha256", "sha256sum", "sha384",
    "sha384sum", "sha512", "sha512sum", "slim", "slm", "socket", "spec", "sql", "srt", "ss", "ssa",
    "sty", "styl", "stylus", "sum", "sv", "svelte", "svh", "swift", "t", "target", "tcl", "tcsh",
    "tex", "texi", "texinfo", "textile", "tf", "tfvars", "thrift", "timer", "tk", "tla", "tmpl",
    "toml", "tpl", "tsx", "twig", "v", "vala", "vapi", "vbs", "vert", "vhdl", "vim", "vue", "wgsl",
    "yaml", "yml", "zig", "zsh",
];

/// Names of plain text files that have no extension.
#[rustfmt::skip]
static TEXT_FILE_NAMES: [&str; 67] = [
    "authors", "b2sums", "brewfile", "bsdmakefile", "bugs", "changelog", "changes", "codeowners",
    "containerfile", "contributors", "copying", "copying.lesser", "copyright", "credits",
    "dockerfile", "dockerignore", "doxyfile", "editorconfig", "faq", "fastfile", "gemfile",
    "gitattributes", "gitignore", "gitmodules", "gnumakefile", "guardfile", "hacking", "history",
    "inrelease", "install", "jenkinsfile", "justfile", "kbuild", "kconfig", "licence", "license",
    "license-apache", "license-bsd", "license-mit", "maintainers", "makefile", "md5sums", "news",
    "notice", "npmignore", "owners", "packages", "patents", "pipfile", "podfile", "procfile",
    "rakefile", "readme", "release", "sconscript", "sconstruct", "sha1sums", "sha224sums",
    "sha256sums", "sha384sums", "sha512sums", "sources", "thanks", "todo", "unlicense",
    "vagrantfile", "version",
];

static OTHER_TYPES: [(&str, &str); 70] = [
    ("3mf", "model/3mf"),
    ("arrow", "application/vnd.apache.arrow.file"),
    ("azw3", "application/vnd.amazon.mobi8-ebook"),
    ("cab", "application/vnd.ms-cab-compressed"),
    ("cbor", "application/cbor"),
    ("cbr", "application/vnd.comicbook-rar"),
    ("cbz", "application/vnd.comicbook+zip"),
    ("cer", "application/pkix-cert"),
    ("cjs", "text/javascript"),
    ("ddeb", "application/vnd.debian.binary-package"),
    ("deb", "application/vnd.debian.binary-package"),
    ("dtd", "application/xml-dtd"),
    ("dwg", "image/vnd.dwg"),
    ("dxf", "image/vnd.dxf"),
    ("emf", "image/emf"),
    ("gpkg", "application/geopackage+sqlite3"),
    ("har", "application/json"),
    ("ico", "image/vnd.microsoft.icon"),
    ("ipynb", "application/json"),
    ("m2t", "video/mp2t"),
    ("m2ts", "video/mp2t"),
    ("m3u", "application/vnd.apple.mpegurl"),
    ("m3u8", "application/vnd.apple.mpegurl"),
    ("m4a", "audio/mp4"),
    ("m4b", "audio/mp4"),
    ("m4r", "audio/mp4"),
    ("m4s", "video/iso.segment"),
    ("m4v", "video/mp4"),
    ("map", "application/json"),
    ("mdx", "text/markdown"),
    ("mjs", "text/javascript"),
    ("mkd", "text/markdown"),
    ("mml", "application/mathml+xml"),
    ("mobileconfig", "application/x-apple-aspen-config"),
    ("mtl", "model/mtl"),
    ("mts", "video/mp2t"),
    ("obj", "model/obj"),
    ("opml", "application/xml"),
    ("otf", "font/otf"),
    ("p12", "application/pkcs12"),
    ("pcx", "image/vnd.zbrush.pcx"),
    ("pem", "application/pem-certificate-chain"),
    ("pfx", "application/pkcs12"),
    ("pgn", "application/vnd.chess-pgn"),
    ("psd", "image/vnd.adobe.photoshop"),
    ("rar", "application/vnd.rar"),
    ("rpm", "application/x-rpm"),
    ("sarif", "application/sarif+json"),
    ("sqlite", "application/vnd.sqlite3"),
    ("sqlite3", "application/vnd.sqlite3"),
    ("step", "model/step"),
    ("stl", "model/stl"),
    ("stp", "model/step"),
    ("taz", "application/gzip"),
    ("tbz2", "application/x-bzip2"),
    ("tgz", "application/gzip"),
    ("topojson", "application/json"),
    ("ts", "video/mp2t"),
    ("ttml", "application/ttml+xml"),
    ("tts", "video/mp2t"),
    ("txz", "application/x-xz"),
    ("tz", "application/gzip"),
    ("tzst", "application/zstd"),
    ("udeb", "application/vnd.debian.binary-package"),
    ("usdz", "model/vnd.usdz+zip"),
    ("vcf", "text/vcard"),
    ("wmf", "image/wmf"),
    ("woff", "font/woff"),
    ("wrl", "model/vrml"),
    ("zst", "application/zstd"),
];

#[cfg(test)]
#[path = "builtin_types_tests.rs"]
mod tests;
