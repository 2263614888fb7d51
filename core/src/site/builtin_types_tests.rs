//! The media types of extensions and names in use, from whichever table.

use super::{OTHER_TYPES, TEXT_EXTENSIONS, TEXT_FILE_NAMES, by_file_name};
use crate::site::media_type::MediaTypes;

/// files that browsers show.
const PLAIN_TEXT: [&str; 8] = [
    // source
    "org cu tpl sh bash zsh fish ksh csh tcsh bat cmd ps1 psm1 psd1 vbs awk sed java kt kts \
     groovy scala sc clj cljs cljc edn go mod rs c h cc cpp cxx hpp hh hxx inl m mm swift d di \
     zig nim v sv svh vhdl vala vapi pas pp dpr f f77 f90 f95 f03 f08 for ml mli hs lhs elm erl \
     hrl ex exs eex heex lisp cl el scm ss rkt lua pl pm t pod rb rake gemspec ru py pyi pyx \
     pxd php tcl tk r rmd qmd jl sql as hx cr odin cs csx fs fsi fsx vb dart purs sol ly coffee \
     litcoffee tsx cts vue svelte astro asm s glsl vert frag hlsl metal wgsl cuh pde nsi iss \
     ahk applescript agda idr lean tla qml vim feature robot",
    // documents
    "txt text tex sty cls ltx latex texi texinfo bib dtx rst adoc asciidoc textile roff man nfo",
    // styles and templates
    "less scss sass styl stylus hbs handlebars mustache ejs pug jade haml slim slm erb twig j2 \
     jinja jinja2 tmpl liquid",
    // build
    "mk mak am m4 in cmake gradle ninja bazel bzl nix tf tfvars hcl dockerfile containerfile \
     proto thrift graphql gql capnp fbs idl gyp gypi pri pro pc spec changes dsc buildinfo",
    // configuration
    "ini cfg conf cnf config properties env toml yaml yml json5 jsonc lock editorconfig service \
     socket timer mount target desktop reg",
    // data, sums and logs
    "jsonl ndjson log err po sum sha1 sha224 sha256 sha384 sha512 sha1sum sha224sum sha256sum \
     sha384sum sha512sum md5 md5sum b2 b2sum sfv",
    // changes
    "diff patch rej orig",
    // subtitles
    "srt ass ssa lrc",
];

/// R-23, and the rest of the table: registered types, or those in use where there is none.
const TYPES: [(&str, &str); 88] = [
    ("application/gzip", "gz tgz taz tz"),
    ("application/x-bzip2", "bz2 tbz2"),
    ("application/x-xz", "xz txz"),
    ("application/zstd", "zst tzst"),
    ("application/vnd.debian.binary-package", "deb udeb ddeb"),
    ("application/x-rpm", "rpm"),
    ("application/vnd.rar", "rar"),
    ("application/vnd.ms-cab-compressed", "cab"),
    ("application/vnd.apple.mpegurl", "m3u8 m3u"),
    ("application/dash+xml", "mpd"),
    ("video/mp2t", "ts mts m2ts m2t"),
    ("video/iso.segment", "m4s"),
    ("video/mp4", "mp4 m4v"),
    ("video/webm", "webm"),
    ("video/quicktime", "mov"),
    ("video/x-matroska", "mkv"),
    ("video/ogg", "ogv"),
    ("audio/mp4", "m4a m4b"),
    ("audio/mpeg", "mp3"),
    ("audio/ogg", "ogg oga opus"),
    ("audio/flac", "flac"),
    ("audio/wav", "wav"),
    ("audio/aac", "aac"),
    ("text/vtt", "vtt"),
    ("application/ttml+xml", "ttml"),
    ("application/json", "json map har ipynb"),
    ("application/manifest+json", "webmanifest"),
    ("application/ld+json", "jsonld"),
    ("application/geo+json", "geojson"),
    ("application/sarif+json", "sarif"),
    ("application/cbor", "cbor"),
    ("text/javascript", "js mjs cjs"),
    ("text/css", "css"),
    ("text/html", "html htm"),
    ("application/xhtml+xml", "xhtml"),
    ("text/markdown", "md markdown mkd"),
    ("text/vcard", "vcf"),
    ("text/calendar", "ics"),
    ("text/csv", "csv"),
    ("application/wasm", "wasm"),
    ("application/pdf", "pdf"),
    ("font/woff", "woff"),
    ("font/woff2", "woff2"),
    ("font/otf", "otf"),
    ("font/ttf", "ttf"),
    ("image/vnd.microsoft.icon", "ico"),
    ("image/png", "png"),
    ("image/jpeg", "jpg jpeg"),
    ("image/gif", "gif"),
    ("image/webp", "webp"),
    ("image/avif", "avif"),
    ("image/jxl", "jxl"),
    ("image/heic", "heic"),
    ("image/svg+xml", "svg svgz"),
    ("image/apng", "apng"),
    ("image/bmp", "bmp"),
    ("image/tiff", "tif tiff"),
    ("image/vnd.adobe.photoshop", "psd"),
    ("text/xml", "xml xsl xsd"),
    ("application/xml", "opml"),
    ("application/mathml+xml", "mml mathml"),
    ("application/xml-dtd", "dtd"),
    ("application/rss+xml", "rss"),
    ("application/atom+xml", "atom"),
    ("application/vnd.sqlite3", "sqlite sqlite3"),
    ("application/vnd.apache.parquet", "parquet"),
    ("application/vnd.apache.arrow.file", "arrow"),
    ("model/obj", "obj"),
    ("model/stl", "stl"),
    ("model/step", "step stp"),
    ("model/3mf", "3mf"),
    ("model/vnd.usdz+zip", "usdz"),
    ("model/gltf+json", "gltf"),
    ("model/gltf-binary", "glb"),
    ("application/epub+zip", "epub"),
    ("application/vnd.comicbook-rar", "cbr"),
    ("application/vnd.comicbook+zip", "cbz"),
    ("application/pkcs12", "p12 pfx"),
    ("application/pem-certificate-chain", "pem"),
    ("application/pgp-signature", "asc sig"),
    ("application/vnd.android.package-archive", "apk"),
    ("application/java-archive", "jar"),
    ("application/zip", "zip"),
    ("application/x-tar", "tar"),
    ("application/x-7z-compressed", "7z"),
    ("application/x-apple-aspen-config", "mobileconfig"),
    ("application/x-bittorrent", "torrent"),
    ("application/octet-stream", "bin exe iso img dmg msi br lz4 Z dat"),
];

