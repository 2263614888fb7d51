//! Forms as clients send them, malformed ones, and every way to split them.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;

use super::*;
use proptest::prelude::*;

/// The parts of a form: the name of the field, that of the file, and the content.
type Parts = Vec<(String, Option<String>, String)>;

fn new(content_type: &str) -> Result<FormData, FormError> {
    FormData::new(content_type.as_bytes(), FormLimits::default())
}

/// Reads `body`, of which `sizes` bytes arrive at a time, in turn.
fn read(mut form: FormData, body: &[u8], sizes: &[usize]) -> Result<Parts, FormError> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (mut parts, mut content, mut open) = (Parts::new(), Vec::new(), false);
    let (mut start, mut end, mut turn) = (0, 0, 0);
    loop {
        let (used, event) = form.advance(&body[start..end])?;
        assert!(used <= end - start);
        match event {
            Event::NeedData => {
                start += used;
                assert!(end - start <= form.max_held());
                if end == body.len() {
                    form.finish()?;
                    unreachable!("a complete form has an end");
                }
                end = (end + sizes[turn % sizes.len()].max(1)).min(body.len());
                turn += 1;
                continue;
            }
            Event::Part(head) => {
                assert!(!open);
                open = true;
                parts.push((text(&head.name), head.filename.as_deref().map(text), String::new()));
            }
            Event::Data(data) => {
                assert!(open && !data.is_empty());
                content.extend_from_slice(data);
            }
            Event::PartEnd => {
                assert!(core::mem::take(&mut open));
                parts.last_mut().unwrap().2 = text(&core::mem::take(&mut content));
            }
            Event::End => {
                assert!(!open);
                form.finish()?;
                return Ok(parts);
            }
        }
        start += used;
    }
}

/// Reads `body` whole and byte by byte.
fn both(form: &FormData, body: &[u8]) -> Result<Parts, FormError> {
    let whole = read(form.clone(), body, &[usize::MAX]);
    assert_eq!(read(form.clone(), body, &[1]), whole, "{}", body.escape_ascii());
    whole
}

fn parts(body: &str) -> Result<Parts, FormError> {
    both(&new("multipart/form-data; boundary=XX").unwrap(), body.as_bytes())
}

fn disposition(parameters: &str) -> Result<(String, Option<String>), FormError> {
    let body = format!("--XX\r\nContent-Disposition: form-data{parameters}\r\n\r\n\r\n--XX--\r\n");
    parts(&body).map(|mut parts| {
        let (name, filename, _) = parts.remove(0);
        (name, filename)
    })
}

#[test]
fn rfc_2046_5_1_1_boundaries() {
    for content_type in [
        "multipart/form-data; boundary=a",
        "Multipart/Form-Data;BOUNDARY=\"a b\"",
        "multipart/form-data; charset=utf-8; boundary=----WebKitFormBoundaryX/+'",
        "multipart/form-data;; boundary=a;",
    ] {
        assert!(new(content_type).is_ok(), "{content_type}");
    }
    for content_type in [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"a",
        "multipart/form-data; boundary=\"a \"",
        "multipart/form-data; boundary=a; boundary=b",
        "multipart/form-data; boundary=a@b",
        "multipart/form-data; boundary",
        &format!("multipart/form-data; boundary={}", "a".repeat(71)),
    ] {
        assert_eq!(new(content_type).unwrap_err(), FormError::BadBoundary, "{content_type}");
    }
    for content_type in
        ["", "text/plain", "multipart/mixed; boundary=a", "application/x-www-form-urlencoded"]
    {
        assert_eq!(new(content_type).unwrap_err(), FormError::NotAForm, "{content_type}");
    }
}

#[test]
fn rfc_7578_a_form_with_fields_and_files() {
    let body = "--XX\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\nhello\r\n\
                --XX \t\r\ncontent-disposition:form-data;name=file;filename=a.bin\r\n\
                Content-Type: application/octet-stream\r\n\r\n\r\n--X\r\n--\r\nX\r\n\
                --XX\r\nContent-Disposition: form-data; name=\"f\"; filename=\"\"\r\n\r\n\r\n--XX--";
    let expected = vec![
        ("text".to_string(), None, "hello".to_string()),
        ("file".to_string(), Some("a.bin".to_string()), "\r\n--X\r\n--\r\nX".to_string()),
        ("f".to_string(), Some(String::new()), String::new()),
    ];
    assert_eq!(parts(body), Ok(expected.clone()));
    assert_eq!(parts(&format!("preamble\r\n--X\r\n{body}\r\nepilogue --XX\r\n")), Ok(expected));
    assert_eq!(parts("--XX--"), Ok(vec![]));
}

#[test]
fn names_of_files_as_browsers_and_curl_send_them() {
    for (parameters, filename) in [
        ("; name=f; filename=\"a b.txt\"", "a b.txt"),
        ("; name=f; filename=\"a%22b.txt\"", "a\"b.txt"),
        ("; name=f; filename=\"a\\\"b.txt\"", "a\"b.txt"),
        ("; name=f; filename=\"a\\\\b\"", "a\\b"),
        ("; name=f; filename=\"C:\\dir\\a.txt\"", "C:\\dir\\a.txt"),
        ("; name=f; filename=\"a%0D%0ab%20c\"", "a\r\nb%20c"),
        ("; name=f; filename=\"a;b=c\"", "a;b=c"),
        ("; name=f; FileName=\"ä\"", "ä"),
        ("; name=f; filename*=UTF-8''b; filename=a", "a"),
        ("; name = f ; filename = \"a\" ", "a"),
    ] {
        let expected = Ok(("f".to_string(), Some(filename.to_string())));
        assert_eq!(disposition(parameters), expected, "{parameters}");
    }
    assert_eq!(disposition("; name=f; filename*=UTF-8''b"), Ok(("f".to_string(), None)));
}

