//! The form that uploads files to the directory of a listing, without a script.

/// Appends the form. It is sent to the address of the listing, without its query.
pub(super) fn render(out: &mut Vec<u8>) {
    out.extend_from_slice(FORM.as_bytes());
}

const FORM: &str = r#"<form class="upload" method="post" action="./" enctype="multipart/form-data">
<style>
.upload { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem 1rem; margin: 1rem .5rem }
.upload input { font: inherit; max-width: 100% }
.upload button { border: 1px solid; border-radius: .3rem; padding: .2rem 1rem }
</style>
<label>Upload files: <input type="file" name="file" multiple required></label>
<button>Upload</button>
</form>
"#;

#[cfg(test)]
mod tests {
    use crate::site::listing::{Format, Rows, View};

    #[test]
    fn only_a_page_has_the_form_and_only_if_it_was_added() {
        let page = |format, has_form: bool| {
            let mut rows = Rows::new(View { format, ..View::default() }, 10);
            if has_form {
                rows.add_upload_form();
            }
            String::from_utf8(rows.write(b"a")).unwrap()
        };
        let with_form = page(Format::Html, true);
        assert!(with_form.contains("<form class=\"upload\" method=\"post\" action=\"./\""));
        assert!(!with_form.contains("<script") && !with_form.contains(" on"));
        assert!(!page(Format::Html, false).contains("upload"));
        assert_eq!(page(Format::Json, true), page(Format::Json, false));
    }
}
