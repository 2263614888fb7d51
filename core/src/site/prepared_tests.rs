//! A prepared response and the one that the resolver plans are the same bytes, whatever the request
//! and the site.

use super::*;
use crate::http1::{Connection, Event, Limits, Outbox};
use crate::site::media_type::MediaTypes;
use crate::site::{Action, Found, Resolver};

const CHANGED: i64 = 784_111_777;
const STAT: Stat = Stat {
    size: 1000,
    modified: CHANGED,
    modified_nanos: 5,
    device: 1,
    inode: 2,
    changed: (CHANGED, 7),
};

/// The head of the response to a request, and the part of the file that follows; `None` if it is not
/// prepared.
type Sent = (Vec<u8>, Option<ByteRange>);

fn responses(site: &Site, stat: &Stat, request: &str, now: i64) -> (Option<Sent>, Sent) {
    (prepared(site, stat, request, now), planned(site, stat, request, now))
}

/// By [`PreparedFile`].
fn prepared(site: &Site, stat: &Stat, request: &str, now: i64) -> Option<Sent> {
    let (mut connection, mut outbox, mut scratch) = start();
    let Ok((_, Event::Request(head))) = connection.advance(request.as_bytes()) else {
        panic!("{request}")
    };
    let mut resolver = Resolver::new(site, &head, now, &mut scratch);
    loop {
        let Action::Open(path) = resolver.action() else { return None };
        match found(path, stat) {
            Found::File(stat) => {
                let Some(variant) = resolver.variant_of(&stat) else {
                    resolver.opened(Found::File(stat));
                    continue;
                };
                let file = PreparedFile::new(site, path, &stat, variant)?;
                assert_eq!(file.variant(), variant);
                let response = file.respond(site, &head, now)?;
                let of_target = file.respond_to_target(site, &head, now);
                assert!(of_target.is_none_or(|of_target| of_target == response));
                let body =
                    file.write_head(response, connection.respond(response.status(), &mut outbox));
                return Some((outbox.unsent().to_vec(), body.unwrap()));
            }
            other => resolver.opened(other),
        }
    }
}

/// By the resolver alone.
fn planned(site: &Site, stat: &Stat, request: &str, now: i64) -> Sent {
    let (mut connection, mut outbox, mut scratch) = start();
    let Ok((_, Event::Request(head))) = connection.advance(request.as_bytes()) else {
        panic!("{request}")
    };
    let mut resolver = Resolver::new(site, &head, now, &mut scratch);
    let plan = loop {
        match resolver.action() {
            Action::Open(path) => {
                let found = found(path, stat);
                resolver.opened(found);
            }
            Action::List(_) => resolver.listed(true),
            Action::Respond(plan) => break plan,
        }
    };
    let response = connection.respond(plan.status(), &mut outbox);
    let response =
        plan.fold_headers(&DigestHeaders::default(), response, |response, header| match header {
            ResponseHeader::ContentLength(n) => response.content_length(n),
            ResponseHeader::Other(name, value) => response.header(name, value),
        });
    match plan.content_length() {
        Some(length) => response.sized_body(length).unwrap(),
        None => response.body(b"").unwrap(),
    }
    let body = match plan.body() {
        crate::site::ResponseBody::Range(range) => Some(range),
        _ => None,
    };
    (outbox.unsent().to_vec(), body)
}

fn start() -> (Connection, Outbox, Vec<u8>) {
    let mut outbox = Outbox::new("doorstep");
    outbox.add_default_header("Access-Control-Allow-Origin", b"*").unwrap();
    (Connection::new(Limits::default()), outbox, Vec::new())
}

fn found(path: &[u8], stat: &Stat) -> Found {
    match path {
        b"" | b"d" => Found::Directory(*stat),
        b"a.html" | b"a.html.br" | b"d/index.html" | b"index.html" | b"a.svgz" | b"b.Z" | b"b" => {
            Found::File(*stat)
        }
        _ => Found::Nothing,
    }
}

fn sites() -> Vec<Site> {
    let types = |charset: Option<&str>| MediaTypes {
        charset: charset.map(Into::into),
        default: "x/default".into(),
        overrides: [("html".into(), "text/x-own".into())].into(),
    };
    vec![
        Site::default(),
        Site { media_types: types(Some("latin1")), ..Site::default() },
        Site { media_types: types(None), ..Site::default() },
        Site { cache_control: String::new(), ..Site::default() },
        Site { cache_control: "max-age=60".into(), cors: true, ..Site::default() },
        Site { immutable: vec!["*.html".into()], ..Site::default() },
        Site { precompressed: true, ..Site::default() },
        Site { precompressed: true, immutable: vec!["a.html".into()], ..Site::default() },
        Site { spa: Some("index.html".into()), ..Site::default() },
        Site { spa: Some("index.html".into()), precompressed: true, ..Site::default() },
        Site { max_ranges: 0, hidden: true, ..Site::default() },
    ]
}

