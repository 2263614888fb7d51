//! The form that uploads files to the directory of a listing, without a script.

/// Appends the form. It is sent to the address of the listing, without its query.
pub(super) fn render(out: &mut Vec<u8>) {
    out.extend_from_slice(FORM.as_bytes());
}

const FORM: &str = r#"<form method="post" action="./" enctype="multipart/form-data">
<label>Upload files: <input type="file" name="file" multiple required></label>
<button>Upload</button>
</form>
"#;

#[cfg(test)]
mod tests {
    use crate::site::Site;
    use crate::site::listing::{Format, Page, Rows, View};

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
}
