//! Cached files: a response is the same, byte for byte, whether the file was opened for it, was in the
//! cache, or has prepared headers; and a kept-alive request for a cached file allocates nothing.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use doorstep_driver::connections::Connections;
use doorstep_driver::core::http1::{ErrorPages, GrowableBuffer, Inbox, Outbox};
use doorstep_driver::core::site::{Site, media_type::MediaTypes};
use doorstep_driver::exchange::{ExchangeState, Session, Step};
use doorstep_driver::files::CacheLimits;
use doorstep_driver::net::MemoryStream;
use doorstep_driver::{Config, Files, Job, JobStep};

/// A connection whose client receives everything at once.
struct Client<'c> {
    session: Session<'c>,
    inbox: Inbox<GrowableBuffer>,
    outbox: Outbox,
}

impl<'c> Client<'c> {
    fn new(
        config: &'c Config,
        connection: &'c Arc<doorstep_driver::connections::ConnectionHandle>,
    ) -> Self {
        let session = Session::new(config, connection, &(), false);
        Self { session, inbox: config.inbox(), outbox: config.outbox() }
    }

    /// Responds to `request`, and passes what is sent to `receive`.
    fn ask(&mut self, files: &Files, mut request: &[u8], mut receive: impl FnMut(&[u8])) {
        loop {
            match self.session.step(&mut self.inbox, &mut self.outbox) {
                Step::Handle(head) => {
                    let mut state = self.session.exchange(head, &mut self.inbox, &mut self.outbox);
                    let handled = run(&mut files.job(), &mut state, &mut receive);
                    let end = state.finish(Ok(handled));
                    self.inbox.rejoin(end);
                }
                Step::Flush => {
                    flush(&mut self.outbox, &mut receive);
                    let flushed = self.session.flushed(&self.inbox, &mut self.outbox, Ok(()));
                    flushed.expect("nothing has failed");
                }
                Step::Fill(_) if request.is_empty() => return,
                Step::Fill(_) => drop(self.inbox.fill(&mut request)),
                Step::Discard | Step::Close | Step::Upgraded => {
                    unreachable!("the connection is kept")
                }
            }
        }
    }
}

fn flush(outbox: &mut Outbox, receive: &mut impl FnMut(&[u8])) {
    receive(outbox.unsent());
    outbox.sent(outbox.len());
}

fn run(
    job: &mut impl Job,
    exchange: &mut ExchangeState<'_>,
    receive: &mut impl FnMut(&[u8]),
) -> io::Result<()> {
    loop {
        match job.step(exchange)? {
            JobStep::Done => return Ok(()),
            JobStep::Block(work) => work(),
            JobStep::Flush => flush(exchange.to_send(), receive),
            JobStep::SendFile(file, offset, count) => {
                if exchange.begin_file(&file, offset, count)?.is_some() {
                    flush(exchange.to_send(), receive);
                    let mut part = [0; 8 << 10];
                    for at in (offset..offset + count).step_by(part.len()) {
                        let n = part.len().min((offset + count - at) as usize);
                        file.read_exact_at(&mut part[..n], at)?;
                        receive(&part[..n]);
                    }
                    exchange.file_sent(count, Ok(()))?;
                }
            }
            step => unreachable!("{step:?}"),
        }
    }
}

/// The response to one request, without its Date, which may be that of the next second.
fn response(files: &Files, config: &Config, request: &str) -> String {
    let connections = Connections::default();
    let connection = connections.register_stream(MemoryStream::new("").into());
    let mut sent = Vec::new();
    let mut client = Client::new(config, &connection);
    client.ask(files, request.as_bytes(), |bytes| sent.extend_from_slice(bytes));
    let text = String::from_utf8(sent).expect("it is text");
    let date = text.split("\r\n").find(|line| line.starts_with("Date: ")).unwrap_or_default();
    text.replacen(date, "Date", 1)
}

/// A file that was changed long ago, but for its ctime.
fn write(path: &Path, content: &[u8]) {
    fs::write(path, content).expect("it is ours");
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    let file = fs::File::options().write(true).open(path).expect("it is there");
    file.set_modified(long_ago).expect("it is ours");
}

