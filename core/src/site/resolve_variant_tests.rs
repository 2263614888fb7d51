//! Ranges, precompressed files and preconditions.

use super::{MODIFIED, Resolved, file, resolve};
use crate::site::{NotServed, Site};

#[test]
fn b_176_b_177_conditions_count_for_files_and_index_pages() {
    let since = "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    let tag = "If-None-Match: \"x\"\r\n";
    let site = Site::default();
    assert_eq!(resolve(&site, "/a.txt", since).0, Resolved::NotModified);
    assert_eq!(resolve(&site, "/site/", since).0, Resolved::NotModified);
    assert_eq!(resolve(&site, "/a.txt", &format!("{since}{tag}")).0, file("text/plain"));
    assert_eq!(resolve(&site, "/nothing", since).0, Resolved::ErrorPage(NotServed::NotFound));
}

#[test]
fn b_181_ranges_count_for_files_and_index_pages() {
    let site = Site::default();
    let part = "Range: bytes=1-3\r\n";
    assert_eq!(resolve(&site, "/a.txt", part).0, Resolved::Part(1, 3));
    assert_eq!(resolve(&site, "/site/", part).0, Resolved::Part(1, 3));
    assert_eq!(resolve(&site, "/dir/", part).0, Resolved::Listing("dir".into()));
    assert_eq!(resolve(&site, "/a.txt", "Range: bytes=9-\r\n").0, Resolved::RangeNotSatisfiable(9));
    assert_eq!(resolve(&site, "/a.txt", "Range: bytes=9\r\n").0, file("text/plain"));
    let other = format!("{part}If-Range: \"other\"\r\n");
    assert_eq!(resolve(&site, "/a.txt", &other).0, file("text/plain"));
}

#[test]
fn b_182_a_failed_precondition_is_412() {
    let other = "If-Match: \"other\"\r\n";
    assert_eq!(
        resolve(&Site::default(), "/a.txt", other).0,
        Resolved::ErrorPage(NotServed::PreconditionFailed)
    );
    assert_eq!(
        (NotServed::PreconditionFailed.status(), NotServed::PreconditionFailed.reason()),
        (412, "Precondition Failed")
    );
    assert_eq!(resolve(&Site::default(), "/dir/", other).0, Resolved::Listing("dir".into()));
}

#[test]
fn b_182_precompressed_files_are_opened_only_if_acceptable() {
    let site = Site { precompressed: true, ..Site::default() };
    let asked = |site: &Site, target: &str, accepted: &str| {
        resolve(site, target, &format!("Accept-Encoding: {accepted}\r\n"))
    };
    assert_eq!(resolve(&site, "/a.txt", "").1, ["a.txt"]);
    assert_eq!(asked(&site, "/a.txt", "identity").1, ["a.txt"]);
    assert_eq!(asked(&Site::default(), "/a.txt", "br").1, ["a.txt"]);
    let (out, paths) = asked(&site, "/a.txt", "gzip, zstd, br");
    assert_eq!((out, paths.len()), (Resolved::Precompressed("br", 4, true), 2));
    let (out, paths) = asked(&site, "/a.txt", "zstd, gzip;q=0.5");
    assert_eq!(out, Resolved::Precompressed("gzip", 5, true));
    assert_eq!(paths, ["a.txt", "a.txt.zst", "a.txt.gz"]);
    assert_eq!(asked(&site, "/a.txt", "zstd").0, file("text/plain"));
    assert_eq!(asked(&site, "/site/", "gzip").0, Resolved::Precompressed("gzip", 4, true));
    assert_eq!(
        asked(&site, "/a.txt.br", "br").0,
        Resolved::File("application/octet-stream".into(), 4, MODIFIED)
    );
}

#[test]
fn b_182_a_precompressed_file_that_is_older_is_not_sent() {
    let site = Site { precompressed: true, ..Site::default() };
    let (out, asked) = resolve(&site, "/stale", "Accept-Encoding: br, gzip\r\n");
    assert_eq!(out, file("application/octet-stream"));
    assert_eq!(asked, ["stale", "stale.br", "stale"], "the file opened last is the one to send");
}

#[test]
fn b_203_compressed_files_have_no_precompressed_files() {
    let site = Site { precompressed: true, ..Site::default() };
    let (out, asked) = resolve(&site, "/pic.svgz", "Accept-Encoding: br\r\n");
    assert_eq!(
        (out, asked),
        (Resolved::Precompressed("gzip", 9, false), vec!["pic.svgz".to_owned()])
    );
}

#[test]
fn b_182_conditions_and_ranges_are_about_the_precompressed_file() {
    let site = Site { precompressed: true, ..Site::default() };
    let coded = "Accept-Encoding: gzip\r\n";
    let since = "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    assert_eq!(resolve(&site, "/a.txt", since).0, Resolved::NotModified);
    assert_eq!(
        resolve(&site, "/a.txt", &format!("{coded}{since}")).0,
        Resolved::Precompressed("gzip", 5, true)
    );
    let range = "Range: bytes=-2\r\n";
    assert_eq!(resolve(&site, "/a.txt", &format!("{coded}{range}")).0, Resolved::Part(3, 4));
    let ranges = "Range: bytes=0-0,4-\r\n";
    assert_eq!(
        resolve(&site, "/a.txt", &format!("{coded}{ranges}")).0,
        Resolved::Precompressed("gzip", 5, true)
    );
}