fn guess(name: &str) -> String {
    let mut value = Vec::new();
    MediaTypes::default().guess(name.as_bytes()).write(&mut value);
    String::from_utf8(value).unwrap()
}

#[test]
fn r_24_sources_configuration_and_logs_are_shown() {
    for extension in PLAIN_TEXT.iter().flat_map(|line| line.split(' ')) {
        assert_eq!(guess(&format!("a.{extension}")), "text/plain; charset=utf-8", "{extension}");
        let upper = extension.to_uppercase();
        assert_eq!(guess(&format!("a.{upper}")), "text/plain; charset=utf-8", "{upper}");
    }
}

#[test]
fn r_24_common_names_are_shown() {
    let names = [
        "LICENSE",
        "Makefile",
        "README",
        "COPYING",
        "NOTICE",
        "AUTHORS",
        "CHANGELOG",
        "Dockerfile",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "GNUmakefile",
        "Jenkinsfile",
        "SHA256SUMS",
        "CODEOWNERS",
        "readme",
        "license",
        "TODO",
        "NEWS",
        "INSTALL",
        "VERSION",
        ".gitignore",
        ".editorconfig",
        "dir/README",
        "a.b/Makefile",
    ];
    for name in names {
        assert_eq!(guess(name), "text/plain; charset=utf-8", "{name}");
    }
}

#[test]
fn r_24_other_names_without_an_extension_are_not_known() {
    for name in [
        "noextension",
        "a",
        "READMEs",
        "XREADME",
        "README/x",
        "LICENSE.unknown",
        "license-other",
        "Makefile.",
        ".bashrc",
        ".html",
        "bin/doorstep",
        "",
        "Makefile\u{e9}",
    ] {
        assert_eq!(guess(name), "application/octet-stream", "{name}");
    }
}

#[test]
fn r_23_types_are_those_of_iana_or_of_use() {
    for (essence, extensions) in TYPES {
        for extension in extensions.split(' ') {
            let guess = guess(&format!("a.{extension}"));
            assert_eq!(guess.split(';').next(), Some(essence), "{extension}");
        }
    }
}

#[test]
fn no_entry_is_html() {
    for (_, essence) in OTHER_TYPES {
        assert!(!essence.contains("html") && !essence.contains("svg"), "{essence}");
    }
}

#[test]
fn the_tables_are_sorted_in_lower_case_and_short() {
    let others: Vec<_> = OTHER_TYPES.iter().map(|(extension, _)| *extension).collect();
    for keys in [&TEXT_EXTENSIONS[..], &TEXT_FILE_NAMES, &others] {
        assert!(keys.is_sorted_by(|a, b| a < b));
        assert!(keys.iter().all(|key| *key == key.to_lowercase()));
    }
    assert!(
        others.iter().all(|extension| TEXT_EXTENSIONS.binary_search(extension).is_err()),
        "one table each"
    );
    assert!(
        TEXT_FILE_NAMES.iter().all(|name| by_file_name(name.to_uppercase().as_bytes()).is_some())
    );
}

/// An entry that equals that of mime_guess would be redundant.
#[test]
fn only_what_differs_from_mime_guess_is_in_the_table() {
    let theirs = |extension: &str| mime_guess::from_ext(extension).first_raw();
    for extension in TEXT_EXTENSIONS {
        assert_ne!(theirs(extension), Some("text/plain"), "{extension}");
    }
    for (extension, essence) in OTHER_TYPES {
        assert_ne!(theirs(extension), Some(essence), "{extension}");
    }
}
