//! The form that uploads files to the directory of a listing, without a script.

use crate::page::escape_html;

/// Appends the form. It is sent to the address of the listing with `query`, its order and filter: the
/// response leads back to it.
pub(super) fn render(out: &mut Vec<u8>, query: &[u8]) {
    out.extend_from_slice(b"<form method=\"post\" action=\"./");
    if !query.is_empty() {
        out.push(b'?');
        escape_html(out, query);
    }
    out.extend_from_slice(FORM.as_bytes());
}

const FORM: &str = r#"" enctype="multipart/form-data"><label>Upload files <input type="file" name="file" multiple required></label><button>Upload</button></form>
"#;

#[cfg(test)]
mod tests {
    use crate::site::Site;
    use crate::site::listing::{Filter, Format, Page, Rows, View};

    #[test]
    fn only_an_html_page_has_the_form_and_only_if_it_takes_uploads() {
        let page = |format, takes_uploads| {
            let site = Site::default();
            let mut page = Page::new(&site, b"a");
            page.takes_uploads = takes_uploads;
            let rows = Rows::new(View { format, ..View::default() }, 10);
            String::from_utf8(rows.write(&page)).unwrap()
        };
        let with_form = page(Format::Html, true);
        assert!(with_form.contains("<form method=\"post\" action=\"./\""));
        assert!(!with_form.contains("<script") && !with_form.contains(" on"));
        assert!(!page(Format::Html, false).contains("type=\"file\""));
        assert_eq!(page(Format::Json, true), page(Format::Json, false));
    }

    #[test]
    fn the_form_keeps_the_order_and_the_filter_of_the_listing() {
        let query = b"filter=%22%3E%3Cb%3E+%26&sort=size&evil=%22";
        let (site, filter) = (Site::default(), Filter::from_query(Some(query)));
        let mut page = Page { filter: filter.as_ref(), ..Page::new(&site, b"a") };
        page.takes_uploads = true;
        let rows = Rows::new(View::from_query(Some(query), [""; 0]), 10);
        let html = String::from_utf8(rows.write(&page)).unwrap();
        let form = "action=\"./?sort=size&amp;order=asc&amp;filter=%22%3E%3Cb%3E%20%26\" enctype";
        assert!(html.contains(form), "{html}");
    }
}
