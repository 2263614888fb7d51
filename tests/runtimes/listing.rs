//! Listings: every name that is shown leads to its file, in every order and form, and memory has a
//! bound.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use doorstep::core::site::Site;
use doorstep::driver::upload::UploadSettings;
use regex::Regex;
use tempfile::TempDir;

use crate::runtimes::{Runtime, TestServer, config, eventually, with};
use crate::service::State;
use crate::support::client::Response;

/// Names that break one thing or another: URLs, HTML, JSON, terminals, schemes.
const NASTY: &[&[u8]] = &[
    b"a b",
    b" ",
    b"50%",
    b"%41",
    b"%2e%2e",
    b"what?",
    b"?sort=size",
    b"a#b",
    b"#",
    b"it's \"quoted\"",
    b"<script>alert(1)",
    b"&amp;",
    b"new\nline",
    b"cr\r\nlf",
    b"tab\t\x01\x7f",
    b"a:b",
    b"javascript:alert(1)",
    b"http:",
    b"back\\slash",
    b"not utf-8 \xff\xc3",
    "\u{1f980}e\u{301}".as_bytes(),
    "\u{202e}gpj.exe".as_bytes(),
    b"~",
    b"-rf",
    b"a;b=c,d+e&f$!*()[]{}|^`@",
];

