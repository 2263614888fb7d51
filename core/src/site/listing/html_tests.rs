//! The HTML of the listing.

use super::super::tests::{entry, written};
use super::*;
use crate::site::Site;
use proptest::prelude::*;

fn page(clean: &[u8], entries: &[Entry]) -> String {
    written(View::default(), clean, entries)
}

/// The button that asks for `query`, in the order of its names.
fn button(query: &str, text: &str) -> String {
    let input = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap();
        format!("<input type=\"hidden\" name=\"{name}\" value=\"{value}\">")
    };
    let inputs: String = query.split('&').map(input).collect();
    format!("<form>{inputs}<button>{text}</button></form>")
}

#[test]
fn headings_are_buttons_and_show_the_order() {
    let html = page(b"", &[entry(b"a")]);
    let holds = |html: &str, what: String| assert!(html.contains(&what), "{what} in {html}");
    let name = button("sort=name&order=desc", "Name");
    holds(&html, format!("<th scope=\"col\" aria-sort=\"ascending\">{name}"));
    holds(&html, format!("<th scope=\"col\">{}", button("sort=size&order=desc", "Size")));
    let first = button("sort=name&order=asc&dirs=first", "Directories first");
    holds(&html, format!("<caption>1 entry {first}</caption>"));

    let view = View::from_query(Some(b"sort=date&order=desc&dirs=first"), [""; 0]);
    let html = written(view, b"", &[]);
    assert_eq!(html.matches("aria-sort=\"").count(), 2, "one in the style, one in the table");
    let date = button("sort=date&order=asc&dirs=first", "Modified (UTC)");
    holds(&html, format!("aria-sort=\"descending\">{date}"));
    let among = button("sort=date&order=desc", "Directories among files");
    holds(&html, format!("0 entries {among}"));
}

#[test]
fn r_19_r_20_the_only_links_are_the_entries_and_the_parent() {
    let entries = [entry(b"a"), Entry { kind: Kind::Directory, ..entry(b"d") }];
    for query in ["", "sort=size&order=desc&dirs=first"] {
        let view = View::from_query(Some(query.as_bytes()), [""; 0]);
        for (clean, expected) in [
            (&b""[..], &["a", "d/"][..]),
            (b"one", &["../", "a", "d/"]),
            (b"one/two <b>/three", &["../", "a", "d/"]),
        ] {
            let html = written(view, clean, &entries);
            let found = ["href=", "src=", "action=", "url(", "http-equiv"].map(|attribute| {
                let found = html.split(attribute).skip(1);
                found.filter_map(|rest| rest.split('"').nth(1)).collect::<Vec<_>>()
            });
            let mut links = found[0].clone();
            links.sort_unstable();
            assert_eq!(links, expected, "{query}");
            assert!(found[1..].iter().all(Vec::is_empty), "{query}: {found:?}");
            let below = html.split_once("<main>").unwrap().1;
            assert_eq!(below.matches("../").count(), expected.len().saturating_sub(2) * 2);
        }
    }
}

/// The page of a listing with a filter for `filter`, which the entries match.
fn filtered(query: &str, filter: &str, entries: &[Entry]) -> String {
    let view = View::from_query(Some(query.as_bytes()), [""; 0]);
    let mut rows = Rows::new(view, 1_000);
    entries.iter().cloned().for_each(|entry| rows.add(entry));
    let filter = Filter::from_query(Some(format!("filter={filter}").as_bytes()));
    let site = Site::default();
    let mut page = Page::new(&site, b"d");
    page.filter = filter.as_ref();
    String::from_utf8(rows.write(&page)).unwrap()
}

