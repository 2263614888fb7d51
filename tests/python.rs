//! doorstep, on each runtime, beside `python3 -m http.server`: the same requests on one document root.
//!
//! Every case names the rows it stands for. Where doorstep differs on purpose (docs/differences.md)
//! there is no case. What is compared is what a client goes by: status and reason, Location, the
//! media type without its parameters, and for files the length, the date and every byte. The text of
//! error pages and the look of listings are doorstep's own.
#![cfg(feature = "cli")]

mod support;

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use regex::Regex;
use support::client::Response;
use support::{RUNTIMES, Server, serve};
use tempfile::TempDir;

/// Sun, 06 Nov 1994 08:49:37 GMT and most of a second, which the header leaves out.
const MODIFIED: Duration = Duration::from_millis(784_111_777_900);

const FILES: &[&str] = &[
    "100%zz.txt",
    "50%.txt",
    "a b.txt",
    "a+b.txt",
    "a.txt",
    "both/index.htm",
    "both/index.html",
    "empty/index.html",
    "grün.txt",
    "htm/index.htm",
    "odd/index.html/is a directory",
    "odd/index.htm",
    "sub/A.txt",
    "sub/b.txt",
    "sub/B dir/c.txt",
    "sub/C.txt",
    "sub/inner.txt",
    "sub/x&y<z>'\".txt",
    "sub/é.txt",
    "types/noextension",
    "what?.txt",
];

/// Names whose media type both must agree on (`ext` of `types/name.ext`).
const TYPES: &str = "html htm HTML txt TXT css csv png jpg jpeg gif svg webm pdf json zip tar \
                     tar.gz gz GZ bz2 xz Z mp3 mp4 wasm doc bin unknown";

/// Python, doorstep on each runtime, and the directory they serve.
struct Servers {
    /// Python first.
    all: [Server; 3],
    _root: TempDir,
}

impl Servers {
    fn start() -> Self {
        let root = tempfile::tempdir().expect("a temporary directory can be made");
        populate(root.path());
        let found = Command::new("python3").arg("--version").output();
        found.expect("these tests need python3: install it, as with `apt-get install python3`");
        let python = Server::start(
            Command::new("python3")
                .args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory"])
                .arg(root.path()),
        );
        let [blocking, smol] = RUNTIMES.map(|runtime| serve(root.path(), &[runtime]));
        Self { all: [python, blocking, smol], _root: root }
    }

    /// Sends the request to all servers, Python first. Each closes the connection after its response.
    fn request(&self, method: &str, target: &str, field: &str) -> [Response; 3] {
        self.all.each_ref().map(|server| {
            let fields = ["Connection: close", field];
            let mut client = server.client();
            let response =
                client.request(method, target, &fields[..1 + usize::from(!field.is_empty())]);
            assert_eq!(client.read_to_end(), b"", "{method} {target} {field}");
            response
        })
    }

    /// Asks all and compares the facts; `status` keeps the table honest.
    fn compare(&self, cases: &[(&str, &str, u16)]) {
        for &(rows, request, status) in cases {
            let mut words = request.splitn(3, ' ');
            let mut word = || words.next().unwrap_or("");
            let [python, doorsteps @ ..] = self.request(word(), word(), word());
            assert_eq!(python.status, status, "Python itself: {rows}: {request}");
            for doorstep in doorsteps {
                assert_eq!(facts(&doorstep), facts(&python), "{rows}: {request}");
            }
        }
    }
}

fn populate(root: &Path) {
    let types = TYPES.split_whitespace().map(|ext| format!("types/name.{ext}"));
    for name in FILES.iter().map(|name| (*name).to_owned()).chain(types) {
        let path = root.join(&name);
        fs::create_dir_all(path.parent().expect("it is below the root")).expect("it is writable");
        let content = if name.starts_with("empty") { String::new() } else { name.repeat(1000) };
        fs::write(&path, content).expect("it is writable");
        let file = File::options().write(true).open(&path).expect("it was just made");
        file.set_modified(UNIX_EPOCH + MODIFIED).expect("a date can be set");
    }
    for (target, link) in [("a.txt", "link.txt"), ("sub", "linked"), ("loop", "loop")] {
        symlink(target, root.join(link)).expect("links can be made");
    }
    symlink("A.txt", root.join("sub/l.txt")).expect("links can be made");
    symlink("B dir", root.join("sub/linked")).expect("links can be made");
}

/// What a client goes by, one fact a line.
fn facts(response: &Response) -> String {
    let media_type = response.header("Content-Type").and_then(|value| value.split(';').next());
    let mut facts = format!("{} {}\n{media_type:?}\n", response.status, response.reason);
    if response.status < 400 {
        for name in ["Location", "Content-Length", "Last-Modified"] {
            facts += &format!("{name}: {:?}\n", response.header(name));
        }
        facts += &String::from_utf8_lossy(&response.body);
    }
    facts
}

