//! The page as it is written, row by row.

use super::super::tests::{entry, written};
use super::*;
use proptest::prelude::*;

fn page(clean: &[u8], entries: &[Entry]) -> String {
    written(View::default(), clean, entries)
}

#[test]
fn headings_are_links_and_tell_the_order() {
    let html = page(b"", &[entry(b"a")]);
    assert!(html.contains(
        "<th scope=\"col\" aria-sort=\"ascending\">\
         <a href=\"?sort=name&amp;order=desc\">Name</a>"
    ));
    assert!(html.contains("<th scope=\"col\"><a href=\"?sort=size&amp;order=desc\">Size</a>"));
    assert!(
        html.contains(
            "<caption>1 entry \u{b7} <a href=\"?sort=name&amp;order=asc&amp;dirs=first\">"
        )
    );
    let view = View::asked(Some(b"sort=date&order=desc&dirs=first"), [""; 0]);
    let html = written(view, b"", &[]);
    assert_eq!(html.matches("aria-sort=\"").count(), 2, "one in the style, one in the table");
    assert!(html.contains(
        "aria-sort=\"descending\"><a href=\"?sort=date&amp;order=asc&amp;dirs=first\">Modified"
    ));
    assert!(html.contains("0 entries"));
}

#[test]
fn a_breadcrumb_leads_to_each_directory_above() {
    let html = page(b"a <b>/c", &[]);
    assert!(html.contains(
        "<ol><li><a href=\"../../\">Top</a><li><a href=\"../\">a &lt;b&gt;</a>\
         <li aria-current=\"page\">c</ol>"
    ));
    assert!(!page(b"", &[]).contains("<nav"));
}

#[test]
fn what_was_left_out_is_told() {
    let mut rows = Rows::new(View::default(), 2);
    [b"c", b"a", b"b"].into_iter().for_each(|name| rows.add(entry(name)));
    let html = String::from_utf8(rows.write(b"")).unwrap();
    assert!(html.contains("<caption>The first 2 in this order, of 3 entries"));
}

#[test]
fn b_149_rows_show_size_and_date_and_the_way_up() {
    let file = Entry { size: 1_536, modified: 784_111_777, ..entry(b"a.txt") };
    let sub = page(b"sub", &[file]);
    assert!(sub.contains(
        "<tr><td><a href=\"a.txt\">a.txt</a><td><time>1994-11-06 08:49</time><td>1.5 KiB\n"
    ));
    assert!(sub.contains("<a href=\"../\">../</a>"));
    assert!(!page(b"", &[]).contains("../"));
    assert!(page(b"", &[]).contains("Nothing here."));
}

#[test]
fn b_150_directories_end_in_a_slash_and_links_in_an_at_sign() {
    let directory = Entry { kind: Kind::Directory, size: 4096, ..entry(b"d") };
    let link = Entry { link: true, ..entry(b"l") };
    let both = Entry { link: true, kind: Kind::Directory, ..entry(b"b") };
    let html = page(b"", &[directory, link, both]);
    assert!(html.contains("<a href=\"d/\">d/</a>"));
    assert!(html.contains("<a href=\"l\">l@</a>"));
    assert!(html.contains("<a href=\"b/\">b@</a>"));
    assert!(!html.contains("4 KiB"), "a directory has no size to show");
}

#[test]
fn b_151_a_name_with_a_colon_is_no_scheme() {
    let html = page(b"", &[entry(b"javascript:alert(1)"), entry(b"a b?#%.txt")]);
    assert!(html.contains("href=\"./javascript%3Aalert%281%29\""));
    assert!(html.contains("href=\"a%20b%3F%23%25.txt\""));
}

#[test]
fn b_152_names_are_escaped() {
    let html = page(b"<b>", &[entry(b"<script>&\"'")]);
    assert!(html.contains(">&lt;script&gt;&amp;&quot;'</a>"));
    assert!(!html.contains("<script") && !html.contains("<b>"));
}

#[test]
fn b_153_title_and_heading_show_the_decoded_path() {
    let html = page("a b/é".as_bytes(), &[]);
    assert!(html.contains("<title>Directory listing for /a b/é/</title>"));
    assert!(html.contains("<h1>Directory listing for /a b/é/</h1>"));
    assert!(page(b"", &[]).contains("<h1>Directory listing for /</h1>"));
}

#[test]
fn b_154_b_155_what_is_not_utf_8_is_shown_replaced_and_linked_exactly() {
    let html = page(b"d\xff", &[entry(b"u\xff.txt")]);
    assert!(html.contains("listing for /d\u{fffd}/"));
    assert!(html.contains("<a href=\"u%FF.txt\">u\u{fffd}.txt</a>"));
}

#[test]
fn b_157_the_page_is_light_or_dark_and_needs_nothing_else() {
    let html = page(b"", &[]);
    assert!(html.contains("color-scheme: light dark"));
    for foreign in ["<script", "<link", "<img", "url(", "http:", "https:"] {
        assert!(!html.contains(foreign), "{foreign}");
    }
}

#[test]
fn b_149_sizes_are_for_people() {
    for (bytes, shown) in [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (10_239, "9.9 KiB"),
        (10_240, "10 KiB"),
        (1_048_575, "1023 KiB"),
        (1_572_864, "1.5 MiB"),
        (5 << 30, "5.0 GiB"),
        (u64::MAX, "15 EiB"),
    ] {
        let mut out = Vec::new();
        size(&mut out, bytes);
        assert_eq!(out, shown.as_bytes());
    }
}

proptest! {
    #[test]
    fn b_155_every_listed_name_is_found_through_its_link(
        name in proptest::collection::vec(1..=255_u8, 1..40)
    ) {
        prop_assume!(!name.contains(&b'/') && name != b"." && name != b"..");
        let html = page(b"", &[entry(&name)]);
        let (_, link) = html.split_once("<tr><td><a href=\"").unwrap();
        let (link, _) = link.split_once('"').unwrap();
        let mut clean = Vec::new();
        crate::path::resolve(format!("/{link}").as_bytes(), &mut clean).unwrap();
        prop_assert_eq!(clean, name);
    }
}