#[test]
fn malformed_parts_are_refused() {
    for parameters in [
        "",
        "; filename=a",
        "; name",
        "; name=\"f",
        "; name=f; name=g",
        "; name=\"f\"x",
        "; name=f; filename=a; filename=b",
        "; na me=f",
    ] {
        assert_eq!(disposition(parameters), Err(FormError::BadPart), "{parameters}");
    }
    for (headers, error) in [
        ("", FormError::BadPart),
        ("X: y\r\n", FormError::BadPart),
        ("Content-Disposition: attachment; name=f\r\n", FormError::BadPart),
        (
            "Content-Disposition: form-data; name=f\r\nContent-Disposition: form-data; name=f\r\n",
            FormError::BadPart,
        ),
        ("Content-Disposition: form-data; name=f\r\nno colon\r\n", FormError::BadPart),
        ("Content-Disposition: form-data; name=f\r\n folded\r\n", FormError::BadPart),
        ("Content-Disposition: form-data; name=\"a\nb\"\r\n", FormError::BadPart),
        (
            "Content-Disposition: form-data; name=f\r\nContent-Transfer-Encoding: base64\r\n",
            FormError::TransferEncoding,
        ),
    ] {
        let body = format!("--XX\r\n{headers}\r\nx\r\n--XX--\r\n");
        assert_eq!(parts(&body), Err(error), "{headers}");
    }
}

#[test]
fn a_line_with_the_boundary_and_more_is_refused() {
    let head = "--XX\r\nContent-Disposition: form-data; name=f\r\n\r\n";
    for end in ["\r\n--XXY\r\n", "\r\n--XX-\r\n", "\r\n--XX x", "\r\n--XX\n", "\r\n--XX\r\r\n"] {
        assert_eq!(parts(&format!("{head}data{end}")), Err(FormError::BadDelimiter), "{end:?}");
    }
    for end in ["", "\r", "\r\n--X", "\r\n--XX", "\r\n--XX-", "\r\n--XX \r", "\r\n--XX\r\nA: b\r\n"]
    {
        assert_eq!(parts(&format!("{head}data{end}")), Err(FormError::Truncated), "{end:?}");
    }
}

#[test]
fn sizes_and_numbers_are_bounded() {
    let limits = FormLimits { header: 100, parts: 2 };
    let form = FormData::new(b"multipart/form-data; boundary=XX", limits).unwrap();
    let part = |padding: usize| {
        let head = "Content-Disposition: form-data; name=f\r\n";
        format!("--XX\r\n{head}X: {}\r\n\r\nx\r\n", "y".repeat(padding))
    };
    let read = |body: String| both(&form, body.as_bytes()).map(|parts| parts.len());
    assert_eq!(read(part(55) + "--XX--"), Ok(1));
    assert_eq!(read(part(60) + "--XX--"), Err(FormError::TooLong));
    assert_eq!(read(part(5_000) + "--XX--"), Err(FormError::TooLong));
    assert_eq!(read("x".repeat(100) + "\r\n--XX--"), Ok(0));
    assert_eq!(read("x".repeat(101) + "\r\n--XX--"), Err(FormError::TooLong));
    assert_eq!(read("--XX".to_string() + &" ".repeat(101)), Err(FormError::TooLong));
    assert_eq!(read(part(0).repeat(2) + "--XX--"), Ok(2));
    assert_eq!(read(part(0).repeat(3) + "--XX--"), Err(FormError::TooManyParts));
}

proptest! {
    #[test]
    fn however_a_form_is_split_the_result_is_the_same(
        pieces in proptest::collection::vec(0..14_usize, 0..30),
        sizes in proptest::collection::vec(1..40_usize, 1..6),
    ) {
        const PIECES: [&str; 14] = [
            "--XX", "\r\n--XX", "\r\n--XX\r\n", "\r\n--XX--", "--", "\r\n", "\r", "\n", "-", "X", " ",
            "--XX\r\nContent-Disposition: form-data; name=f; filename=\"a\"\r\n\r\n",
            "Content-Disposition: form-data; name=f\r\n\r\n", "data",
        ];
        let body: String = pieces.iter().map(|&piece| PIECES[piece]).collect();
        let form = new("multipart/form-data; boundary=XX").unwrap();
        let whole = read(form.clone(), body.as_bytes(), &[usize::MAX]);
        prop_assert_eq!(read(form.clone(), body.as_bytes(), &[1]), whole.clone());
        prop_assert_eq!(read(form, body.as_bytes(), &sizes), whole);
    }

    #[test]
    fn every_content_is_read_as_it_was_written(
        files in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..4),
        sizes in proptest::collection::vec(1..90_usize, 1..5),
    ) {
        let boundary = "--q8fK2vBoundary";
        let mut body = Vec::new();
        for file in &files {
            body.extend(format!("--{boundary}\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n\r\n").bytes());
            body.extend(file);
            body.extend(b"\r\n");
        }
        body.extend(format!("--{boundary}--\r\n").bytes());
        let form = new(&format!("multipart/form-data; boundary={boundary}")).unwrap();
        let lossy = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        let contents: Vec<_> = read(form, &body, &sizes).unwrap().into_iter().map(|part| part.2).collect();
        prop_assert_eq!(contents, files.iter().map(lossy).collect::<Vec<_>>());
    }
}
