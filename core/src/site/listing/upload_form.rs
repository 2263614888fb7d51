//! The form that uploads files to the directory of a listing, without a script.

/// Appends the form. It is sent to the address of the listing.
pub(super) fn render(out: &mut Vec<u8>) {
    out.extend_from_slice(FORM.as_bytes());
}

const FORM: &str = r#"<form id="upload" method="post" action="./" enctype="multipart/form-data">
<label>Add files <input type="file" name="file" multiple required></label>
<button>Upload</button>
</form>
"#;
