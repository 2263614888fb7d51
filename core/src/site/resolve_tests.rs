//! The resolver on a small tree of files.

use super::{Action, Found, Resolver, Stat};
use crate::http1::{Connection, Event, Limits};
use crate::path::PathError;
use crate::site::range::{ByteRange, Selection};
use crate::site::{Choice, DigestHeaders, NotServed, ResponseHeader, ResponsePlan, Site};

const NOW: i64 = 1_700_000_000;
const MODIFIED: i64 = 784_111_777;

const FILE: Found = Found::File(Stat {
    size: 9,
    modified: MODIFIED,
    modified_nanos: 0,
    device: 1,
    inode: 2,
    changed: (MODIFIED, 0),
});
/// A precompressed file with this time of modification.
const fn precompressed(size: u64, modified: i64) -> Found {
    let stat =
        Stat { size, modified, modified_nanos: 0, device: 1, inode: 9, changed: (modified, 0) };
    Found::File(stat)
}
const FUTURE: Found = Found::File(Stat {
    size: 1,
    modified: NOW + 3600,
    modified_nanos: 0,
    device: 1,
    inode: 3,
    changed: (NOW, 0),
});

fn directory() -> Found {
    Found::Directory(Stat::default())
}

fn found(path: &[u8]) -> Found {
    match path {
        b"a.txt" | b"dir/b.htm" | b"site/index.html" | b"old/index.htm" => FILE,
        b".git/config" | b".well-known/x" | b".well-known/.y" => FILE,
        b"future" => FUTURE,
        b"a.txt.br" | b"site/index.html.gz" | b"pic.svgz.br" => precompressed(4, MODIFIED),
        b"a.txt.gz" => precompressed(5, MODIFIED + 60),
        b"pic.svgz" | b"stale" => FILE,
        b"stale.br" => precompressed(4, MODIFIED - 1),
        b"" | b"dir" | b"site" | b"old" | b"odd" | b"odd/index.html" | b"locked" => directory(),
        b"secret" | b".git" | b"barred" => directory(),
        b"private.txt" | b"barred/index.html" => Found::Inaccessible,
        b"locked/index.html" | b"locked/index.htm" => Found::Inaccessible,
        b"fifo" => Found::Other,
        _ => Found::Nothing,
    }
}

