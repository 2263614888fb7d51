//! Header lines as the state machine and as httparse read them: the verdict, each name, each value, and
//! where the section ends. The state machine reports its verdict on the lines before anything else about
//! the request, except Host and framing, which only complete sections can violate.

#![expect(clippy::panic, reason = "a difference is a failure of the test")]

use doorstep_core::http1::{Connection, Event, Limits, Reject};

/// Compares on `section` as the headers of a request.
pub(crate) fn head(section: &[u8]) {
    const LINE: &[u8] = b"GET / HTTP/1.0\r\n"; // requires no Host
    let bytes = [LINE, section].concat();
    let mut fields = [httparse::EMPTY_HEADER; Limits::MAX_HEADERS as usize];
    let theirs = httparse::parse_headers(section, &mut fields);
    match Connection::new(Limits::default()).advance(&bytes) {
        Ok((used, Event::Request(head))) => {
            let (size, fields) = complete(theirs, section);
            assert_eq!((used, head.size()), (LINE.len() + size, LINE.len() + size));
            let each = fields.iter().map(|field| (field.name.as_bytes(), field.value));
            assert!(head.headers().eq(each), "{}", section.escape_ascii());
            for field in fields {
                // The offset of a known header leads to its first line.
                let first = fields.iter().find(|other| other.name.eq_ignore_ascii_case(field.name));
                assert_eq!(head.header(field.name), first.map(|first| first.value));
                let upper = field.name.to_ascii_uppercase();
                assert_eq!(head.header(&upper), first.map(|first| first.value));
            }
        }
        Ok((_, Event::NeedData)) => {
            assert!(
                !matches!(theirs, Ok(httparse::Status::Complete(_))),
                "{}",
                section.escape_ascii()
            );
        }
        Ok(_) => panic!("neither a request nor the beginning of one"),
        Err(Reject::TooManyHeaders) => assert_eq!(theirs, Err(httparse::Error::TooManyHeaders)),
        Err(Reject::BadHeader) => match theirs {
            Err(error) => assert_ne!(error, httparse::Error::TooManyHeaders),
            Ok(theirs) => assert!(theirs.is_partial(), "{}", section.escape_ascii()),
        },
        Err(_) => drop(complete(theirs, section)),
    }
}

/// Compares on `section` as the trailers of a chunked body, whose lines end in CR LF.
pub(crate) fn trailers(section: &[u8]) {
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let bytes = [b"0\r\n", section].concat();
    let mut fields = [httparse::EMPTY_HEADER; Limits::MAX_HEADERS as usize];
    let theirs = httparse::parse_headers(section, &mut fields);
    let mut connection = Connection::new(Limits::default());
    connection.advance(head).expect("well-formed");
    match connection.advance(&bytes) {
        Ok((used, Event::End(trailers))) => {
            let (size, fields) = complete(theirs, section);
            assert_eq!(used, 3 + size);
            let each = fields.iter().map(|field| (field.name.as_bytes(), field.value));
            assert!(trailers.iter().eq(each), "{}", section.escape_ascii());
        }
        Ok((_, Event::NeedData)) => {
            let complete = matches!(theirs, Ok(httparse::Status::Complete(_)));
            assert!(!complete, "{}", section.escape_ascii());
        }
        Ok(_) => panic!("neither the end of the body nor the beginning of it"),
        Err(Reject::BadTrailer) => {
            let bare = section
                .iter()
                .enumerate()
                .any(|(i, &b)| b == b'\n' && (i == 0 || section[i - 1] != b'\r'));
            let complete = matches!(theirs, Ok(httparse::Status::Complete(_)));
            assert!(bare || !complete, "{}", section.escape_ascii());
        }
        Err(_) => {} // larger than allowed
    }
}

fn complete<'f, 'b>(
    theirs: httparse::Result<(usize, &'f [httparse::Header<'b>])>,
    section: &[u8],
) -> (usize, &'f [httparse::Header<'b>]) {
    match theirs {
        Ok(httparse::Status::Complete(found)) => found,
        other => panic!("{other:?}: {}", section.escape_ascii()),
    }
}
