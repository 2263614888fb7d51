//! Listings: every name that is shown leads to its file, in every order and form, and memory has a
//! bound.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use doorstep::core::site::Site;
use regex::Regex;
use tempfile::TempDir;

use crate::drivers::{Driver, Running, eventually};
use crate::service::State;

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

on_every_driver! {
    fn b_123_151_155_every_listed_name_is_fetchable(driver: Driver) {
        let longest = [b'%'; 255];
        let names: Vec<&[u8]> = NASTY.iter().copied().chain([&longest[..]]).collect();
        all_are_fetchable(driver, &names);
    }

    fn b_123_151_155_every_name_that_chance_finds_is_fetchable(driver: Driver) {
        let mut chance = Chance(0x5eed);
        let names: Vec<Vec<u8>> = (0..300).map(|_| chance.name()).collect();
        all_are_fetchable(driver, &names.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }

    fn b_148_a_listing_is_sorted_as_its_links_ask(driver: Driver) {
        let (root, server) = serve(driver, Site::default());
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
            let page = client.ask("GET", &format!("/{query}"), &[]);
            assert_eq!((page.status, page.field("Vary")), (200, Some("Accept")), "{query}");
            assert_eq!(hrefs(&page.body).join(" "), expected, "{query}");
        }
    }

    fn a_program_gets_json(driver: Driver) {
        let (root, server) = serve(driver, Site::default());
        fs::create_dir(root.path().join("d")).expect("a directory can be made");
        fs::write(root.path().join("d/a \"b\""), "12345").expect("it can be written");
        let mut client = server.client();
        let json = client.ask("GET", "/d/", &["Accept: application/json"]);
        assert_eq!(json.field("Content-Type"), Some("application/json"));
        assert_eq!(json.field("Vary"), Some("Accept"));
        let text = String::from_utf8(json.body).expect("UTF-8");
        let start = "{\"path\":\"/d/\",\"total\":1,\"complete\":true,\"entries\":[\n\
                     {\"name\":\"a \\\"b\\\"\",\"href\":\"a%20%22b%22\",\"kind\":\"file\",\
                     \"link\":false,\"size\":5,\"modified\":\"";
        assert!(text.starts_with(start), "{text}");
        let head = client.ask("HEAD", "/d/", &["Accept: application/json"]);
        assert_eq!(head.field("Content-Length"), Some(&*text.len().to_string()));
        let page = client.ask("GET", "/d/", &["Accept: text/html, application/json;q=0.9"]);
        assert_eq!(page.field("Content-Type"), Some("text/html; charset=utf-8"));
    }

    fn large_listings_take_turns_and_all_are_whole(driver: Driver) {
        let (root, server) = serve(driver, Site { max_large_listings: 1, ..Site::default() });
        many(root.path(), 1_100);
        let mut clients: Vec<_> = (0..10).map(|_| server.client()).collect();
        for client in &mut clients {
            client.send(b"GET /many/ HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        for client in &mut clients {
            let listing = client.answer(false);
            assert_eq!((listing.status, hrefs(&listing.body).len()), (200, 1_100));
            assert_eq!(client.ask("HEAD", "/many/", &[]).field("Content-Length"), listing.field("Content-Length"));
        }
    }

    fn a_large_listing_that_waits_for_too_long_is_503_and_small_ones_do_not_wait(driver: Driver) {
        let wait = Duration::from_millis(100);
        let (root, server) =
            serve(driver, Site { max_large_listings: 1, listing_queue_timeout: wait, ..Site::default() });
        many(root.path(), 8_000);
        let mut slow = server.client();
        slow.send(b"GET /many/ HTTP/1.1\r\nHost: a\r\n\r\n");
        slow.peek(); // and reads no further
        let mut client = server.client();
        let late = client.ask("GET", "/many/", &[]);
        assert_eq!((late.status, late.field("Retry-After")), (503, Some("1")));
        assert_eq!(client.ask("GET", "/", &[]).status, 200);
        assert!(server.state.notes().iter().any(|note| note.contains("too many large")));
        drop(slow);
        eventually("its place is free again", || client.ask("GET", "/many/", &[]).status == 200);
    }

    fn a_listing_ends_when_its_client_has_left(driver: Driver) {
        let patience = Duration::ZERO;
        let (root, server) = serve(driver, Site { half_close_timeout: patience, ..Site::default() });
        many(root.path(), 3_000);
        let mut client = server.client();
        client.send(b"GET /many/ HTTP/1.1\r\nHost: a\r\n\r\n");
        drop(client);
        eventually("it is given up", || {
            server.state.notes().iter().any(|note| note.contains("directory listing aborted: client"))
        });
    }

    fn what_is_beyond_the_limit_is_counted_and_not_shown(driver: Driver) {
        let (root, server) = serve(driver, Site { max_listing_entries: 3, ..Site::default() });
        for n in 0..100 {
            fs::write(root.path().join(format!("{:02}", n * 37 % 100)), vec![0; n]).expect("written");
        }
        fs::write(root.path().join(".hidden"), "").expect("it can be written");
        let mut client = server.client();
        for (query, expected) in
            [("", "00 01 02"), ("?order=desc", "99 98 97"), ("?sort=size&order=desc", "63 26 89")]
        {
            let body = client.ask("GET", &format!("/{query}"), &[]).body;
            assert_eq!(hrefs(&body).join(" "), expected, "{query}");
            let text = String::from_utf8(body).expect("B-155: UTF-8");
            assert!(text.contains("The first 3 in this order, of 100 entries"), "{query}");
        }
        let json = client.ask("GET", "/", &["Accept: application/json"]).body;
        assert!(json.starts_with(b"{\"path\":\"/\",\"total\":100,\"complete\":false,"));
    }
}

/// Makes a directory of so many files with long names.
fn many(root: &Path, files: usize) {
    let directory = root.join("many");
    fs::create_dir(&directory).expect("a directory can be made");
    let tail = "x".repeat(240);
    for n in 0..files {
        fs::write(directory.join(format!("{n:06}{tail}")), "").expect("it can be written");
    }
}

/// Makes a file of each name that holds its own name, and fetches each through its link.
fn all_are_fetchable(driver: Driver, names: &[&[u8]]) {
    let (root, server) = serve(driver, Site::default());
    let directory = root.path().join("a dir?");
    fs::create_dir(&directory).expect("a directory can be made");
    let mut missing = BTreeMap::new();
    for name in names {
        write(&directory, name);
        missing.insert(name.to_vec(), ());
    }
    let mut client = server.client();
    let page = client.ask("GET", "/a%20dir%3F/", &[]);
    assert!(!page.body.windows(7).any(|bytes| bytes == b"<script"), "B-152");
    for href in hrefs(&page.body) {
        let file = client.ask("GET", &resolved("/a%20dir%3F/", &href), &[]);
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

fn serve(driver: Driver, site: Site) -> (TempDir, Running) {
    // In memory, where there is room for that: many files are made.
    let root = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let root = root.expect("a temporary directory can be made");
    let server = driver.start(State::site(root.path(), site));
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
