//! The options for uploads.

use clap::{Args, ValueHint};
use doorstep_driver::upload::UploadSettings;

use super::values;

/// The options under "Uploads".
#[derive(Debug, Args)]
#[command(next_help_heading = "Uploads")]
pub(crate) struct UploadOptions {
    /// Let clients upload files: by PUT, by a form in listings [default: off]
    ///
    /// DIR is a path from the served directory, such as --upload=incoming: files are stored in it
    /// and below it only. For example: curl -T FILE http://HOST:8000/, curl -F file=@FILE
    /// http://HOST:8000/ A file appears when all of it has come. Existing files are not replaced.
    /// The maximum size is --max-body.
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "", value_hint = ValueHint::DirPath, value_parser = directory)]
    upload: Option<Directory>,

    /// Let uploads replace existing files (overwrite)
    #[arg(long, requires = "upload")]
    overwrite: bool,

    /// Disk space that uploads leave free; an upload that would take it gets 507
    #[arg(long, value_name = "SIZE", default_value = "128M", requires = "upload")]
    #[arg(value_parser = values::size)]
    upload_min_free: u64,
}

/// A directory, as a clean path from the served one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Directory(String);

impl UploadOptions {
    /// The settings; `None` if clients may not upload files.
    pub(crate) fn settings(&self) -> Option<UploadSettings> {
        let mut settings = UploadSettings::default();
        settings.directory = self.upload.as_ref()?.0.clone().into_bytes();
        settings.overwrite = self.overwrite;
        settings.min_free_space = self.upload_min_free;
        Some(settings)
    }
}

fn directory(word: &str) -> Result<Directory, &'static str> {
    let names = word.split('/').filter(|name| !matches!(*name, "" | "."));
    let is_valid = |name: &str| !name.starts_with('.') && !name.contains('\0');
    match names.clone().all(is_valid) {
        true => Ok(Directory(names.collect::<Vec<_>>().join("/"))),
        false => {
            Err("must be a path from the served directory such as incoming, without hidden names")
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::arguments::Arguments;
    use clap::Parser;
    use doorstep_driver::upload::UploadSettings;

    fn parse(words: &[&str]) -> Result<Option<UploadSettings>, clap::Error> {
        let arguments = Arguments::try_parse_from([&["doorstep"], words].concat());
        arguments.map(|arguments| arguments.upload.settings())
    }

    #[test]
    fn uploads_are_off_and_their_defaults_are_the_librarys() {
        assert_eq!(parse(&[]).unwrap(), None);
        assert_eq!(parse(&["--upload"]).unwrap(), Some(UploadSettings::default()));
        assert!(parse(&["--overwrite"]).is_err() && parse(&["--upload-min-free", "x"]).is_err());
        let all = ["--upload", "--overwrite", "--upload-min-free=1G"];
        let settings = parse(&all).unwrap().unwrap();
        assert!(settings.overwrite && settings.min_free_space == 1 << 30);
    }

    #[test]
    fn a_directory_is_a_path_from_the_served_one() {
        for (word, path) in
            [("a", "a"), ("a/b/", "a/b"), ("./a", "a"), ("/a", "a"), (".", ""), ("/", "")]
        {
            let settings = parse(&[&format!("--upload={word}")]).unwrap().unwrap();
            assert_eq!(settings.directory, path.as_bytes(), "{word}");
        }
        for word in ["../a", "a/../b", ".git", "a/.b"] {
            assert!(parse(&[&format!("--upload={word}")]).is_err(), "{word}");
        }
        // A word of its own is not the value.
        let arguments = Arguments::try_parse_from(["doorstep", "--upload", "8001"]).unwrap();
        assert_eq!(arguments.positionals.port(), Some(8001));
    }

    #[test]
    fn the_limit_of_bodies_is_larger_with_uploads() {
        let limit = |words: &[&str]| {
            let arguments = Arguments::parse_from([&["doorstep"], words].concat());
            arguments.limits.max_body(arguments.upload.settings().is_some())
        };
        assert_eq!((limit(&[]), limit(&["--upload"])), (64 << 20, 16 << 30));
        assert_eq!(limit(&["--upload", "--max-body=1K"]), 1 << 10);
    }
}
