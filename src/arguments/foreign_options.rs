//! Options that other file servers have under another name, with what they are here: those of
//! miniserve, dufs, serve and http-server of npm, caddy, `php -S` and busybox httpd.

/// The names of an option, and what to write.
const FOREIGN: [(&[&str], &str); 47] = [
    (
        &["--host", "--hostname", "--address", "--addr", "--ip", "--interface", "--interfaces"],
        "use --bind ADDRESS",
    ),
    (
        &["--listen", "--listening", "-l"],
        "give the port without an option, and an address with --bind: doorstep 8000 --bind \
         127.0.0.1",
    ),
    (
        &["-S"],
        "give the port without an option, and an address with --bind: doorstep 8000 --bind \
         127.0.0.1; for TLS, use --tls-cert FILE; for symbolic links, --symlinks RULE",
    ),
    (&["-a"], "use --bind ADDRESS for an address, --auth-file FILE for a password"),
    (
        &["--domain", "--domains"],
        "every host name is served; use --bind ADDRESS to listen on one address",
    ),
    (
        &[
            "--root",
            "--root-dir",
            "--dir-root",
            "--docroot",
            "--document-root",
            "--webroot",
            "--path",
            "--folder",
            "-t",
        ],
        "give the directory without an option, or with --directory DIR",
    ),
    (&["--once"], "use --count 1"),
    (
        &["--ssl", "--tls", "--secure"],
        "use --tls-cert FILE and --tls-key FILE, or --tls-self-signed",
    ),
    (&["--cert", "--certificate", "--ssl-cert", "--certfile", "-C"], "use --tls-cert FILE"),
    (&["--key", "--private-key", "--ssl-key", "--keyfile", "-K"], "use --tls-key FILE"),
    (&["--ssl-pass", "--passphrase"], "use --tls-password-file FILE"),
    (
        &[
            "--auth",
            "--password",
            "--pass",
            "--username",
            "--login",
            "--basic-auth",
            "--credentials",
        ],
        "use --auth-file FILE, or --auth-env NAME with USER:PASSWORD in the environment variable \
         NAME",
    ),
    (&["--realm"], "use --auth-realm TEXT"),
    (
        &["--route-prefix", "--path-prefix", "--base", "--base-path", "--url-prefix", "--baseurl"],
        "use --prefix PATH",
    ),
    (&["--random-route"], "use --auth-file FILE: a URL that is hard to guess is no protection"),
    (
        &[
            "--enable-zip",
            "--enable-tar",
            "--enable-tar-gz",
            "--allow-archive",
            "--zip",
            "--archive",
        ],
        "archives are on by default; --no-archive disables them",
    ),
    (
        &[
            "--allow-upload",
            "--upload-files",
            "--enable-upload",
            "--uploads",
            "--writable",
            "--put",
            "-u",
        ],
        "use --upload, or --upload=DIR",
    ),
    (
        &["--allow-overwrite", "--overwrite-files", "--on-duplicate-files"],
        "use --overwrite, with --upload",
    ),
    (
        &["--allow-all", "-A"],
        "use --upload and --overwrite; clients cannot delete files, and --symlinks follow also \
         follows links out of the directory",
    ),
    (
        &["--allow-delete", "--delete", "--rm-files", "--mkdir", "--webdav", "--enable-webdav"],
        "clients can only add and replace files: --upload, --overwrite",
    ),
    (&["--allow-search", "--search"], "there is no search; use that of the browser in the listing"),
    (
        &["--allow-hash", "--hash"],
        "clients that send Want-Repr-Digest get the SHA-256 of a file without an option",
    ),
    (&["--qrcode", "--qr-code"], "use --qr"),
    (
        &["--single", "--render-spa", "--spa-fallback", "--single-page", "--fallback", "--rewrite"],
        "use --spa FILE, for example: --spa index.html",
    ),
    (
        &["--render-index", "--render-try-index", "--index-file", "--default-file", "--index-page"],
        "index.html is sent without an option; use --index NAME for another one",
    ),
    (
        &["--pretty-urls", "--clean-urls", "--ext", "--cleanurls"],
        "a URL has the whole name of its file; use --index NAME in directories",
    ),
    (
        &["--browse", "--autoindex", "--show-dir", "--listing", "--list", "--dirlist"],
        "directories are listed by default; --no-listing disables it",
    ),
    (
        &[
            "--disable-indexing",
            "--no-index",
            "--no-autoindex",
            "--disable-listing",
            "--no-dirlist",
            "--no-browse",
            "--no-dir-listing",
        ],
        "use --no-listing",
    ),
    (&["--no-dotfiles"], "hidden files are not served by default; --hidden serves them"),
    (&["--dotfiles", "--show-hidden", "--dot-files", "--all"], "use --hidden"),
    (&["--no-symlinks"], "use --symlinks deny"),
    (
        &["--allow-symlink", "--allow-symlinks", "--follow-symlinks", "--follow-links"],
        "use --symlinks follow",
    ),
    (&["--enable-cors"], "use --cors"),
    (&["--headers", "--add-header"], "use -H NAME VALUE"),
    (
        &["--gzip", "--brotli", "--compress", "--compression", "--compress-response", "--zstd"],
        "use --precompressed: it sends NAME.gz, NAME.br or NAME.zst, which you make beforehand",
    ),
    (&["--no-compress", "--no-compression"], "files are not compressed; omit the option"),
    (
        &["--no-cache", "--cache-time", "--cache-control", "--max-age", "--maxage"],
        "use --cache TIME, or --cache no-cache, which is the default",
    ),
    (
        &["--no-etag", "--etag"],
        "every file has an ETag; use -H Cache-Control no-store if it must not be cached",
    ),
    (
        &["--mimetypes", "--media-type", "--raw-media-type"],
        "use --mime-types FILE, or --content-type TYPE for unknown extensions",
    ),
    (&["--browser", "--launch", "--open-browser", "-o"], "use --open"),
    (&["--silent", "--no-log", "--no-request-logging", "--no-logging", "-s"], "use --quiet"),
    (&["--log-file", "--logfile", "--log-path"], "use --access-log FILE"),
    (
        &["--verbose", "--debug", "-v"],
        "requests are logged by default; for more, use --log-format combined or json; for the \
         version, --version",
    ),
    (
        &["--foreground", "--daemon", "--background", "-f"],
        "the server stays in the foreground; a service manager or & puts it in the background",
    ),
    (
        &["--config", "--config-file", "-c"],
        "there is no configuration file: every setting is an option, see --help",
    ),
    (&["--workers", "--jobs", "-w", "-j"], "use --threads N"),
    (
        &["--timeout-idle-exit", "--exit-after", "--expire", "--ttl", "--duration"],
        "use --for TIME, or --idle-exit TIME",
    ),
];