#[test]
fn b_172_173_files() {
    Servers::start().compare(&[
        ("B-172", "GET /a.txt", 200),
        ("B-173", "HEAD /a.txt", 200),
        ("B-172", "GET /empty/index.html", 200),
        ("B-173", "HEAD /empty/index.html", 200),
        ("B-172", "GET /link.txt", 200),
        ("B-172", "GET /linked/inner.txt", 200),
    ]);
}

#[test]
fn b_021_022_other_methods() {
    Servers::start().compare(&[
        ("B-022", "SPAM /a.txt", 501),
        ("B-021", "get /a.txt", 501),
        ("B-021", "GETs /a.txt", 501),
    ]);
}

#[test]
fn b_017_an_http_0_9_response_is_the_bare_file() {
    let servers = Servers::start();
    let [python, doorsteps @ ..] = servers.all.map(|server| {
        let mut client = server.client();
        client.send(b"GET /a.txt\r\n\r\n");
        client.read_to_end()
    });
    assert_eq!(python, "a.txt".repeat(1000).as_bytes());
    assert_eq!(doorsteps, [python.clone(), python]);
}

#[test]
fn b_120_122_124_125_paths() {
    Servers::start().compare(&[
        ("B-120", "GET /a.txt?x=1", 200),
        ("B-120", "GET /a.txt?", 200),
        ("B-120", "GET /a.txt?x?y", 200),
        ("B-120", "GET /a.txt#part", 200),
        ("B-120", "GET /a.txt?x#part", 200),
        ("B-120", "GET /what%3F.txt", 200),
        ("B-122", "GET /%61.txt", 200),
        ("B-122", "GET /a%20b.txt", 200),
        ("B-122", "GET /gr%C3%BCn.txt", 200),
        ("B-122", "GET /gr%c3%bcn.txt", 200),
        ("B-122", "GET /50%25.txt", 200),
        ("B-122", "GET /50%.txt", 200),
        ("B-122", "GET /100%zz.txt", 200),
        ("B-122", "GET /%2561.txt", 404),
        ("B-124", "GET /a+b.txt", 200),
        ("B-124", "GET /a+b.txt?c+d", 200),
        ("B-124", "GET /a%2Bb.txt", 200),
        ("B-124", "GET /a%20+b.txt", 404),
        ("B-024", "GET //a.txt", 200),
        ("B-024", "GET ///a.txt", 200),
        ("B-125", "GET /./a.txt", 200),
        ("B-125", "GET /sub/../a.txt", 200),
        ("B-125", "GET /sub//inner.txt", 200),
        ("B-125", "GET /nowhere/../a.txt", 200),
        ("B-125", "GET /../../a.txt", 200),
        ("B-125", "GET /%2e%2e/a.txt", 200),
        ("B-125", "GET /..%2f..%2fa.txt", 200),
        ("B-125", "GET /sub%2finner.txt", 200),
    ]);
}

#[test]
fn b_129_171_not_found() {
    let long = format!("GET /{}", "x".repeat(300));
    Servers::start().compare(&[
        ("B-171", "GET /missing", 404),
        ("B-171", "HEAD /missing", 404),
        ("B-171", "GET /missing/", 404),
        ("B-171", "GET /missing/a.txt", 404),
        ("B-171", "GET /a.txt/b", 404),
        ("B-171", "GET /A.TXT", 404),
        ("B-171", "GET /loop", 404),
        ("B-171", &long, 404),
        ("B-129", "GET /a.txt/", 404),
        ("B-129", "GET /a.txt//", 404),
        ("B-129", "GET /link.txt/", 404),
    ]);
}

#[test]
fn b_127_140_141_142_143_redirects() {
    Servers::start().compare(&[
        ("B-140", "GET /sub", 301),
        ("B-140", "HEAD /sub", 301),
        ("B-140", "GET /linked", 301),
        ("B-140", "GET /both", 301),
        ("B-140", "GET /sub?a=b&c", 301),
        ("B-140", "GET /sub?a=/b", 301),
        ("B-140", "GET /sub#part", 301),
        ("B-142", "GET /sub?", 301),
        ("B-142", "GET /sub?a#f", 301),
        ("B-142", "GET /sub#f?q", 301),
        ("B-143", "GET //sub", 301),
        ("B-143", "GET ///sub?a", 301),
        ("B-143", "GET //sub/../sub", 301),
        ("B-143", "GET /%73ub", 301),
        ("B-143", "GET /sub/%0d%0aX:y/..", 301),
        ("B-141", "GET /sub/B%20dir", 301),
        ("B-127", "GET /sub/.", 301),
        ("B-127", "GET /sub/..", 301),
        ("B-127", "GET /.", 301),
    ]);
}

