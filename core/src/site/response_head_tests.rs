//! The headers of each plan, as text.

use super::super::etag::EntityTag;
use super::super::media_type::MediaType;
use super::super::multipart::Piece;
use super::super::{Choice, Location, NotServed, Stat};
use super::*;
use crate::http1::{Connection, Event, Limits};
use crate::site::listing::View;

fn file() -> Representation<'static> {
    Representation {
        media_type: MediaType { essence: "text/x", charset: Some("utf-8"), encoding: None },
        size: 10,
        modified: 784_111_777,
        etag: EntityTag::from_stat(&Stat::default(), 1_000),
        cache_control: "no-cache",
        vary: "",
    }
}

fn line(mut lines: Vec<String>, header: ResponseHeader<'_>) -> Vec<String> {
    lines.push(match header {
        ResponseHeader::ContentLength(n) => format!("Content-Length = {n}"),
        ResponseHeader::Other(name, value) => format!("{name}: {}", value.escape_ascii()),
    });
    lines
}

fn headers(plan: &ResponsePlan<'_>) -> Vec<String> {
    plan.fold_headers(&DigestHeaders::default(), Vec::new(), line)
}

#[test]
fn b_068_b_172_a_file_has_its_headers_in_this_order() {
    let tag = format!("ETag: {}", file().etag.as_ref().escape_ascii());
    let plan = ResponsePlan::File(file(), &Selection::Whole);
    let expected = [
        "Content-Type: text/x; charset=utf-8",
        "Content-Length = 10",
        "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT",
        &tag,
        "Cache-Control: no-cache",
        "Accept-Ranges: bytes",
    ];
    assert_eq!(headers(&plan), expected);
    assert_eq!((plan.status(), plan.content_length()), (200, Some(10)));
    assert_eq!(plan.body(), ResponseBody::Range(ByteRange { first: 0, last: 9 }));

    let media_type = MediaType { encoding: Some("br"), charset: None, ..file().media_type };
    let coded = Representation { media_type, cache_control: "", vary: "Accept-Encoding", ..file() };
    let digests = DigestHeaders { representation: Some("r"), content: Some("c") };
    let lines =
        ResponsePlan::File(coded, &Selection::Whole).fold_headers(&digests, Vec::new(), line);
    let expected = [
        "Content-Type: text/x",
        "Content-Encoding: br",
        "Content-Length = 10",
        "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT",
        &tag,
        "Vary: Accept-Encoding",
        "Accept-Ranges: bytes",
        "Repr-Digest: r",
        "Content-Digest: c",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn b_181_a_range_has_its_place_and_several_have_a_boundary() {
    let one = Selection::One(ByteRange { first: 2, last: 4 });
    let plan = ResponsePlan::File(file(), &one);
    let lines = headers(&plan);
    assert_eq!(lines[1], "Content-Length = 3");
    assert_eq!(lines.last().unwrap(), "Content-Range: bytes 2-4/10");
    assert_eq!((plan.status(), plan.content_length()), (206, Some(3)));
    assert_eq!(plan.body(), ResponseBody::Range(ByteRange { first: 2, last: 4 }));

    let several = [ByteRange { first: 0, last: 0 }, ByteRange { first: 9, last: 9 }];
    let several = Selection::Several(several.to_vec());
    let plan = ResponsePlan::File(file(), &several);
    let lines = headers(&plan);
    let ResponseBody::Multipart(body) = plan.body() else { panic!() };
    let content_type = String::from_utf8(body.content_type()).unwrap();
    assert_eq!(lines[0], format!("Content-Type: {content_type}"));
    assert_eq!(lines[1], format!("Content-Length = {}", body.length()));
    assert_eq!((plan.status(), plan.content_length()), (206, Some(body.length())));
    assert!(!lines.iter().any(|line| line.starts_with("Content-Range")));
    let texts = body.pieces().filter(|piece| matches!(piece, Piece::Text(_)));
    assert_eq!(texts.count(), 3);
}

#[test]
fn an_empty_file_has_no_body() {
    let plan = ResponsePlan::File(Representation { size: 0, ..file() }, &Selection::Whole);
    assert_eq!((plan.content_length(), plan.body()), (Some(0), ResponseBody::Empty));
}

#[test]
fn rfc_9110_15_4_5_a_304_has_the_validators_and_no_length() {
    let plan = ResponsePlan::NotModified(Representation { vary: "Accept", ..file() });
    let names: Vec<_> = headers(&plan).iter().map(|line| line[..4].to_owned()).collect();
    assert_eq!(names, ["ETag", "Cach", "Vary"]);
    assert_eq!((plan.status(), plan.content_length()), (304, None));
    assert_eq!(plan.body(), ResponseBody::Empty);
}

#[test]
fn every_other_plan() {
    let plan = ResponsePlan::RangeNotSatisfiable(10);
    assert_eq!(headers(&plan), ["Accept-Ranges: bytes", "Content-Range: bytes */10"]);
    assert_eq!((plan.content_length(), plan.body()), (None, ResponseBody::ErrorPage));

    let path = "x".repeat(500);
    for (suffix, shown) in [("", ""), ("?", ""), ("?#f", "#f"), ("?a#f", "?a#f")] {
        let location =
            Location { prefix: b"", path: path.as_bytes(), query_and_fragment: suffix.as_bytes() };
        let plan = ResponsePlan::Redirect(location);
        assert_eq!(headers(&plan), [format!("Location: {path}/{shown}")]);
        assert_eq!((plan.content_length(), plan.body()), (Some(0), ResponseBody::Empty));
    }

    let plan = ResponsePlan::Listing(b"", View::default());
    let (policy, headers_of_page) = (headers(&plan).pop().unwrap(), headers(&plan));
    assert_eq!(headers_of_page[..2], ["Content-Type: text/html; charset=utf-8", "Vary: Accept"]);
    assert!(policy.starts_with("Content-Security-Policy: default-src \\'none\\'; "), "{policy}");
    assert_eq!((plan.content_length(), plan.body()), (None, ResponseBody::Listing));
    let json = View::from_query(None, ["application/json"]);
    let json = ResponsePlan::Listing(b"", json);
    assert_eq!(headers(&json), ["Content-Type: application/json", "Vary: Accept"]);

    let plan = ResponsePlan::ErrorPage(NotServed::NotFound, Choice::ByAccept);
    assert_eq!(headers(&plan), ["Vary: Accept"]);
    let plan = ResponsePlan::ErrorPage(NotServed::NotFound, Choice::None);
    assert_eq!((headers(&plan), plan.reason()), (Vec::new(), Some("File not found")));
    assert_eq!((plan.content_length(), plan.body()), (None, ResponseBody::ErrorPage));

    let plan = ResponsePlan::CustomErrorPage(NotServed::NotFound, file().media_type, 7);
    assert_eq!(headers(&plan), ["Content-Type: text/x; charset=utf-8", "Vary: Accept"]);
    assert_eq!((plan.reason(), plan.content_length()), (Some("File not found"), Some(7)));
    assert_eq!(plan.body(), ResponseBody::Range(ByteRange { first: 0, last: 6 }));
}

#[test]
fn b_170_each_method_has_its_plan() {
    let preflight = "Origin: http://a\r\nAccess-Control-Request-Method: GET\r\n";
    let allow = format!("Allow: {}", MethodPlan::ALLOW);
    let open = Site { cors: true, ..Site::default() };
    for (site, method, headers, status, lines) in [
        (&Site::default(), "GET", "", None, 0),
        (&Site::default(), "HEAD", "", None, 0),
        (&Site::default(), "OPTIONS", preflight, Some(204), 1),
        (&open, "OPTIONS", "", Some(204), 1),
        (&open, "OPTIONS", preflight, Some(204), 4),
        (&open, "POST", preflight, Some(405), 1),
        (&open, "PUT", "", Some(405), 1),
        (&open, "PATCH", "", Some(405), 1),
        (&open, "DELETE", "", Some(405), 1),
        (&open, "get", "", Some(501), 0),
        (&open, "PROPFIND", "", Some(501), 0),
    ] {
        let request = format!("{method} / HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
        let mut connection = Connection::new(Limits::default());
        let Ok((_, Event::Request(head))) = connection.advance(request.as_bytes()) else {
            panic!("{method}")
        };
        let plan = MethodPlan::new(site, &head);
        assert_eq!(plan.status(), status, "{method}");
        let sent = plan.fold_headers(Vec::new(), line);
        assert_eq!(sent.len(), lines, "{method}: {sent:?}");
        assert!(lines == 0 || sent[0] == allow, "{method}");
    }
}