/// What to write in place of `option`, a name with its dashes, which doorstep does not have.
pub(super) fn replacement(option: &str) -> Option<&'static str> {
    FOREIGN.iter().find(|(names, _)| names.contains(&option)).map(|(_, tip)| *tip)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::arguments::Arguments;

    #[test]
    fn each_has_its_tip_which_names_only_options_that_exist() {
        let mut command = Arguments::definition();
        command.build();
        let exists = |option: &str| {
            command.get_arguments().any(|own| match option.strip_prefix("--") {
                Some(long) => own.get_long() == Some(long),
                None => own.get_short().is_some_and(|short| option == format!("-{short}")),
            })
        };
        for (names, tip) in FOREIGN {
            for name in names {
                assert!(!exists(name), "{name} is an option");
                let words = ["doorstep", name, "x"].map(OsString::from);
                let error = Arguments::parse(&words).expect_err("it is a usage error").to_string();
                assert!(error.contains(&format!("unexpected option {name}: {tip}\n")), "{error}");
                assert!(error.contains("Usage: doorstep [OPTIONS]"), "{error}");
            }
            for word in tip.split([' ', ',', ';', ':']).filter(|word| word.starts_with('-')) {
                let option = word.split('=').next().unwrap_or(word);
                let is_built = cfg!(feature = "tls") || !option.starts_with("--tls");
                assert!(exists(option) || !is_built, "{tip}: {option} is no option");
            }
        }
    }

    #[test]
    fn no_name_is_there_twice() {
        let mut names: Vec<_> = FOREIGN.iter().flat_map(|(names, _)| *names).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
