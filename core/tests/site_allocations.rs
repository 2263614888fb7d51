//! With a buffer that has been used before, nothing is allocated from a request to the response with
//! a file or a range of it: not by the resolver, preconditions, headers or the log line.

use doorstep_core::http1::{Connection, Event, Limits, date};
use doorstep_core::log::{self, Record};
use doorstep_core::site::{
    Action, DigestHeaders, Found, Resolver, ResponseBody, ResponseHeader, Site, Stat,
};

#[test]
fn a_plain_file_costs_no_allocation() {
    let mut site = Site::default();
    site.precompressed = true;
    let (mut scratch, mut out) = (Vec::new(), Vec::new());
    serve(&site, &mut scratch, &mut out);
    let used = allocation_counter::measure(|| serve(&site, &mut scratch, &mut out));
    assert_eq!(used.count_total, 0);
    assert!(out.starts_with(b"text/html; charset=utf-8"));
}

fn serve(site: &Site, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
    let bytes = b"GET /a%20directory/ HTTP/1.1\r\nHost: here\r\nIf-None-Match: \"x\", W/\"y\"\r\n\
                  If-Modified-Since: x\r\nRange: bytes=0-1\r\nAccept-Encoding: gzip, br;q=0.5\r\n\r\n";
    let mut connection = Connection::new(Limits::default());
    let Ok((_, Event::Request(head))) = connection.advance(bytes) else { unreachable!() };

    let mut resolver = Resolver::new(site, &head, 0, scratch);
    let plan = loop {
        match resolver.action() {
            Action::Open(b"a directory") => resolver.opened(Found::Directory(Stat::default())),
            Action::Open(b"a directory/index.html") => {
                resolver.opened(Found::File(Stat::new(5, 0)));
            }
            Action::Open(_) => resolver.opened(Found::Nothing),
            Action::List(_) => resolver.listed(false),
            Action::Respond(plan) => break plan,
        }
    };

    out.clear();
    assert_eq!(plan.status(), 206);
    plan.fold_headers(&DigestHeaders::default(), (), |(), header| match header {
        ResponseHeader::ContentLength(n) => assert_eq!(n, 2),
        ResponseHeader::Other(_, value) => out.extend_from_slice(value),
    });
    assert!(matches!(plan.body(), ResponseBody::Range(_)));
    let peer = ([127, 0, 0, 1], 50123).into();
    let mut record = Record::new(peer, head.request_line(), 200);
    record.body_bytes_sent = plan.content_length();
    record.head = Some(&head);
    log::write(out, &record, &date::Civil::utc(0));
}
