//! Validators, conditions, ranges and precompressed files, as a client sees them: all headers of all
//! responses about one file must be consistent.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use doorstep::core::site::Site;
use tempfile::TempDir;

use crate::runtimes::{Runtime, TestServer, eventually, with};
use crate::service::State;
use crate::support::client::{Client, Response};

/// The date of every file here, and what `Last-Modified` makes of it.
const MODIFIED: Duration = Duration::from_millis(784_111_777_900);
const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// A size that is kept in memory, and one that the system sends from the file. In bytes.
const SIZES: [usize; 2] = [1_000, 300_000];

on_every_runtime! {
    fn b_181_182_all_responses_about_a_file_are_consistent(runtime: Runtime) {
        let (_root, server) = serve(runtime, Site::default());
        let mut client = server.client();
        for size in SIZES {
            let target = format!("/{size}");
            let whole = client.request("GET", &target, &[]);
            let of = |name| whole.header(name).unwrap_or("missing").to_owned();
            let tag = format!("If-None-Match: {}", of("ETag"));
            let since = format!("If-Modified-Since: {}", of("Last-Modified"));
            let beyond = format!("Range: bytes={size}-");
            let variants: [(&str, &[&str], u16); 12] = [
                ("GET", &[], 200),
                ("HEAD", &[], 200),
                ("GET", &[&tag], 304),
                ("HEAD", &[&tag], 304),
                ("GET", &[&since], 304),
                ("GET", &[&tag, "Range: bytes=0-1"], 304),
                ("GET", &["Range: bytes=10-19"], 206),
                ("GET", &["Range: bytes=0-"], 206),
                ("HEAD", &["Range: bytes=10-19"], 200),
                ("GET", &["Range: bytes=10-19", "If-Range: \"other\""], 200),
                ("GET", &[&beyond], 416),
                ("GET", &["If-Match: \"other\""], 412),
            ];
            for (method, fields, status) in variants {
                let response = client.request(method, &target, fields);
                let what = format!("{method} {target} {fields:?}:\n{}", response.head);
                assert_eq!(response.status, status, "{what}");
                assert!(response.header("Date").is_some() && response.header("Vary").is_none(), "{what}");
                let same = |name: &str| assert_eq!(response.header(name), whole.header(name), "{what}");
                if status < 400 {
                    same("ETag");
                    same("Cache-Control");
                }
                match status {
                    304 => assert_eq!(names(&response), ["Server", "Date", "ETag", "Cache-Control"]),
                    200 | 206 => {
                        ["Content-Type", "Last-Modified", "Accept-Ranges"].iter().for_each(|n| same(n));
                        let length = if status == 200 { size } else { response.body.len() };
                        assert_eq!(response.header("Content-Length"), Some(&length.to_string()[..]));
                        assert_eq!(response.header("Content-Range").is_some(), status == 206, "{what}");
                    }
                    _ => assert!(response.header("ETag").is_none(), "{what}"),
                }
            }
            assert_eq!((of("Last-Modified"), of("Cache-Control")), (DATE.into(), "no-cache".into()));
            assert_eq!(of("Accept-Ranges"), "bytes");
        }
    }

    fn b_068_182_the_order_of_the_headers(runtime: Runtime) {
        let (_root, server) = serve(runtime, Site::default());
        let response = server.client().request("GET", "/1000", &["Range: bytes=0-0"]);
        assert_eq!(
            names(&response).join(" "),
            "Server Date Content-Type Content-Length Last-Modified ETag Cache-Control \
             Accept-Ranges Content-Range"
        );
    }

    fn b_181_a_single_range_is_exactly_the_requested_bytes(runtime: Runtime) {
        let (_root, server) = serve(runtime, Site::default());
        let mut client = server.client();
        for size in SIZES {
            let content = content(size);
            for (range, first, last) in [
                ("0-0".to_owned(), 0, 0),
                ("10-99".to_owned(), 10, 99),
                ("500-".to_owned(), 500, size - 1),
                ("-300".to_owned(), size - 300, size - 1),
                (format!("{}-", size - 1), size - 1, size - 1),
                ("200-99999999999999999999".to_owned(), 200, size - 1),
                ("5-8, 9-20, 3-5".to_owned(), 3, 20),
            ] {
                let response = client.request("GET", &format!("/{size}"), &[&format!("Range: bytes={range}")]);
                let shown = format!("bytes {first}-{last}/{size}");
                assert_eq!((response.status, response.header("Content-Range")), (206, Some(&shown[..])));
                assert!(response.body == content[first..=last], "{range} of {size}");
            }
        }
    }

    fn b_181_several_ranges_are_a_multipart_response(runtime: Runtime) {
        let (_root, server) = serve(runtime, Site::default());
        let mut client = server.client();
        for size in SIZES {
            let content = content(size);
            let field = format!("Range: bytes=0-9,-100,20-29,25-900,{size}-");
            let response = client.request("GET", &format!("/{size}"), &[&field]);
            assert_eq!((response.status, response.header("Content-Range")), (206, None));
            let parts = parts(&response);
            let expected = match size {
                1_000 => vec![(0, 9), (20, 999)],
                _ => vec![(0, 9), (size - 100, size - 1), (20, 900)],
            };
            assert_eq!(parts.len(), expected.len());
            for ((fields, body), (first, last)) in parts.iter().zip(expected) {
                assert_eq!(fields["Content-Range"], format!("bytes {first}-{last}/{size}"));
                assert_eq!(fields["Content-Type"], "application/octet-stream");
                assert!(*body == content[first..=last], "{first}-{last} of {size}");
            }
        }
        assert_eq!(client.request("GET", "/1000", &[]).status, 200, "framed to the byte");
    }

    fn b_181_invalid_or_excessive_ranges_get_the_whole_file(runtime: Runtime) {
        let (_root, server) = serve(runtime, Site::default());
        let mut client = server.client();
        let tiny: Vec<_> = (0..1_000).map(|n| format!("{}-{}", 3 * n, 3 * n)).collect();
        let tiny = format!("bytes={}", tiny.join(","));
        let again = format!("bytes={}", "0-,".repeat(1_300));
        for range in ["bytes=", "bytes=9-1", "lines=1-2", "bytes=0-1,x", &tiny, &again] {
            let response = client.request("GET", "/300000", &[&format!("Range: {range}")]);
            assert_eq!((response.status, response.body.len()), (200, 300_000), "{range:.20}");
        }
    }

    fn r_17_as_many_ranges_as_real_clients_request_are_served(runtime: Runtime) {
        let (_root, server) = serve(runtime, Site::default());
        let mut client = server.client();
        let content = content(300_000);
        for (count, each) in [(20, 2_048), (60, 2_048), (88, 1_000), (256, 700), (512, 1)] {
            let ranges: Vec<_> = (0..count).map(|n| (n * 580, n * 580 + each.min(579) - 1)).collect();
            let text: Vec<_> = ranges.iter().map(|(first, last)| format!("{first}-{last}")).collect();
            let field = format!("Range: bytes={}", text.join(","));
            let response = client.request("GET", "/300000", &[&field]);
            assert_eq!(response.status, 206, "{count}");
            assert_eq!(response.header("Content-Length"), Some(&response.body.len().to_string()[..]));
            let parts = parts(&response);
            assert_eq!(parts.len(), count);
            for ((fields, body), (first, last)) in parts.iter().zip(ranges) {
                assert_eq!(fields["Content-Range"], format!("bytes {first}-{last}/300000"));
                assert!(*body == content[first..=last], "{first}-{last}");
            }
        }
        let head = client.request("HEAD", "/300000", &["Range: bytes=0-0,2-2"]);
        assert_eq!((head.status, head.header("Content-Length")), (200, Some("300000")));
    }

    fn r_17_no_response_is_much_longer_than_the_file(runtime: Runtime) {
        let site = with(Site::default(), |s| { s.max_ranges = 100; s.max_multipart_overhead = 1_000; });
        let (_root, server) = serve(runtime, site);
        let mut client = server.client();
        let mut ask = |size: usize, count: usize| {
            let text: Vec<_> = (0..count).map(|n| format!("{0}-{0}", 2 * n)).collect();
            let response =
                client.request("GET", &format!("/{size}"), &[&format!("Range: bytes={}", text.join(","))]);
            assert!(response.body.len() <= size + 1_000, "{}", response.body.len());
            (response.status, response.body.len() == size)
        };
        assert_eq!(ask(1_000, 10), (206, false));
        assert_eq!(ask(1_000, 20), (200, true), "what is between the parts would be 3,000 bytes");
        assert_eq!(ask(300_000, 100), (206, false));
        assert_eq!(ask(300_000, 101), (200, true));
    }

    fn r_10_several_range_headers_are_one_list(runtime: Runtime) {
        let (_root, server) = serve(runtime, Site::default());
        let mut client = server.client();
        let mut ask = |fields: &[&str]| {
            let response = client.request("GET", "/1000", fields);
            (response.status, response.body)
        };
        for (lines, joined) in [
            (["Range: bytes=0-3", "Range: bytes=5-6"], "Range: bytes=0-3, bytes=5-6"),
            (["Range: bytes=0-3", "Range: 5-6"], "Range: bytes=0-3, 5-6"),
            (["Range: bytes=0-3", "Range: 2-6"], "Range: bytes=0-3, 2-6"),
        ] {
            let as_one = ask(&[joined]);
            assert_eq!(ask(&lines), as_one, "{joined}");
            let with_nothing_between = [lines[0], "X: y", lines[1]];
            assert_eq!(ask(&with_nothing_between), as_one, "{joined}");
        }
        assert_eq!(ask(&["Range: bytes=0-3", "Range: bytes=5-6"]).0, 200);
        assert_eq!(ask(&["Range: bytes=0-3", "Range: 5-6"]).0, 206);
    }

    fn r_9_repeated_date_headers_are_ignored(runtime: Runtime) {
        let (_root, server) = serve(runtime, Site::default());
        let mut client = server.client();
        let earlier = "Sun, 06 Nov 1994 08:49:36 GMT";
        for (field, alone) in [("If-Modified-Since", 304), ("If-Unmodified-Since", 200)] {
            let line = format!("{field}: {DATE}");
            assert_eq!(client.request("GET", "/1000", &[&line]).status, alone, "{field}");
            let other = format!("{field}: {earlier}");
            for lines in [[&line, &other], [&other, &line], [&line, &line], [&other, &other]] {
                let response = client.request("GET", "/1000", &[lines[0], lines[1]]);
                assert_eq!(response.status, 200, "{lines:?}");
            }
            let list = format!("{line}, {earlier}");
            assert_eq!(client.request("GET", "/1000", &[&list]).status, 200, "{list}");
        }
        let range = ["Range: bytes=0-3", &format!("If-Range: {DATE}"), &format!("If-Range: {DATE}")];
        assert_eq!(client.request("GET", "/1000", &range).status, 200);
    }

    fn r_5_r_6_r_7_r_8_dates_in_every_format_and_range_are_understood(runtime: Runtime) {
        let (root, server) = serve(runtime, Site::default());
        write(root.path(), "old", b"from 1964\n");
        let file = File::options().write(true).open(root.path().join("old")).expect("it is there");
        file.set_modified(UNIX_EPOCH - Duration::from_secs(166_000_000)).expect("it can be set");
        let mut client = server.client();
        let modified = client.request("GET", "/old", &[]).header("Last-Modified").map(str::to_owned);
        assert_eq!(modified.as_deref(), Some("Sun, 27 Sep 1964 16:53:20 GMT"));
        for (target, field, status) in [
            ("/old", "If-Modified-Since: Sun, 27 Sep 1964 16:53:20 GMT", 304),
            ("/old", "If-Modified-Since: Sun, 27 Sep 1964 16:53:19 GMT", 200),
            ("/1000", "If-Unmodified-Since: Wed, 01 Jan 1930 00:00:00 GMT", 412),
            ("/1000", "If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT", 304),
            ("/1000", "If-Modified-Since: Sunday, 06-Nov-94 08:49:36 GMT", 200),
            ("/1000", "If-Modified-Since: Sun, 01 Jan 2027 00:00:02 GMT", 304),
            ("/1000", "If-Modified-Since: Sat, 31 Dec 2016 23:59:60 GMT", 304),
            ("/1000", "If-Modified-Since: Sun, 31 Feb 2027 00:00:00 GMT", 200),
        ] {
            assert_eq!(client.request("GET", target, &[field]).status, status, "{field}");
        }
    }

    fn b_181_a_range_beyond_the_end_is_a_416_and_the_connection_is_kept(runtime: Runtime) {
        let (_root, server) = serve(runtime, Site::default());
        let mut client = server.client();
        for (target, range, shown) in
            [("/1000", "1000-", "bytes */1000"), ("/1000", "-0", "bytes */1000"), ("/empty", "0-", "bytes */0")]
        {
            let response = client.request("GET", target, &[&format!("Range: bytes={range}")]);
            assert_eq!((response.status, &response.reason[..]), (416, "Range Not Satisfiable"));
            assert_eq!(response.header("Content-Range"), Some(shown));
            assert!(response.body.starts_with(b"<!DOCTYPE html>"));
        }
        assert_eq!(client.request("GET", "/empty", &["Range: bytes=-1"]).status, 200);
    }

    fn b_182_a_failed_precondition_is_a_412_and_the_connection_is_kept(runtime: Runtime) {
        let (_root, server) = serve(runtime, Site::default());
        let mut client = server.client();
        for field in ["If-Match: \"other\"", "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT"] {
            let response = client.request("GET", "/1000", &[field]);
            assert_eq!((response.status, &response.reason[..]), (412, "Precondition Failed"), "{field}");
            assert_eq!(client.request("HEAD", "/1000", &[field]).status, 412);
        }
        assert_eq!(client.request("GET", "/1000", &["If-Match: *"]).status, 200);
    }

    fn b_181_a_resumed_download_never_mixes_two_versions_of_a_file(runtime: Runtime) {
        let (root, server) = serve(runtime, Site::default());
        let mut client = server.client();
        let young = client.request("GET", "/300000", &[]);
        let tag = young.header("ETag").expect("a tag").to_owned();
        let resume = |client: &mut Client, validator: &str| {
            let if_range = format!("If-Range: {validator}");
            client.request("GET", "/300000", &["Range: bytes=123456-", &if_range])
        };
        if tag.starts_with("W/") {
            assert_eq!(resume(&mut client, &tag).status, 200, "a weak tag resumes nothing");
        }
        let strong = settled(&server, "/300000");
        assert_eq!(tag.trim_start_matches("W/"), strong, "it has only become stronger");
        for validator in [&strong[..], DATE] {
            let rest = resume(&mut client, validator);
            assert_eq!((rest.status, rest.body.len()), (206, 300_000 - 123_456), "{validator}");
            assert!([&young.body[..123_456], &rest.body].concat() == content(300_000));
        }
        for validator in ["Sun, 06 Nov 1994 08:49:38 GMT", "W/\"x\"", "rubbish"] {
            assert_eq!(resume(&mut client, validator).status, 200, "{validator}");
        }
        write(root.path(), "300000", &vec![b'!'; 300_000]); // same size and date
        for validator in [&strong[..], DATE] {
            let whole = resume(&mut client, validator);
            assert_eq!((whole.status, whole.body.len()), (200, 300_000), "{validator}");
        }
    }

    fn b_182_precompressed_files_are_negotiated_and_have_their_own_validators(runtime: Runtime) {
        let site = with(Site::default(), |s| s.precompressed = true);
        let (root, server) = serve(runtime, site);
        write(root.path(), "a.html", b"the page itself\n");
        write(root.path(), "a.html.br", b"as brotli");
        write(root.path(), "a.html.gz", b"as gzip");
        let mut client = server.client();
        let plain = client.request("GET", "/a.html", &[]);
        let mut tags = vec![plain.header("ETag").expect("a tag").to_owned()];
        assert_eq!(plain.header("Vary"), Some("Accept-Encoding"));
        for (accepted, coding, body) in [
            ("gzip, deflate, br, zstd", "br", &b"as brotli"[..]),
            ("gzip, br;q=0.5", "gzip", b"as gzip"),
        ] {
            let accept = format!("Accept-Encoding: {accepted}");
            let response = client.request("GET", "/a.html", &[&accept]);
            assert_eq!((response.header("Content-Encoding"), &response.body[..]), (Some(coding), body));
            assert_eq!(response.header("Vary"), Some("Accept-Encoding"));
            assert_eq!(response.header("Content-Type"), Some("text/html; charset=utf-8"));
            let tag = response.header("ETag").expect("a tag").to_owned();
            let part = client.request("GET", "/a.html", &[&accept, "Range: bytes=3-"]);
            assert_eq!((part.status, &part.body[..]), (206, &body[3..]), "of what is sent");
            let again = client.request("GET", "/a.html", &[&accept, &format!("If-None-Match: {tag}")]);
            assert_eq!((again.status, again.header("Vary")), (304, Some("Accept-Encoding")));
            tags.push(tag);
        }
        for accepted in ["zstd", "identity", "br;q=0, gzip;q=0"] {
            let accept = format!("Accept-Encoding: {accepted}");
            assert_eq!(client.request("GET", "/a.html", &[&accept]).body, plain.body, "{accepted}");
        }
        tags.dedup();
        assert_eq!(tags.len(), 3, "three representations: {tags:?}");
    }

    fn b_203_182_an_svgz_file_has_content_encoding_gzip(runtime: Runtime) {
        let site = with(Site::default(), |s| { s.precompressed = true; s.cache_control = "max-age=60".into(); });
        let (root, server) = serve(runtime, site);
        write(root.path(), "a.svgz", b"squeezed");
        let response = server.client().request("GET", "/a.svgz", &["Accept-Encoding: br"]);
        assert_eq!(response.header("Content-Type"), Some("image/svg+xml"));
        assert_eq!(response.header("Content-Encoding"), Some("gzip"));
        assert_eq!((response.header("Vary"), response.header("Cache-Control")), (None, Some("max-age=60")));
    }
}