/// The result, without borrows.
#[derive(Debug, PartialEq)]
enum Resolved {
    ErrorPage(NotServed),
    CustomErrorPage(NotServed, String, u64),
    Redirect(String),
    NotModified,
    RangeNotSatisfiable(u64),
    File(String, u64, i64),
    Part(u64, u64),
    /// Coding, size, and whether there is a `Vary` header.
    Precompressed(&'static str, u64, bool),
    Listing(String),
    Archive(String, &'static str),
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What `show` makes of the plan for `GET target` with these header lines, and the paths that were
/// opened or listed.
fn planned<T>(
    site: &Site,
    target: &str,
    fields: &str,
    show: impl FnOnce(ResponsePlan<'_>) -> T,
) -> (T, Vec<String>) {
    let bytes = format!("GET {target} HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
    let mut connection = Connection::new(Limits::default());
    let Ok((_, Event::Request(head))) = connection.advance(bytes.as_bytes()) else {
        unreachable!("{target} is not a request")
    };
    let mut scratch = b"left over".to_vec();
    let mut resolver = Resolver::new(site, &head, NOW, &mut scratch);
    let mut asked = Vec::new();
    let plan = loop {
        match resolver.action() {
            Action::Open(path) => {
                asked.push(text(path));
                resolver.opened(found(path));
            }
            Action::List(path) => {
                asked.push(format!("list {}", text(path)));
                resolver.listed(!path.starts_with(b"secret") && !path.starts_with(b"locked"));
            }
            Action::Respond(plan) => break show(plan),
        }
    };
    (plan, asked)
}

/// The result for `GET target` with these header lines, and the paths that were opened or listed.
fn resolve(site: &Site, target: &str, fields: &str) -> (Resolved, Vec<String>) {
    planned(site, target, fields, |plan| match plan {
        ResponsePlan::ErrorPage(error, _) => Resolved::ErrorPage(error),
        ResponsePlan::CustomErrorPage(error, media_type, size) => {
            Resolved::CustomErrorPage(error, media_type.essence.into(), size)
        }
        ResponsePlan::Redirect(location) => {
            let mut value = Vec::new();
            location.write(&mut value);
            Resolved::Redirect(text(&value))
        }
        ResponsePlan::NotModified(_) => Resolved::NotModified,
        ResponsePlan::RangeNotSatisfiable(size) => Resolved::RangeNotSatisfiable(size),
        ResponsePlan::File(_, Selection::One(ByteRange { first, last })) => {
            Resolved::Part(*first, *last)
        }
        ResponsePlan::File(file, _) => match file.media_type.encoding {
            Some(encoding) => Resolved::Precompressed(encoding, file.size, !file.vary.is_empty()),
            None => Resolved::File(file.media_type.essence.into(), file.size, file.modified),
        },
        ResponsePlan::Listing(path, _) => Resolved::Listing(text(path)),
        ResponsePlan::Archive(path, format) => Resolved::Archive(text(path), format.name()),
    })
}

/// The `Vary` header of the response to `GET target` with this Accept; empty if it has none.
fn vary(site: &Site, target: &str, accept: &str) -> String {
    let no_digests = DigestHeaders::default();
    let plan = planned(site, target, &format!("Accept: {accept}\r\n"), |plan| {
        plan.fold_headers(&no_digests, String::new(), |vary, header| match header {
            ResponseHeader::Other("Vary", value) => text(value),
            _ => vary,
        })
    });
    plan.0
}

fn get(target: &str) -> Resolved {
    resolve(&Site::default(), target, "").0
}

fn file(essence: &str) -> Resolved {
    Resolved::File(essence.into(), 9, MODIFIED)
}

#[test]
fn b_091_nul_in_the_path_is_a_bad_request() {
    assert_eq!(get("/a%00.txt"), Resolved::ErrorPage(NotServed::Path(PathError::Nul)));
    let error = NotServed::Path(PathError::Nul);
    assert_eq!((error.status(), error.reason()), (400, "Bad Request"));
}

#[test]
fn b_120_query_and_fragment_do_not_count() {
    for target in ["/a.txt?x", "/a.txt#x", "/a.txt?x#y", "/a.txt#x?y", "/a.txt?/../dir/"] {
        assert_eq!(get(target), file("text/plain"), "{target}");
    }
}

#[test]
fn b_121_an_escaped_slash_at_the_end_is_a_slash() {
    assert_eq!(get("/a.txt%2f"), Resolved::ErrorPage(NotServed::NotADirectory));
    assert_eq!(get("/dir%2F"), Resolved::Listing("dir".into()));
}

#[test]
fn b_125_no_path_above_the_root_is_opened() {
    let (out, asked) = resolve(&Site::default(), "/../..%2f%2e%2e/a.txt", "");
    assert_eq!((out, asked), (file("text/plain"), vec!["a.txt".to_owned()]));
}

#[test]
fn b_127_a_directory_followed_by_a_dot_is_redirected() {
    assert_eq!(get("/dir/."), Resolved::Redirect("/dir/./".into()));
    assert_eq!(get("/dir/x/.."), Resolved::Redirect("/dir/x/../".into()));
}

#[test]
fn b_128_b_129_a_file_is_not_a_directory() {
    for target in ["/a.txt/.", "/a.txt/", "/a.txt/x/.."] {
        assert_eq!(get(target), Resolved::ErrorPage(NotServed::NotADirectory), "{target}");
    }
}

#[test]
fn b_131_hidden_names_are_not_served_unless_asked_for() {
    for target in ["/.git/config", "/.git", "/%2egit/", "/.well-known/.y"] {
        let (out, asked) = resolve(&Site::default(), target, "");
        assert_eq!(out, Resolved::ErrorPage(NotServed::Hidden), "{target}");
        assert!(asked.is_empty(), "no question about {target}");
    }
    assert_eq!(get("/.well-known/x"), file("application/octet-stream"));
    let open = Site { hidden: true, ..Site::default() };
    assert_eq!(resolve(&open, "/.git/config", "").0, file("application/octet-stream"));
    assert_eq!((NotServed::Hidden.status(), NotServed::Hidden.reason()), (404, "File not found"));
    assert!(NotServed::Hidden.log_message().is_some());
}

#[test]
fn b_131_what_is_served_is_what_is_listed() {
    let site = Site::default();
    assert!(site.lists_entry(b"", b"a") && site.lists_entry(b"", b".well-known"));
    assert!(!site.lists_entry(b"", b".git") && !site.lists_entry(b"dir", b".well-known"));
    assert!(Site { hidden: true, ..site }.lists_entry(b"dir", b".git"));
}

#[test]
fn b_140_b_141_a_directory_without_its_slash_is_redirected() {
    assert_eq!(get("/dir"), Resolved::Redirect("/dir/".into()));
    assert_eq!(get("//dir"), Resolved::Redirect("/dir/".into()));
    assert_eq!(get("http://h/dir"), Resolved::Redirect("/dir/".into()));
}

#[test]
fn b_142_the_location_keeps_query_and_fragment_but_no_empty_query() {
    assert_eq!(get("/dir?"), Resolved::Redirect("/dir/".into()));
    assert_eq!(get("/dir?a#f"), Resolved::Redirect("/dir/?a#f".into()));
    assert_eq!(get("/dir#f?q"), Resolved::Redirect("/dir/#f?q".into()));
    assert_eq!(get("/dir?#f"), Resolved::Redirect("/dir/#f".into()));
    assert_eq!(get("/dir??"), Resolved::Redirect("/dir/??".into()));
}

#[test]
fn b_143_the_location_is_not_decoded() {
    assert_eq!(get("/x%0d%0a/../%64ir"), Resolved::Redirect("/x%0d%0a/../%64ir/".into()));
}

#[test]
fn b_143_a_backslash_is_not_read_as_a_slash_of_the_location() {
    for (target, location) in [
        (r"/\evil.com/..", "/%5Cevil.com/../"),
        (r"/\\evil.com/../dir?a\b#c\d", r"/%5C%5Cevil.com/../dir/?a\b#c\d"),
        (r"//\evil.com/..?", "/%5Cevil.com/../"),
        (r"http://h/\evil.com/../dir", "/%5Cevil.com/../dir/"),
        (r"/x\y/../dir", "/x%5Cy/../dir/"),
        ("/%5cevil.com/../dir", "/%5cevil.com/../dir/"),
    ] {
        assert_eq!(get(target), Resolved::Redirect(location.into()), "{target}");
    }
}

#[test]
fn b_144_no_redirect_after_a_slash_in_any_spelling() {
    for target in ["/dir/", "/dir%2f", "/dir%2F"] {
        assert_eq!(get(target), Resolved::Listing("dir".into()), "{target}");
    }
}

#[test]
fn b_145_b_146_the_first_index_that_is_a_file_is_served() {
    assert_eq!(
        resolve(&Site::default(), "/site/", ""),
        (file("text/html"), vec!["site".into(), "site/index.html".into()],)
    );
    assert_eq!(get("/old/"), file("text/html"));
    assert_eq!(get("/odd/"), Resolved::Listing("odd".into()), "a directory called index.html");
    let own = Site { index: vec!["b.htm".into()], ..Site::default() };
    assert_eq!(resolve(&own, "/dir/", "").0, file("text/html"));
}

#[test]
fn b_147_a_directory_without_an_index_is_listed() {
    assert_eq!(
        resolve(&Site::default(), "/", ""),
        (
            Resolved::Listing(String::new()),
            vec![String::new(), "index.html".into(), "index.htm".into(), "list ".into()],
        )
    );
    for target in ["/secret/", "/locked/"] {
        assert_eq!(get(target), Resolved::ErrorPage(NotServed::UnreadableDirectory), "{target}");
    }
    let error = NotServed::UnreadableDirectory;
    assert_eq!((error.status(), error.reason()), (404, "No permission to list directory"));
}

#[test]
fn b_145_b_171_an_inaccessible_index_page_is_not_replaced_by_a_listing() {
    assert_eq!(get("/barred/"), Resolved::ErrorPage(NotServed::NotFound));
}

#[test]
fn b_158_a_listing_has_no_conditions() {
    let since = "If-Modified-Since: Fri, 31 Dec 9999 23:59:59 GMT\r\n";
    assert_eq!(resolve(&Site::default(), "/dir/", since).0, Resolved::Listing("dir".into()));
    assert_eq!(resolve(&Site::default(), "/dir", since).0, Resolved::Redirect("/dir/".into()));
}

#[test]
fn b_171_inaccessible_files_are_not_found() {
    for target in ["/nothing", "/private.txt", "/a.txt+", "/nothing/"] {
        assert_eq!(get(target), Resolved::ErrorPage(NotServed::NotFound), "{target}");
    }
    let long = format!("/{}", "x".repeat(5000));
    assert_eq!(get(&long), Resolved::ErrorPage(NotServed::Path(PathError::TooLong)));
    for error in [NotServed::NotFound, NotServed::Path(PathError::TooLong)] {
        assert_eq!((error.status(), error.reason()), (404, "File not found"));
    }
}

#[test]
fn b_172_a_file_has_type_size_and_date() {
    assert_eq!(get("/a.txt"), file("text/plain"));
}

#[test]
fn b_175_special_files_are_not_found() {
    assert_eq!(get("/fifo"), Resolved::ErrorPage(NotServed::SpecialFile));
    assert_eq!(
        (NotServed::SpecialFile.status(), NotServed::SpecialFile.reason()),
        (404, "File not found")
    );
}

#[test]
fn b_183_no_date_is_in_the_future() {
    assert_eq!(get("/future"), Resolved::File("application/octet-stream".into(), 1, NOW));
}

#[test]
fn calls_out_of_order_change_nothing() {
    let mut connection = Connection::new(Limits::default());
    let bytes = b"GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n";
    let Ok((_, Event::Request(head))) = connection.advance(bytes) else { unreachable!() };
    let (site, mut scratch) = (Site::default(), Vec::new());
    let mut resolver = Resolver::new(&site, &head, NOW, &mut scratch);
    resolver.listed(true);
    assert_eq!(resolver.action(), Action::Open(b"a.txt"));
    resolver.opened(Found::Nothing);
    resolver.opened(FILE);
    resolver.listed(true);
    let not_found = ResponsePlan::ErrorPage(NotServed::NotFound, Choice::ByAccept);
    assert_eq!(resolver.action(), Action::Respond(not_found));
}

#[path = "resolve_variant_tests.rs"]
mod variants;

#[test]
fn b_147_a_site_without_listings_still_has_index_pages() {
    let site = Site { listing: false, ..Site::default() };
    let (out, asked) = resolve(&site, "/dir/", "");
    assert_eq!(out, Resolved::ErrorPage(NotServed::ListingDisabled));
    assert_eq!(asked, ["dir", "dir/index.html", "dir/index.htm"], "and it is not read");
    assert_eq!(resolve(&site, "/site/", "").0, file("text/html"));
    assert_eq!(
        (NotServed::ListingDisabled.status(), NotServed::ListingDisabled.reason()),
        (404, "File not found")
    );
}

#[test]
fn b_145_the_site_names_its_index_pages() {
    let site = Site { index: vec!["b.htm".into(), "index.html".into()], ..Site::default() };
    assert_eq!(resolve(&site, "/dir/", "").0, file("text/html"));
    assert_eq!(resolve(&site, "/site/", "").1, ["site", "site/b.htm", "site/index.html"]);
    let none = Site { index: vec![], ..Site::default() };
    assert_eq!(resolve(&none, "/site/", "").0, Resolved::Listing("site".into()));
}

#[test]
fn b_171_the_spa_page_is_served_where_nothing_is_and_html_is_wanted() {
    let site = Site { spa: Some("site/index.html".into()), ..Site::default() };
    let html = "Accept: application/xhtml+xml, Text/HTML;q=0.9, */*;q=0.8\r\n";
    let missing = Resolved::ErrorPage(NotServed::NotFound);
    for target in ["/", "/users/7", "/users/", "/a.txt/x", "/v1.2/about"] {
        let expected =
            if target == "/" { Resolved::Listing(String::new()) } else { file("text/html") };
        assert_eq!(resolve(&site, target, html).0, expected, "{target}");
    }
    for target in ["/missing.js", "/users/7.png", "/private.txt"] {
        assert_eq!(resolve(&site, target, html).0, missing, "{target}");
    }
    for accept in ["", "Accept: */*\r\n", "Accept: text/*\r\n", "Accept: text/htmlx\r\n"] {
        assert_eq!(resolve(&site, "/users/7", accept).0, missing, "{accept}");
    }
    assert_eq!(resolve(&site, "/.git/x", html).0, Resolved::ErrorPage(NotServed::Hidden));
    assert_eq!(resolve(&site, "/a.txt", html).0, file("text/plain"));
    assert_eq!(resolve(&Site::default(), "/users/7", html).0, missing);
    let gone = Site { spa: Some("gone.html".into()), ..Site::default() };
    assert_eq!(
        resolve(&gone, "/users/7", html),
        (missing, vec!["users/7".into(), "gone.html".into(), "404.html".into()])
    );
}

#[test]
fn rfc_9110_12_4_2_html_of_weight_zero_is_not_wanted() {
    let site = Site { spa: Some("site/index.html".into()), ..Site::default() };
    let custom = Site { not_found_page: Some("site/index.html".into()), ..Site::default() };
    for (accept, wanted) in [
        ("text/html", true),
        ("text/html;q=0.001", true),
        ("text/html;level=1", true),
        ("text/html;level=1;q=0.5", true),
        ("TEXT/HTML ;Q=1.000", true),
        ("*/*;q=0, text/html", true),
        ("text/*;q=0, text/html", true),
        ("text/html;q=0, text/html", true),
        ("text/html;q=0", false),
        ("text/html;Q=0.000", false),
        ("text/html ; q=0", false),
        ("text/html;level=1;q=0", false),
        ("text/html;q=0, */*", false),
        ("application/json, text/html;q=0.0", false),
        ("text/html;q=2", false),
        ("text/html;q=1.001", false),
        ("text/html;q=-1", false),
        ("text/html;q=x", false),
        ("text/html;q=", false),
        ("text/html;q", false),
        ("text/html;q = 0", false),
        ("text/*", false),
        ("*/*", false),
        ("text/plain;a=text/html", false),
    ] {
        let accept = format!("Accept: {accept}\r\n");
        let is_spa = resolve(&site, "/users/7", &accept).0 == file("text/html");
        assert_eq!(is_spa, wanted, "{accept}");
        let plan = resolve(&custom, "/users/7", &accept).0;
        assert_eq!(matches!(plan, Resolved::CustomErrorPage(..)), wanted, "{accept}");
    }
}

#[test]
fn b_171_a_404_can_have_a_page_of_the_site() {
    let site = Site { not_found_page: Some("site/index.html".into()), ..Site::default() };
    let html = "Accept: text/html\r\nRange: bytes=0-1\r\nIf-None-Match: *\r\n";
    let own = |error| Resolved::CustomErrorPage(error, "text/html".into(), 9);
    assert_eq!(resolve(&site, "/x.png", html).0, own(NotServed::NotFound));
    assert_eq!(
        resolve(&site, "/.git/config", html),
        (own(NotServed::Hidden), vec!["site/index.html".into()])
    );
    assert_eq!(resolve(&site, "/secret/", html).0, own(NotServed::UnreadableDirectory));
    assert_eq!(
        resolve(&site, "/x.png", "Accept: */*\r\n").0,
        Resolved::ErrorPage(NotServed::NotFound)
    );
    assert_eq!(
        resolve(&site, "/a%00", html).0,
        Resolved::ErrorPage(NotServed::Path(PathError::Nul))
    );
    let none = Site { not_found_page: None, ..Site::default() };
    assert_eq!(
        resolve(&none, "/x.png", html),
        (Resolved::ErrorPage(NotServed::NotFound), vec!["x.png".into()])
    );
}

#[test]
fn rfc_9110_12_5_5_a_404_varies_where_accept_chooses_between_it_and_a_page() {
    let page = || Some("site/index.html".to_owned());
    let neither = Site { not_found_page: None, ..Site::default() };
    let spa = Site { spa: page(), ..neither.clone() };
    let own_page = Site { not_found_page: page(), ..Site::default() };
    let both = Site { spa: page(), ..own_page.clone() };
    let missing = Some("missing.html".to_owned());
    let without_pages = Site { spa: missing.clone(), not_found_page: missing, ..Site::default() };
    for (target, expected) in [
        // With neither, the application, the page, both, and both whose files are missing.
        ("/users/7", ["", "Accept", "Accept", "Accept", "Accept"]),
        ("/x.png", ["", "", "Accept", "Accept", "Accept"]),
        ("/.git/config", ["", "", "Accept", "Accept", "Accept"]),
        ("/a.txt/", ["", "", "Accept", "Accept", "Accept"]),
        ("/private.txt", ["", "", "Accept", "Accept", "Accept"]),
        ("/secret/", ["", "", "Accept", "Accept", "Accept"]),
        // Neither of them is a 404.
        ("/a%00", [""; 5]),
        ("/a.txt", [""; 5]),
        ("/site", [""; 5]),
    ] {
        let sites = [&neither, &spa, &own_page, &both, &without_pages];
        for (site, expected) in sites.into_iter().zip(expected) {
            for accept in ["text/html", "*/*"] {
                assert_eq!(vary(site, target, accept), expected, "{target} {accept} {site:?}");
            }
        }
    }
    let all = Site { precompressed: true, ..both };
    assert_eq!(vary(&all, "/users/7", "text/html"), "Accept, Accept-Encoding");
    assert_eq!(vary(&all, "/users/7", "*/*"), "Accept");
}

#[test]
fn an_archive_is_sent_only_where_a_listing_would_be() {
    let site = Site { archive: true, ..Site::default() };
    let resolved = |site: &Site, target| resolve(site, target, "").0;
    let archive = |path: &str, format| Resolved::Archive(path.into(), format);
    assert_eq!(resolved(&site, "/dir/?archive=tar.gz"), archive("dir", "tar.gz"));
    assert_eq!(resolved(&site, "/dir/?sort=size&archive=zip"), archive("dir", "zip"));
    assert_eq!(
        resolved(&site, "/dir/?archive=rar"),
        Resolved::ErrorPage(NotServed::UnknownArchive)
    );
    assert_eq!(resolved(&site, "/dir?archive=tar"), Resolved::Redirect("/dir/?archive=tar".into()));
    // An index page, a file and an error are as without the query.
    for target in ["/site/", "/a.txt", "/barred/", "/nothing/", "/.git/"] {
        let with_query = resolve(&site, &format!("{target}?archive=zip"), "").0;
        assert_eq!(with_query, resolved(&site, target), "{target}");
    }
    let off = Site { listing: false, ..site };
    assert_eq!(
        resolved(&off, "/dir/?archive=zip"),
        Resolved::ErrorPage(NotServed::ListingDisabled)
    );
    let library = Site::default();
    assert_eq!(resolved(&library, "/dir/?archive=zip"), Resolved::Listing("dir".into()));
}