#[test]
fn b_145_146_index_pages() {
    Servers::start().compare(&[
        ("B-145", "GET /both/", 200),
        ("B-145", "GET /htm/", 200),
        ("B-145", "GET /odd/", 200),
        ("B-145", "GET /empty/", 200),
        ("B-146", "HEAD /both/", 200),
        ("B-146", "GET /both/?a=b", 200),
        ("B-146", "GET /both//", 200),
        ("B-146", "GET /both/ If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT", 304),
    ]);
}

#[test]
fn b_176_177_178_179_180_conditional_requests() {
    let since = |date: &str| format!("GET /a.txt If-Modified-Since: {date}");
    Servers::start().compare(&[
        ("B-177", &since("Sun, 06 Nov 1994 08:49:37 GMT"), 304),
        ("B-177", "HEAD /a.txt If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT", 304),
        ("B-177", &since("Sun, 06 Nov 1994 08:49:38 GMT"), 304),
        ("B-177", &since("Sun, 06 Nov 1994 08:49:36 GMT"), 200),
        ("B-178", &since("Sunday, 06-Nov-94 08:49:37 GMT"), 304),
        ("B-178", &since("Sunday, 06-Nov-94 08:49:36 GMT"), 200),
        ("B-178", &since("Sun Nov  6 08:49:37 1994"), 304),
        ("B-178", &since("Sun Nov  6 08:49:36 1994"), 200),
        ("B-178", &since("Sun, 06 Nov 1994 08:49:37 +0100"), 200),
        ("B-179", &since("yesterday"), 200),
        ("B-179", &since("784111777"), 200),
        ("B-179", &since(""), 200),
        ("B-180", &since("Fri, 31 Dec 2100 23:59:59 GMT"), 304),
        ("B-176", "GET /a.txt If-None-Match: \"another\"", 200),
        ("B-176", &since("Sun, 06 Nov 1994 08:49:37 GMT\r\nIf-None-Match: \"another\""), 200),
    ]);
}

#[test]
fn b_200_201_202_media_types() {
    let servers = Servers::start();
    for ext in TYPES.split_whitespace() {
        servers.compare(&[("B-200 B-201 B-202", &format!("HEAD /types/name.{ext}"), 200)]);
    }
    servers.compare(&[("B-202", "HEAD /types/noextension", 200)]);
}

#[test]
fn b_148_150_151_152_153_listings() {
    let servers = Servers::start();
    for (target, shown) in [("/sub/", "/sub/"), ("/sub/B%20dir/", "/sub/B dir/")] {
        let [python, doorsteps @ ..] = servers.request("GET", target, "");
        let links = links(&python);
        for doorstep in doorsteps {
            assert_eq!([python.status, doorstep.status], [200, 200]);
            assert_eq!(self::links(&doorstep), links, "B-148 B-150 B-151 B-152: {target}");
            let title = format!("<title>Directory listing for {shown}</title>");
            assert!(String::from_utf8_lossy(&doorstep.body).contains(&title), "B-153: {target}");
        }
        for (link, _) in links.iter().filter(|(link, _)| !link.ends_with('/')) {
            servers.compare(&[("B-123", &format!("GET {target}{link}"), 200)]);
        }
    }
}

/// The entries that a listing links to, with the text of each link.
fn links(listing: &Response) -> Vec<(String, String)> {
    let link = Regex::new(r#"(?s)<a [^>]*?href="([^"]*)"[^>]*>(.*?)</a>"#).expect("a pattern");
    let quotes =
        |text: &str| text.replace("&#39;", "'").replace("&#x27;", "'").replace("&quot;", "\"");
    link.captures_iter(&String::from_utf8_lossy(&listing.body))
        .map(|found| (found[1].to_owned(), quotes(found[2].trim())))
        .filter(|(link, _)| !link.starts_with(['.', '/', '?', '#']))
        .collect()
}

#[test]
fn b_156_158_listings_have_a_length_and_no_conditions() {
    let servers = Servers::start();
    for method in ["GET", "HEAD"] {
        for field in ["", "If-Modified-Since: Fri, 31 Dec 2100 23:59:59 GMT"] {
            for response in servers.request(method, "/sub/", field) {
                assert_eq!(response.status, 200, "B-158: {method} {field}");
                assert!(response.header("Content-Length").is_some(), "B-156: {method}");
                let media_type = response.header("Content-Type").unwrap_or("");
                assert!(media_type.starts_with("text/html; charset=utf-8"), "B-155: {method}");
            }
        }
    }
}