/// A server of one file of each size, called by it, and an empty one.
fn serve(runtime: Runtime, site: Site) -> (TempDir, TestServer) {
    let root = tempfile::tempdir().expect("a temporary directory can be made");
    SIZES.iter().for_each(|&size| write(root.path(), &size.to_string(), &content(size)));
    write(root.path(), "empty", b"");
    let server = runtime.start(State::site(root.path(), site));
    (root, server)
}

fn content(size: usize) -> Vec<u8> {
    (0..size).map(|n| (n % 251) as u8).collect()
}

fn write(root: &Path, name: &str, content: &[u8]) {
    fs::write(root.join(name), content).expect("it can be written");
    let file = File::options().write(true).open(root.join(name)).expect("it was just made");
    file.set_modified(UNIX_EPOCH + MODIFIED).expect("a date can be set");
}

/// The tag of a file once it is strong: the last change must lie some seconds back.
fn settled(server: &TestServer, target: &str) -> String {
    let tag =
        || server.client().request("HEAD", target, &[]).header("ETag").expect("a tag").to_owned();
    eventually("its tag is strong", || tag().starts_with('"'));
    tag()
}

fn names(response: &Response) -> Vec<&str> {
    response.head.lines().skip(1).filter_map(|line| Some(line.split_once(": ")?.0)).collect()
}

/// The parts of a `multipart/byteranges`, read as RFC 2046 §5.1 says: headers and body of each.
fn parts(response: &Response) -> Vec<(BTreeMap<String, String>, Vec<u8>)> {
    let content_type = response.header("Content-Type").expect("a type");
    let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").expect("several");
    let find = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).position(|w| w == what);
    let line = format!("\r\n--{boundary}");
    let mut rest =
        response.body.strip_prefix(line.as_bytes()).expect("R-16: a line end, a boundary");
    let mut parts = Vec::new();
    while let Some(part) = rest.strip_prefix(b"\r\n") {
        let end = find(part, line.as_bytes()).expect("the line between parts");
        let head = find(part, b"\r\n\r\n").expect("a head");
        let fields = String::from_utf8_lossy(&part[..head]).into_owned();
        let fields = fields.lines().filter_map(|line| line.split_once(": "));
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        parts.push((fields, part[head + 4..end].to_vec()));
        rest = &part[end + line.len()..];
    }
    assert_eq!(rest, b"--\r\n", "the last line");
    parts
}