#[test]
fn a_filter_is_shown_kept_by_the_order_and_removed_by_a_button() {
    let html = filtered("sort=size", "A+%22%26", &[entry(b"a \"&.txt")]);
    let shown = "\u{201c}A &quot;&amp;\u{201d}";
    for expected in [
        format!("<title>Directory listing for /d/: names with {shown}</title>"),
        "<h1>Directory listing for /d/</h1>".into(),
        format!("<caption>1 entry with {shown} in the name <form>"),
        "<form role=\"search\"><input type=\"hidden\" name=\"sort\" value=\"size\">\
         <input type=\"hidden\" name=\"order\" value=\"asc\"><label>Filter <input type=\"search\" \
         name=\"filter\" maxlength=\"255\" autocapitalize=\"none\" spellcheck=\"false\" \
         value=\"A &quot;&amp;\"></label><button>Apply</button></form>"
            .into(),
        format!("\n{}\n", button("sort=size&order=asc", "Clear filter")),
        button("sort=name&order=asc&filter=FILTER", "Name").replace("FILTER", "A &quot;&amp;"),
    ] {
        assert!(html.contains(&expected), "{expected} in {html}");
    }
    let none = filtered("", "b", &[]);
    assert!(none.contains("<p>No name here contains \u{201c}b\u{201d}.\n") && none.contains("../"));
    assert!(
        none.contains("<form role=\"search\"><label>"),
        "the default order is not in the query"
    );

    let unfiltered = page(b"", &[entry(b"a")]);
    assert!(unfiltered.contains("name=\"filter\"") && !unfiltered.contains("Clear filter"));
    assert!(!page(b"", &[]).contains("name=\"filter\""), "there is nothing to filter");
}

#[test]
fn ages_are_in_the_title_of_the_date_if_the_time_is_known() {
    let file = Entry { modified: 784_111_777, ..entry(b"a.txt") };
    let mut rows = Rows::new(View::default(), 1);
    rows.add(file);
    let (site, day) = (Site::default(), 86_400);
    let page = Page { now: Some(784_111_777 + 3 * day), ..Page::new(&site, b"") };
    let html = String::from_utf8(rows.write(&page)).unwrap();
    assert!(html.contains("a.txt</a><td title=\"3 days ago\">1994-11-06 08:49<td>0\n"));
}

#[test]
fn a_readme_is_text_below_the_entries() {
    let show = |text: &[u8], is_complete| {
        let readme = Readme { name: b"README.md", text, is_complete };
        let site = Site::default();
        let page = Page { readme: Some(readme), ..Page::new(&site, b"") };
        let rows = Rows::new(View::default(), 1);
        String::from_utf8(rows.write(&page)).unwrap().split_once("</table>").unwrap().1.to_owned()
    };
    let html = show(b"# <script>\n\n\tA & B \x1b[1m\xff", true);
    let shown = "# &lt;script&gt;\n\n\tA &amp; B \u{241b}[1m\u{fffd}";
    assert!(
        html.contains(&format!("<section>\n<h2>README.md</h2>\n<pre>\n{shown}</pre>\n</section>"))
    );
    let cut = show(&[b'x'; 65_536], false);
    assert!(cut.contains("</pre>\n<p>Only its first 65,536 bytes are shown.\n</section>"), "{cut}");
}

#[test]
fn names_cannot_be_mistaken_for_others() {
    let html = page("\u{202e}a/ש".as_bytes(), &[entry("\u{202e}gpj.exe".as_bytes())]);
    assert!(html.contains("<title>Directory listing for /\u{fffd}a/ש/</title>"));
    assert!(html.contains("<h1>Directory listing for /\u{fffd}a/<bdi dir=\"ltr\">ש</bdi>/</h1>"));
    assert!(html.contains("\"%E2%80%AEgpj.exe\">\u{fffd}gpj.exe</a>"));
    let html = page(b"", &[entry(b"a\n\"b\".txt")]);
    assert!(html.contains("<a href=\"a%0A%22b%22.txt\">a\u{240a}&quot;b&quot;.txt</a>"));
}

#[test]
fn an_incomplete_listing_has_the_total() {
    let mut rows = Rows::new(View::default(), 2);
    [b"c", b"a", b"b"].into_iter().for_each(|name| rows.add(entry(name)));
    let html = String::from_utf8(rows.write(&Page::new(&Site::default(), b""))).unwrap();
    assert!(html.contains("<caption>The first 2 in this order, of 3 entries"));
}

