//! The buttons that fetch the directory as one file.
//!
//! They are buttons of a form, and not links: programs that mirror a tree follow links, and would
//! fetch everything below each directory again.

use crate::site::archive::ArchiveFormat;

/// Appends one button for each format. A form without an action goes to the address of the page, and
/// replaces its query: the archive has the whole directory, whatever the filter of the listing is.
pub(super) fn render(out: &mut Vec<u8>) {
    out.extend_from_slice(b"<form>Download the whole directory as");
    for format in ArchiveFormat::ALL {
        let name = format.name();
        for part in [" <button name=\"archive\" value=\"", name, "\">", name, "</button>"] {
            out.extend_from_slice(part.as_bytes());
        }
    }
    out.extend_from_slice(b"</form>\n");
}

#[cfg(test)]
mod tests {
    use crate::site::Site;
    use crate::site::listing::{Entry, Filter, Kind, Page, Rows, View};

    fn page(archive: bool, names: &[&str]) -> String {
        filtered(archive, names, None)
    }

    fn filtered(archive: bool, names: &[&str], filter: Option<&Filter>) -> String {
        let mut rows = Rows::new(View::default(), 10);
        names.iter().for_each(|name| rows.add(Entry::new(name.as_bytes(), Kind::File)));
        let site = Site { archive, ..Site::default() };
        String::from_utf8(rows.write(&Page { filter, ..Page::new(&site, b"") })).unwrap()
    }

    #[test]
    fn r_19_an_archive_is_offered_by_buttons_and_not_by_links() {
        let html = page(true, &["a"]);
        for name in ["zip", "tar.gz", "tar"] {
            let button = format!("<button name=\"archive\" value=\"{name}\">{name}</button>");
            assert!(html.contains(&button), "{html}");
        }
        assert_eq!(html.matches("href=\"").count(), page(false, &["a"]).matches("href=\"").count());
        assert!(!html.contains("archive="), "{html}");
    }

    #[test]
    fn a_filter_that_matches_nothing_leaves_the_buttons_and_the_label_says_what_they_fetch() {
        let filter = Filter::from_query(Some(b"filter=x"));
        for names in [&[][..], &["x"]] {
            let html = filtered(true, names, filter.as_ref());
            let form = "<form>Download the whole directory as <button name=\"archive\"";
            assert!(html.contains(form), "{html}");
        }
    }

    #[test]
    fn no_archive_is_offered_of_an_empty_directory_or_where_there_is_none() {
        assert!(!page(true, &[]).contains("name=\"archive\""));
        assert!(!page(false, &["a"]).contains("name=\"archive\""));
    }
}
