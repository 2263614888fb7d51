//! The buttons that fetch the directory as one file.
//!
//! They are buttons of a form, and not links: programs that mirror a tree follow links, and would
//! fetch everything below each directory again.

use super::Rows;
use crate::site::archive::ArchiveFormat;

/// Appends one button for each format, if the directory can be fetched and has entries. A form
/// without an action goes to the address of the page, and replaces its query.
pub(super) fn write(out: &mut Vec<u8>, rows: &Rows) {
    if !rows.offers_archive || rows.is_empty() {
        return;
    }
    out.extend_from_slice(b" \xc2\xb7 <form>Download all as");
    for (n, format) in ArchiveFormat::ALL.into_iter().enumerate() {
        let name = format.name();
        let separator = if n == 0 { " " } else { ", " };
        for part in [separator, "<button name=\"archive\" value=\"", name, "\">", name, "</button>"]
        {
            out.extend_from_slice(part.as_bytes());
        }
    }
    out.extend_from_slice(b"</form>");
}

#[cfg(test)]
mod tests {
    use super::super::{Entry, Kind, View};
    use super::*;

    fn page(offer: bool, names: &[&str]) -> String {
        let mut rows = Rows::new(View::default(), 10);
        rows.offer_archive(offer);
        names.iter().for_each(|name| rows.add(Entry::new(name.as_bytes(), Kind::File)));
        String::from_utf8(rows.write(b"")).unwrap()
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
    fn no_archive_is_offered_of_an_empty_directory_or_where_there_is_none() {
        assert!(!page(true, &[]).contains("archive"));
        assert!(!page(false, &["a"]).contains("archive"));
    }
}