on_every_runtime! {
    fn b_123_151_155_every_listed_name_is_fetchable(runtime: Runtime) {
        let longest = [b'%'; 255];
        let names: Vec<&[u8]> = NASTY.iter().copied().chain([&longest[..]]).collect();
        all_are_fetchable(runtime, &names);
    }

    fn b_123_151_155_every_random_name_is_fetchable(runtime: Runtime) {
        let mut chance = Chance(0x5eed);
        let names: Vec<Vec<u8>> = (0..300).map(|_| chance.name()).collect();
        all_are_fetchable(runtime, &names.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }

    fn b_148_a_listing_is_sorted_by_its_links(runtime: Runtime) {
        let (root, server) = serve(runtime, Site::default());
        for (name, size) in [("a", 10), ("b", 30), ("c", 20)] {
            fs::write(root.path().join(name), vec![0; size]).expect("it can be written");
        }
        fs::create_dir(root.path().join("d")).expect("a directory can be made");
        let mut client = server.client();
        for (query, expected) in [
            ("", "a b c d/"),
            ("?sort=size&order=desc", "b c a d/"),
            ("?sort=size", "d/ a c b"),
            ("?order=desc&dirs=first", "d/ c b a"),
            ("?sort=colour&order=up&%00", "a b c d/"),
        ] {
            let page = client.request("GET", &format!("/{query}"), &[]);
            assert_eq!((page.status, page.header("Vary")), (200, Some("Accept")), "{query}");
            assert_eq!(hrefs(&page.body).join(" "), expected, "{query}");
        }
    }

    fn a_program_gets_json(runtime: Runtime) {
        let (root, server) = serve(runtime, Site::default());
        fs::create_dir(root.path().join("d")).expect("a directory can be made");
        fs::write(root.path().join("d/a \"b\""), "12345").expect("it can be written");
        let mut client = server.client();
        let json = client.request("GET", "/d/", &["Accept: application/json"]);
        assert_eq!(json.header("Content-Type"), Some("application/json"));
        assert_eq!(json.header("Vary"), Some("Accept"));
        let text = String::from_utf8(json.body).expect("UTF-8");
        let start = "{\"path\":\"/d/\",\"total\":1,\"complete\":true,\"entries\":[\n\
                     {\"name\":\"a \\\"b\\\"\",\"href\":\"a%20%22b%22\",\"kind\":\"file\",\
                     \"link\":false,\"size\":5,\"modified\":\"";
        assert!(text.starts_with(start), "{text}");
        let head = client.request("HEAD", "/d/", &["Accept: application/json"]);
        assert_eq!(head.header("Content-Length"), Some(&*text.len().to_string()));
        let page = client.request("GET", "/d/", &["Accept: text/html, application/json;q=0.9"]);
        assert_eq!(page.header("Content-Type"), Some("text/html; charset=utf-8"));
    }

    fn a_filter_lists_the_names_that_contain_its_text(runtime: Runtime) {
        let (root, server) = serve(runtime, Site::default());
        for (name, size) in [("Été 1.jpg", 1), ("winter été.JPG", 3), ("a+b.jpg", 2), (".été", 0)] {
            fs::write(root.path().join(name), vec![0; size]).expect("it can be written");
        }
        fs::create_dir(root.path().join("ÉTÉ")).expect("a directory can be made");
        let mut client = server.client();
        for (query, expected) in [
            ("filter=", "a%2Bb.jpg winter%20%C3%A9t%C3%A9.JPG %C3%89T%C3%89/ %C3%89t%C3%A9%201.jpg"),
            ("filter=JPG&sort=size", "%C3%89t%C3%A9%201.jpg a%2Bb.jpg winter%20%C3%A9t%C3%A9.JPG"),
            ("order=desc&filter=%c3%a9T%C3%89&x", "%C3%89t%C3%A9%201.jpg %C3%89T%C3%89/ winter%20%C3%A9t%C3%A9.JPG"),
            ("filter=R+%C3%89", "winter%20%C3%A9t%C3%A9.JPG"),
            ("filter=a%2Bb", "a%2Bb.jpg"),
            ("filter=nothing+of+that", ""),
            ("filter=a&filter=1", "%C3%89t%C3%A9%201.jpg"),
        ] {
            let target = format!("/?{query}");
            let page = client.request("GET", &target, &[]);
            assert_eq!((page.status, hrefs(&page.body).join(" ")), (200, expected.into()), "{query}");
            let json = client.request("GET", &target, &["Accept: application/json"]);
            let json = String::from_utf8(json.body).expect("UTF-8");
            let found = expected.split_whitespace().filter(|href| json.contains(&format!("\"href\":\"{href}\""))).count();
            assert_eq!(json.matches("\"href\"").count(), found, "{query}: {json}");
        }
        let longest = format!("/?filter={}", "%22".repeat(2_000));
        let page = client.request("GET", &longest, &[]);
        assert_eq!((page.status, page.body.len() < 24_000), (200, true), "{}", page.body.len());
    }

    fn a_filter_of_a_large_directory_takes_no_permit_for_few_entries(runtime: Runtime) {
        let (root, server) = serve(runtime, with(Site::default(), |s| {
            s.max_large_listings = 1;
            s.listing_queue_timeout = Duration::ZERO;
        }));
        many(root.path(), 8_000);
        let mut slow = server.client();
        slow.send(b"GET /many/ HTTP/1.1\r\nHost: a\r\n\r\n");
        slow.peek(); // and reads no further
        let mut client = server.client();
        let page = client.request("GET", "/many/?filter=0079", &[]);
        assert_eq!((page.status, hrefs(&page.body).len()), (200, 111));
    }

    fn a_page_may_load_nothing_and_run_nothing(runtime: Runtime) {
        let (_root, server) = serve(runtime, Site::default());
        let mut client = server.client();
        let page = client.request("GET", "/", &[]);
        let policy = page.header("Content-Security-Policy").expect("it is sent");
        assert!(policy.starts_with("default-src 'none'; style-src 'unsafe-inline'; "), "{policy}");
        assert!(!policy.contains("script") && policy.contains("form-action 'self'"), "{policy}");
        let json = client.request("GET", "/", &["Accept: application/json"]);
        assert_eq!(json.header("Content-Security-Policy"), None);
    }

    fn a_policy_of_every_response_is_not_that_of_a_page_with_its_own(runtime: Runtime) {
        let root = tempfile::tempdir().expect("a temporary directory can be made");
        let config = with(config(), |c| {
            let mut add = |name: &str, value: &str| c.headers.push((name.into(), value.into()));
            add("X-Frame-Options", "DENY");
            add("content-security-policy", "sandbox");
            add("Content-Security-Policy", "img-src 'none'");
            add("X-Last", "1");
        });
        let settings = with(UploadSettings::default(), |s| s.min_free_space = 0);
        let state = State::uploads(root.path(), settings, false);
        let server = runtime.start_with(state, config);
        let mut client = server.client();
        let put = b"PUT /up.html HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n<p>";
        client.send(put);
        assert_eq!(client.response(false).status, 201);
        let policies = |response: &Response| {
            let lines = response.head.split("\r\n").filter_map(|line| line.split_once(": "));
            assert_eq!(response.header("X-Frame-Options"), Some("DENY"), "{}", response.head);
            assert_eq!(response.header("X-Last"), Some("1"), "{}", response.head);
            let policies = lines.filter(|(name, _)| name.eq_ignore_ascii_case("Content-Security-Policy"));
            policies.map(|(_, value)| value.to_owned()).collect::<Vec<_>>()
        };
        let given = ["sandbox", "img-src 'none'"];
        for method in ["GET", "HEAD"] {
            let mut policies = |target, accept| policies(&client.request(method, target, &[accept]));
            for _ in 0..2 {
                let own = policies("/", "Accept: text/html");
                assert!(own.len() == 1 && own[0].starts_with("default-src 'none'; "), "{own:?}");
            }
            assert_eq!(policies("/", "Accept: application/json"), given, "it has none of its own");
            assert_eq!(policies("/up.html", "Accept: text/html"), given, "an uploaded file");
            assert_eq!(policies("/missing", "Accept: text/html"), given, "an error page");
        }
    }

    fn a_readme_is_shown_as_text_if_it_is_listed(runtime: Runtime) {
        let site = with(Site::default(), |s| { s.readme = true; s.max_readme_size = 8; });
        let (root, server) = serve(runtime, site);
        let directory = |name: &str| {
            let path = root.path().join(name);
            fs::create_dir(&path).expect("a directory can be made");
            path
        };
        fs::write(directory("text").join("README.md"), "<b>ü").expect("it can be written");
        fs::write(root.path().join("text/README"), "less").expect("it can be written");
        fs::write(directory("cut").join("Readme.txt"), "1234567ü9").expect("it can be written");
        fs::write(directory("hidden").join(".README"), "x").expect("it can be written");
        fs::create_dir(directory("directory").join("README")).expect("it can be made");
        let outside = tempfile::NamedTempFile::new().expect("a temporary file can be made");
        let link = directory("link").join("README");
        std::os::unix::fs::symlink(outside.path(), link).expect("a link can be made");
        let mut client = server.client();
        let mut shown = |target: &str| {
            let page = String::from_utf8(client.request("GET", target, &[]).body).expect("UTF-8");
            page.split_once("<section>").map(|(_, section)| section.to_owned())
        };
        let section = shown("/text/").expect("there is one");
        assert!(section.starts_with("\n<h2>README.md</h2>\n<pre>\n&lt;b&gt;ü</pre>\n</section>"), "{section}");
        let section = shown("/cut/").expect("there is one");
        assert!(section.contains("<pre>\n1234567</pre>\n<p>Only its first 7 bytes"), "{section}");
        for target in ["/hidden/", "/directory/", "/link/", "/", "/text/?filter=README"] {
            assert_eq!(shown(target), None, "{target}");
        }
        let json = client.request("GET", "/text/", &["Accept: application/json"]).body;
        assert!(!String::from_utf8_lossy(&json).contains("&lt;b"));
        let (root, server) = serve(runtime, Site::default());
        fs::write(root.path().join("README"), "x").expect("it can be written");
        let page = server.client().request("GET", "/", &[]).body;
        assert!(!String::from_utf8_lossy(&page).contains("<section>"), "off by default");
    }

    fn rfc_9110_12_4_2_a_format_with_quality_0_is_not_sent(runtime: Runtime) {
        let spa = with(Site::default(), |s| s.spa = Some("app.html".into()));
        let (root, server) = serve(runtime, spa);
        fs::create_dir(root.path().join("d")).expect("a directory can be made");
        fs::write(root.path().join("app.html"), "app").expect("it can be written");
        let mut client = server.client();
        for (accept, is_html) in [
            ("text/html", true),
            ("text/html;q=0.001", true),
            ("text/html;level=1;q=0.5, */*;q=0", true),
            ("TEXT/HTML ; Q=1", true),
            ("text/html;q=0, application/json", false),
            ("text/html;q=0.000, application/json", false),
            ("text/html ; Q=0.0, application/json;q=0.1", false),
            ("application/json", false),
        ] {
            let accept = format!("Accept: {accept}");
            let listing = client.request("GET", "/d/", &[&accept]);
            let expected = if is_html { "text/html; charset=utf-8" } else { "application/json" };
            assert_eq!(listing.header("Content-Type"), Some(expected), "{accept}");
            let page = client.request("GET", "/route", &[&accept]);
            assert_eq!(page.status, if is_html { 200 } else { 404 }, "{accept}");
            assert_eq!(page.body == b"app", is_html, "{accept}");
        }
    }

    fn large_listings_are_made_in_turn_and_are_complete(runtime: Runtime) {
        let (root, server) = serve(runtime, with(Site::default(), |s| s.max_large_listings = 1));
        many(root.path(), 1_100);
        let mut clients: Vec<_> = (0..10).map(|_| server.client()).collect();
        for client in &mut clients {
            client.send(b"GET /many/ HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        for client in &mut clients {
            let listing = client.response(false);
            assert_eq!((listing.status, hrefs(&listing.body).len()), (200, 1_100));
            assert_eq!(client.request("HEAD", "/many/", &[]).header("Content-Length"), listing.header("Content-Length"));
        }
    }

    fn a_large_listing_that_waits_too_long_is_a_503_and_small_ones_do_not_wait(runtime: Runtime) {
        let wait = Duration::from_millis(100);
        let (root, server) =
            serve(runtime, with(Site::default(), |s| { s.max_large_listings = 1; s.listing_queue_timeout = wait; }));
        many(root.path(), 8_000);
        let mut slow = server.client();
        slow.send(b"GET /many/ HTTP/1.1\r\nHost: a\r\n\r\n");
        slow.peek(); // and reads no further
        let mut client = server.client();
        let late = client.request("GET", "/many/", &[]);
        assert_eq!((late.status, late.header("Retry-After")), (503, Some("1")));
        assert_eq!(client.request("GET", "/", &[]).status, 200);
        assert!(server.state.errors().iter().any(|error| error.contains("too many large")));
        drop(slow);
        eventually("its place is free again", || client.request("GET", "/many/", &[]).status == 200);
    }

    fn a_listing_is_abandoned_when_its_client_disconnects(runtime: Runtime) {
        let patience = Duration::ZERO;
        let (root, server) = serve(runtime, with(Site::default(), |s| s.half_close_timeout = patience));
        many(root.path(), 3_000);
        let mut client = server.client();
        client.send(b"GET /many/ HTTP/1.1\r\nHost: a\r\n\r\n");
        drop(client);
        eventually("it is given up", || {
            server.state.errors().iter().any(|error| error.contains("directory listing aborted: client"))
        });
    }

    fn entries_beyond_the_limit_are_counted_and_not_listed(runtime: Runtime) {
        let (root, server) = serve(runtime, with(Site::default(), |s| s.max_listing_entries = 3));
        for n in 0..100 {
            fs::write(root.path().join(format!("{:02}", n * 37 % 100)), vec![0; n]).expect("written");
        }
        fs::write(root.path().join(".hidden"), "").expect("it can be written");
        let mut client = server.client();
        for (query, expected) in
            [("", "00 01 02"), ("?order=desc", "99 98 97"), ("?sort=size&order=desc", "63 26 89")]
        {
            let body = client.request("GET", &format!("/{query}"), &[]).body;
            assert_eq!(hrefs(&body).join(" "), expected, "{query}");
            let text = String::from_utf8(body).expect("B-155: UTF-8");
            assert!(text.contains("The first 3 in this order, of 100 entries"), "{query}");
        }
        let json = client.request("GET", "/", &["Accept: application/json"]).body;
        assert!(json.starts_with(b"{\"path\":\"/\",\"total\":100,\"complete\":false,"));
    }
}

/// Makes a directory of `files` files with long names.
fn many(root: &Path, files: usize) {
    let directory = root.join("many");
    fs::create_dir(&directory).expect("a directory can be made");
    let tail = "x".repeat(240);
    for n in 0..files {
        fs::write(directory.join(format!("{n:06}{tail}")), "").expect("it can be written");
    }
}

/// Makes a file of each name that holds its own name, and fetches each through its link.
fn all_are_fetchable(runtime: Runtime, names: &[&[u8]]) {
    let (root, server) = serve(runtime, Site::default());
    let directory = root.path().join("a dir?");
    fs::create_dir(&directory).expect("a directory can be made");
    let mut missing = BTreeMap::new();
    for name in names {
        write(&directory, name);
        missing.insert(name.to_vec(), ());
    }
    let mut client = server.client();
    let page = client.request("GET", "/a%20dir%3F/", &[]);
    assert!(!page.body.windows(7).any(|bytes| bytes == b"<script"), "B-152");
    for href in hrefs(&page.body) {
        let file = client.request("GET", &resolved("/a%20dir%3F/", &href), &[]);
        assert_eq!(file.status, 200, "{href}");
        let name = file.body;
        assert!(missing.remove(&name).is_some(), "{href} is {}", name.escape_ascii());
    }
    assert!(missing.is_empty(), "not listed: {missing:?}");
}

fn write(directory: &Path, name: &[u8]) {
    fs::write(directory.join(OsStr::from_bytes(name)), name).expect("it can be written");
}

/// The links of the entries.
fn hrefs(page: &[u8]) -> Vec<String> {
    let page = String::from_utf8(page.to_vec()).expect("B-155: UTF-8");
    let link = Regex::new("<tr><td><a href=\"([^\"]*)\"").expect("a pattern");
    link.captures_iter(&page).map(|found| found[1].to_owned()).collect()
}

/// A relative reference against the path of its page, as browsers resolve it: a scheme would lead
/// away, a query or fragment would be cut off, a backslash would be a slash, and blanks, tabs and
/// newlines would be dropped.
fn resolved(base: &str, href: &str) -> String {
    let segment = href.strip_prefix("./").unwrap_or(href);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte);
    assert!(segment.bytes().all(plain), "nothing in {href} means more than itself");
    assert!(!matches!(segment, "" | "." | ".."), "{href}");
    format!("{base}{segment}")
}

fn serve(runtime: Runtime, site: Site) -> (TempDir, TestServer) {
    // In memory, where there is room for that: many files are made.
    let root = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let root = root.expect("a temporary directory can be made");
    let server = runtime.start(State::site(root.path(), site));
    (root, server)
}

/// A small generator (xorshift), the same on every run.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize
    }

    /// 1 to 255 bytes that can be a name and are not hidden.
    fn name(&mut self) -> Vec<u8> {
        const MARKS: &[u8] = b" %?#&<>\"'\\:;+.\n\r\t0123abcXYZ~^`|\x7f\x80\xc3\xa9\xff";
        let most = if self.next().is_multiple_of(4) { 255 } else { 12 };
        let length = 1 + self.next() % most;
        let mut name: Vec<u8> = (0..length)
            .map(|_| match self.next() {
                n if n.is_multiple_of(2) => MARKS[n / 2 % MARKS.len()],
                n => (n >> 8) as u8,
            })
            .collect();
        for byte in &mut name {
            if matches!(*byte, b'/' | 0) {
                *byte = b'_';
            }
        }
        if name[0] == b'.' {
            name[0] = b'%';
        }
        name
    }
}