/// A directory whose files may be cached in a while.
fn tree() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory can be made");
    fs::create_dir(dir.path().join("d")).expect("it is ours");
    for (name, content) in [
        ("a.html", "<p>a"),
        ("a.html.br", "not brotli"),
        ("b.js", "b()"),
        ("empty", ""),
        (".hidden", "h"),
        ("index.html", "<p>index"),
        ("d/index.html", "<p>d"),
        ("404.html", "<p>none"),
    ] {
        write(&dir.path().join(name), content.as_bytes());
    }
    write(&dir.path().join("medium"), "0123456789".repeat(1000).as_bytes());
    write(&dir.path().join("large"), "0123456789".repeat(4_000).as_bytes());
    dir
}

/// Waits until the files may be cached: a ctime cannot be set.
fn settle() {
    std::thread::sleep(Duration::from_millis(3100));
}

fn sites() -> Vec<(&'static str, Site)> {
    let types = |charset: Option<&str>| {
        let mut types = MediaTypes::default();
        types.charset = charset.map(Into::into);
        types.default = "x/default".into();
        types.overrides = [("html".into(), "text/x-own".into())].into();
        types
    };
    vec![
        ("default", Site::default()),
        ("media types", site(|s| s.media_types = types(Some("latin1")))),
        ("no charset", site(|s| s.media_types = types(None))),
        ("no cache-control", site(|s| s.cache_control = String::new())),
        ("max-age", site(|s| s.cache_control = "max-age=60".into())),
        ("invalid", site(|s| s.cache_control = "a\nb".into())),
        ("immutable", site(|s| s.immutable = vec!["*.js".into()])),
        ("precompressed", site(|s| s.precompressed = true)),
        (
            "spa",
            site(|s| {
                s.spa = Some("index.html".into());
                s.precompressed = true;
            }),
        ),
        (
            "hidden",
            site(|s| {
                s.hidden = true;
                s.cors = true;
            }),
        ),
        (
            "one range",
            site(|s| {
                s.max_ranges = 1;
                s.not_found_page = None;
            }),
        ),
    ]
}

const TARGETS: [&str; 11] = [
    "/a.html",
    "/a.html.br",
    "/b.js?query",
    "/empty",
    "/.hidden",
    "/",
    "/d/",
    "/medium",
    "/large",
    "/none",
    "/%61.html",
];

const HEADERS: [&str; 14] = [
    "",
    "If-None-Match: ETAG\r\n",
    "If-None-Match: \"other\"\r\n",
    "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
    "If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n",
    "If-Match: \"other\"\r\n",
    "Range: bytes=1-2\r\n",
    "Range: bytes=0-0, 2-2\r\n",
    "Range: bytes=999999-\r\n",
    "Range: bytes=-1\r\nIf-Range: ETAG\r\n",
    "Accept-Encoding: br, gzip\r\n",
    "Accept: text/html\r\n",
    "Want-Repr-Digest: sha-256=1\r\n",
    "Accept: text/html\r\nAccept-Encoding: br\r\nIf-None-Match: ETAG\r\n",
];

/// One that caches nothing, and one that does.
fn both(dir: &Path, site: &Site) -> [Files; 2] {
    let mut limits = CacheLimits::default();
    limits.max_files = 0;
    let files = Files::new(dir).expect("it is there").with_site(site.clone());
    [files.clone().with_cache_limits(limits), files]
}

#[test]
fn a_cached_response_is_the_same_as_one_whose_file_is_opened() {
    let dir = tree();
    settle();
    let mut cors = Config::default();
    cors.headers = vec![("Access-Control-Allow-Origin".into(), "*".into())];
    cors.server = String::new();
    cors.error_pages = Some(ErrorPages::new(|page| ("text/plain", page.status.to_string())));
    let default = Config::default();
    for (n, (name, site)) in sites().iter().enumerate() {
        let config = if n % 2 == 0 { &default } else { &cors };
        let [opened, cached] = both(dir.path(), site);
        for target in TARGETS {
            let get = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
            let first = response(&opened, config, &get);
            let etag = first.split("\r\n").find_map(|line| line.strip_prefix("ETag: "));
            for _ in 0..3 {
                let again = response(&cached, config, &get);
                assert!(again == first, "{name}: {get}{again:.999}\n{first:.999}");
            }
            for (method, headers) in
                HEADERS.iter().flat_map(|headers| [("GET", headers), ("HEAD", headers)])
            {
                let headers = headers.replace("ETAG", etag.unwrap_or("\"none\""));
                let request = format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{headers}\r\n");
                let expected = response(&opened, config, &request);
                let again = response(&cached, config, &request);
                assert!(again == expected, "{name}: {request}{again:.999}\n{expected:.999}");
            }
        }
    }
}