/// Header lines that select, or make the request conditional; `ETAG` is the current tag.
const HEADERS: [&str; 30] = [
    "",
    "If-None-Match: ETAG\r\n",
    "If-None-Match: W/ETAG\r\n",
    "If-None-Match: \"other\"\r\n",
    "If-None-Match: \"other\"\r\nX: y\r\nIF-NONE-MATCH: ETAG\r\n",
    "If-None-Match: rubbish\r\n",
    "If-None-Match: *\r\n",
    "If-None-Match: \"other\"\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
    "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
    "If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n",
    "If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT\r\n",
    "If-Modified-Since: soon\r\n",
    "If-Match: ETAG\r\n",
    "If-Match: \"other\"\r\n",
    "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n",
    "Range: bytes=0-0\r\n",
    "Range: bytes=-10\r\n",
    "Range: bytes=5-\r\nRange: bytes=0-1\r\n",
    "Range: bytes=0-1, 1-5\r\n",
    "Range: bytes=0-1, 100-101\r\n",
    "Range: bytes=1000-\r\n",
    "Range: lines=1-\r\n",
    "Range: bytes=0-9\r\nIf-Range: ETAG\r\n",
    "Range: bytes=0-9\r\nIf-Range: \"other\"\r\n",
    "Range: bytes=0-9\r\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
    "Range: bytes=0-9\r\nIf-None-Match: ETAG\r\n",
    "If-Range: ETAG\r\n",
    "Accept-Encoding: br\r\n",
    "Accept-Encoding: gzip\r\nRange: bytes=1-1\r\n",
    "Accept: text/html\r\nAccept-Encoding: br\r\nIf-None-Match: ETAG\r\n",
];

#[test]
fn a_prepared_response_is_the_planned_one() {
    let etag = EntityTag::from_stat(&STAT, CHANGED + 10);
    let etag = str::from_utf8(etag.as_ref()).unwrap();
    let empty = Stat { size: 0, ..STAT };
    let (mut equal, mut whole, mut ranges, mut not_modified) = (0, 0, 0, 0);
    for site in sites() {
        for method in ["GET", "HEAD"] {
            for target in ["/a.html", "/", "/d/", "/d", "/a.svgz", "/b.Z", "/b", "/b/", "/none"] {
                for headers in HEADERS {
                    let headers = headers.replace("ETAG", etag);
                    let request = format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{headers}\r\n");
                    for stat in [&STAT, &empty] {
                        let (prepared, planned) = responses(&site, stat, &request, CHANGED + 10);
                        let Some(prepared) = prepared else { continue };
                        assert_eq!(prepared, planned, "{request}");
                        equal += 1;
                        match &prepared.0[9..12] {
                            b"200" => whole += 1,
                            b"206" => ranges += 1,
                            b"304" => not_modified += 1,
                            _ => panic!("{request}"),
                        }
                    }
                }
            }
        }
    }
    let enough = equal > 3_000 && whole > 500 && ranges > 200 && not_modified > 500;
    assert!(enough, "{equal}: {whole}, {ranges}, {not_modified}");
}

#[test]
fn while_the_time_counts_nothing_is_prepared() {
    let request = "GET /b HTTP/1.1\r\nHost: h\r\n\r\n";
    let site = Site::default();
    for (now, is_prepared) in [(0, false), (1, false), (2, false), (3, true)] {
        let (prepared, planned) = responses(&site, &STAT, request, CHANGED + now);
        assert_eq!(prepared.is_some(), is_prepared, "{now}");
        assert!(prepared.is_none_or(|prepared| prepared == planned));
    }
    // The clock was set back after the file was cached.
    assert_eq!(prepared(&site, &STAT, request, CHANGED - 1000), None);
    let future = Stat { modified: i64::MAX, ..STAT };
    assert_eq!(prepared(&site, &future, request, i64::MAX), None);
}

#[test]
fn a_request_for_a_digest_is_not_prepared() {
    for header in ["Want-Repr-Digest: sha-256=1\r\n", "want-content-digest: sha-256=1\r\n"] {
        let request = format!("GET /b HTTP/1.1\r\nHost: h\r\n{header}\r\n");
        assert_eq!(prepared(&Site::default(), &STAT, &request, CHANGED + 10), None);
    }
}

#[test]
fn a_setting_that_is_no_header_value_prepares_nothing() {
    let site = Site { cache_control: "a\r\nX: y".into(), ..Site::default() };
    assert_eq!(PreparedFile::new(&site, b"b", &STAT, Variant::default()), None);
}

#[test]
fn a_target_that_may_have_a_precompressed_file_is_resolved() {
    let site = Site { precompressed: true, ..Site::default() };
    let file = PreparedFile::new(&site, b"b", &STAT, Variant::default()).unwrap();
    for (header, is_prepared) in [("", true), ("Accept-Encoding: x\r\n", false)] {
        let request = format!("GET /b HTTP/1.1\r\nHost: h\r\n{header}\r\n");
        let mut connection = Connection::new(Limits::default());
        let Ok((_, Event::Request(head))) = connection.advance(request.as_bytes()) else {
            panic!()
        };
        let response = file.respond_to_target(&site, &head, CHANGED + 10);
        assert_eq!(response.is_some(), is_prepared);
    }
}