#[test]
fn b_149_rows_show_size_and_date_and_the_parent() {
    let file = Entry { size: 1_536, modified: 784_111_777, ..entry(b"a.txt") };
    let sub = page(b"sub", &[file]);
    assert!(sub.contains(
        "<tr><td><a href=\"a.txt\">a.txt</a><td>1994-11-06 08:49\
         <td title=\"1,536 bytes\">1.5K\n"
    ));
    assert!(sub.contains("<a href=\"../\">../</a>"));
    assert!(!page(b"", &[]).contains("../"));
    assert!(page(b"", &[]).contains("Nothing here."));
}

#[test]
fn b_150_directories_end_in_a_slash_and_links_in_an_at_sign() {
    let directory = Entry { kind: Kind::Directory, size: 4096, ..entry(b"d") };
    let link = Entry { is_symlink: true, ..entry(b"l") };
    let both = Entry { is_symlink: true, kind: Kind::Directory, ..entry(b"b") };
    let html = page(b"", &[directory, link, both]);
    assert!(html.contains("<a href=\"d/\">d/</a>"));
    assert!(html.contains("<a href=\"l\">l@</a>"));
    assert!(html.contains("<a href=\"b/\">b@</a>"));
    assert_eq!(html.matches(":00<td>-\n").count(), 2, "a directory has no size to show");
}

#[test]
fn b_151_a_name_with_a_colon_is_not_a_scheme() {
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
fn b_149_r_21_a_size_is_one_word() {
    for (bytes, shown) in [
        (0, "0"),
        (1023, "1023"),
        (1024, "1.0K"),
        (10_239, "9.9K"),
        (10_240, "10K"),
        (1_048_575, "1023K"),
        (1_572_864, "1.5M"),
        (3 << 20, "3.0M"),
        (5 << 30, "5.0G"),
        (u64::MAX, "15E"),
    ] {
        let mut out = Vec::new();
        short_size(&mut out, bytes);
        assert_eq!(out, shown.as_bytes());
    }
}

#[test]
fn the_exact_size_is_in_the_title_where_the_word_is_rounded() {
    for (bytes, expected) in [
        (0, ">0"),
        (1_023, ">1023"),
        (1_024, " title=\"1,024 bytes\">1.0K"),
        (999_999, " title=\"999,999 bytes\">976K"),
        (1_000_000, " title=\"1,000,000 bytes\">976K"),
        (5_000_040_307, " title=\"5,000,040,307 bytes\">4.6G"),
        (u64::MAX, " title=\"18,446,744,073,709,551,615 bytes\">15E"),
    ] {
        let mut out = Vec::new();
        size(&mut out, bytes);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

/// What each entry costs, besides its name.
#[test]
fn an_entry_is_short() {
    let length = |entries: usize| {
        let file = |n| Entry { size: 1 << 20, ..entry(format!("{n:04}").as_bytes()) };
        let mut rows = Rows::new(View::default(), 1_000);
        (0..entries).for_each(|n| rows.add(file(n)));
        let site = Site::default();
        rows.write(&Page { now: Some(40 * 86_400), ..Page::new(&site, b"") }).len()
    };
    assert_eq!(length(900) - length(800), 100 * (2 * 4 + 96), "the name, twice, and the rest");
    assert!(length(1) < 8_000, "{} bytes", length(1));
}

proptest! {
    #[test]
    fn b_155_every_link_leads_to_its_name(
        name in proptest::collection::vec(1..=255_u8, 1..40)
    ) {
        prop_assume!(!name.contains(&b'/') && name != b"." && name != b"..");
        let html = page(b"", &[entry(&name)]);
        let (_, link) = html.split_once("<tr><td><a href=\"").unwrap();
        let (link, _) = link.split_once('"').unwrap();
        let mut clean = Vec::new();
        crate::path::normalize(format!("/{link}").as_bytes(), &mut clean).unwrap();
        prop_assert_eq!(clean, name);
    }
}