#[test]
fn other_settings_count_at_once_and_so_does_a_change_of_the_file() {
    let dir = tree();
    settle();
    let get = "GET /a.html HTTP/1.1\r\nHost: h\r\n\r\n";
    let config = Config::default();
    let mut files = Files::new(dir.path()).unwrap();
    for (name, site) in sites() {
        let [opened, _] = both(dir.path(), &site);
        files = files.with_site(site);
        for _ in 0..4 {
            assert_eq!(response(&files, &config, get), response(&opened, &config, get), "{name}");
        }
    }
    let [opened, cached] = both(dir.path(), &Site::default());
    for content in ["<p>b", "longer", "", "<p>a"] {
        write(&dir.path().join("a.html"), content.as_bytes());
        for _ in 0..4 {
            let response = response(&cached, &config, get);
            assert!(response.ends_with(&format!("\r\n\r\n{content}")), "{response}");
            assert_eq!(response, self::response(&opened, &config, get));
        }
    }
    fs::remove_file(dir.path().join("a.html")).unwrap();
    assert!(response(&cached, &config, get).starts_with("HTTP/1.1 404 "));
    fs::write(dir.path().join("a.html"), "new").unwrap();
    assert!(response(&cached, &config, get).ends_with("new"));
}

#[test]
fn a_root_that_is_replaced_and_comes_back_is_never_stale() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let other = dir.path().join("other");
    fs::create_dir(&root).unwrap();
    fs::create_dir(&other).unwrap();
    write(&root.join("a"), b"one");
    write(&other.join("a"), b"two");
    settle();
    let (files, config) = (Files::new(&root).unwrap(), Config::default());
    let body = || {
        let response = response(&files, &config, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
        response.split_once("\r\n\r\n").unwrap().1.to_owned()
    };
    for _ in 0..3 {
        for _ in 0..4 {
            assert_eq!(body(), "one");
        }
        fs::rename(&root, dir.path().join("away")).unwrap();
        fs::rename(&other, &root).unwrap();
        for _ in 0..4 {
            assert_eq!(body(), "two");
        }
        fs::rename(&root, &other).unwrap();
        fs::rename(dir.path().join("away"), &root).unwrap();
    }
}

#[test]
fn two_directories_on_one_thread_are_not_confused() {
    let dirs = [tree(), tree()];
    write(&dirs[1].path().join("a.html"), b"<p>x"); // the same size
    settle();
    let config = Config::default();
    let files = dirs.each_ref().map(|dir| Files::new(dir.path()).unwrap());
    for _ in 0..5 {
        for (files, content) in files.iter().zip(["<p>a", "<p>x"]) {
            let response = response(files, &config, "GET /a.html HTTP/1.1\r\nHost: h\r\n\r\n");
            assert!(response.ends_with(content), "{response}");
        }
    }
}

#[test]
fn a_kept_alive_request_for_a_cached_file_allocates_nothing() {
    let dir = tree();
    settle();
    let (files, config) = (Files::new(dir.path()).unwrap(), Config::default());
    let connections = Connections::default();
    let connection = connections.register_stream(MemoryStream::new("").into());
    for (target, headers, status) in [
        ("/b.js", "", "200"),
        ("/b.js?query", "Accept-Encoding: gzip, br\r\nAccept: text/html\r\n", "200"),
        ("/medium", "", "200"), // not remembered by the thread
        ("/%62.js", "", "200"),
        ("/large", "", "200"),
        ("/b.js", "Range: bytes=1-2\r\n", "206"),
        ("/b.js", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", "304"),
    ] {
        for method in ["GET", "HEAD"] {
            let request = format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{headers}\r\n");
            let mut client = Client::new(&config, &connection);
            let (mut responses, mut sent) = (0, 0);
            let mut ask = || {
                client.ask(&files, request.as_bytes(), |bytes| {
                    sent += bytes.len();
                    responses += usize::from(bytes.get(9..12) == Some(status.as_bytes()));
                });
            };
            (0..4).for_each(|_| ask()); // it is cached, and the buffers are there
            let allocated = allocation_counter::measure(|| (0..10).for_each(|_| ask()));
            assert_eq!(allocated.count_total, 0, "{request}");
            let is_range = status == "206" && method == "HEAD"; // a Range is for GET
            assert!(is_range || responses == 14 && sent > 1000, "{request}: {responses}");
        }
    }
}

/// The default settings with a change.
fn site(change: impl FnOnce(&mut Site)) -> Site {
    let mut site = Site::default();
    change(&mut site);
    site
}
