//! What has become of the files of a form: as a sentence for a page, as lines for a terminal, and as
//! JSON for programs.

use super::Refusal;
use super::refusal::push_link;
use crate::bytes::push_decimal;
use crate::http1::status::reason;
use crate::log;
use crate::page::{self, escape_html};
use crate::path;
use crate::site::listing::json;

/// The longest name that is quoted, in characters: a client may send a long one.
const MAX_QUOTED: usize = 255;

/// What has become of the files of a form, in its order.
///
/// ```
/// use doorstep_core::site::upload::{Refusal, Report};
///
/// let mut report = Report::default();
/// report.stored("a.txt", 6);
/// report.refused("b.txt", Refusal::Exists);
/// assert_eq!(report.status(), 409);
/// assert!(report.text().starts_with("stored a.txt (6 bytes)\nnot stored b.txt: There is a file"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    files: Vec<(String, Result<u64, Refusal>)>,
    /// Why the rest of the form was not read.
    end: Option<Refusal>,
}

impl Report {
    /// A file of this size, in bytes, was stored.
    pub fn stored(&mut self, name: &str, size: u64) {
        self.files.push((name.into(), Ok(size)));
    }

    /// A file was not stored.
    pub fn refused(&mut self, name: &str, why: Refusal) {
        self.files.push((name.chars().take(MAX_QUOTED).collect(), Err(why)));
    }

    /// The rest of the form was not read.
    pub fn ended(&mut self, why: Refusal) {
        self.end = Some(why);
    }

    /// The status: 201 if every file was stored, else that of the first refusal.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.refusal().map_or(201, Refusal::status)
    }

    /// The first refusal, whose status and header ([`Refusal::header`]) the response has; `None` if every
    /// file was stored.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        self.files.iter().find_map(|(_, result)| result.err()).or_else(|| self.rest())
    }

    /// One line for each file, and a sentence if the form was not read to its end.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (name, result) in &self.files {
            let name = shown(name);
            text += &match result {
                Ok(size) => format!("stored {name} ({size} bytes)\n"),
                Err(why) => format!("not stored {name}: {why}\n"),
            };
        }
        if let Some(why) = self.rest() {
            text += &format!("{why}\n");
        }
        text
    }

    /// The sentences for a page: what was not stored first.
    #[must_use]
    pub fn sentences(&self) -> String {
        let mut text = String::new();
        for (name, result) in &self.files {
            if let Err(why) = result {
                text += &format!("{} was not stored: {why} ", shown(name));
            }
        }
        if let Some(why) = self.rest() {
            text += &format!("{why} ");
        }
        let stored = self.files.iter().filter(|(_, result)| result.is_ok());
        let stored: Vec<_> = stored.map(|(name, _)| shown(name)).collect();
        match &*stored {
            [] => text += "Nothing was stored.",
            names => text += &format!("Stored: {}.", names.join(", ")),
        }
        text
    }

    /// A page with two lists, of what was not stored and of what was, and with a link to `back`, a relative
    /// address.
    #[must_use]
    pub fn page(&self, back: &[u8]) -> Vec<u8> {
        let mut more = Vec::new();
        let (mut has_refused, mut has_stored) = (false, false);
        for (name, result) in &self.files {
            let Err(why) = result else { continue };
            begin_list(&mut more, &mut has_refused, "Not stored");
            item(&mut more, name, &format!(": {why}"));
        }
        end_list(&mut more, has_refused);
        for (name, result) in &self.files {
            let Ok(size) = result else { continue };
            begin_list(&mut more, &mut has_stored, "Stored");
            item(&mut more, name, &format!(" ({size} bytes)"));
        }
        end_list(&mut more, has_stored);
        push_link(&mut more, back);
        let mut explain = self.rest().map_or(String::new(), |why| format!("{why} "));
        explain += match (has_refused, has_stored) {
            (_, false) => "Nothing was stored.",
            (true, true) => "Some files were not stored.",
            (false, true) => "These files were stored.",
        };
        let (mut out, status) = (Vec::new(), self.status());
        page::error_with(&mut out, status, reason(status).as_bytes(), &explain, &more);
        out
    }

    /// A JSON object with `stored` and `refused`, lists of objects: `name`, and `href` and `size` in
    /// bytes, or `status` and `reason`. Also `error` if the form was not read to its end.
    #[must_use]
    pub fn json(&self) -> Vec<u8> {
        let mut out = b"{\"stored\":[".to_vec();
        let mut first = true;
        for (name, size) in
            self.files.iter().filter_map(|(name, result)| Some((name, result.ok()?)))
        {
            object(&mut out, &mut first, name);
            out.extend_from_slice(b",\"href\":\"");
            path::encode(&mut out, name.as_bytes());
            out.extend_from_slice(b"\",\"size\":");
            push_decimal(&mut out, size);
            out.push(b'}');
        }
        out.extend_from_slice(b"],\"refused\":[");
        first = true;
        for (name, why) in
            self.files.iter().filter_map(|(name, result)| Some((name, result.err()?)))
        {
            object(&mut out, &mut first, name);
            out.extend_from_slice(b",\"status\":");
            push_decimal(&mut out, why.status().into());
            out.extend_from_slice(b",\"reason\":\"");
            json::escape(&mut out, why.to_string().as_bytes());
            out.extend_from_slice(b"\"}");
        }
        out.push(b']');
        if let Some(why) = self.rest() {
            out.extend_from_slice(b",\"error\":\"");
            json::escape(&mut out, why.to_string().as_bytes());
            out.push(b'"');
        }
        out.extend_from_slice(b"}\n");
        out
    }

    /// Why there is not more.
    fn rest(&self) -> Option<Refusal> {
        self.end.or(self.files.is_empty().then_some(Refusal::NoFile))
    }
}

/// Appends the heading of a list before its first item.
fn begin_list(out: &mut Vec<u8>, has_begun: &mut bool, heading: &str) {
    if !std::mem::replace(has_begun, true) {
        for part in ["<h2>", heading, "</h2>\n<ul style=\"overflow-wrap: anywhere\">\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }
}

/// Appends an item of a list: a name, and a text.
fn item(out: &mut Vec<u8>, name: &str, text: &str) {
    out.extend_from_slice(b"<li><bdi>");
    escape_html(out, shown(name).as_bytes());
    out.extend_from_slice(b"</bdi>");
    escape_html(out, text.as_bytes());
    out.push(b'\n');
}

fn end_list(out: &mut Vec<u8>, has_begun: bool) {
    out.extend_from_slice(if has_begun { b"</ul>\n" } else { b"" });
}

/// Appends the beginning of an object.
fn object(out: &mut Vec<u8>, first: &mut bool, name: &str) {
    if !std::mem::take(first) {
        out.push(b',');
    }
    out.extend_from_slice(b"{\"name\":\"");
    json::escape(out, name.as_bytes());
    out.push(b'"');
}

/// A name as text that changes nothing around it.
fn shown(name: &str) -> String {
    let mut escaped = Vec::new();
    log::escape_controls(&mut escaped, name.as_bytes());
    String::from_utf8_lossy(&escaped).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::default();
        report.stored("a \"b\".txt", 6);
        report.refused("c\n\u{202e}", Refusal::Exists);
        report.stored("d", 0);
        report
    }

    #[test]
    fn every_file_is_named() {
        let (report, exists) = (report(), Refusal::Exists.to_string());
        let name = "c\\x0a\\xe2\\x80\\xae";
        let expected = format!(
            "stored a \"b\".txt (6 bytes)\nnot stored {name}: {exists}\nstored d (0 bytes)\n"
        );
        assert_eq!(report.text(), expected);
        let expected = format!("{name} was not stored: {exists} Stored: a \"b\".txt, d.");
        assert_eq!(report.sentences(), expected);
        let json = String::from_utf8(report.json()).unwrap();
        let expected = format!(
            "{{\"stored\":[{{\"name\":\"a \\\"b\\\".txt\",\"href\":\"a%20%22b%22.txt\",\"size\":6}},\
             {{\"name\":\"d\",\"href\":\"d\",\"size\":0}}],\"refused\":[{{\"name\":\"c\\u000a\u{202e}\",\
             \"status\":409,\"reason\":\"{exists}\"}}]}}\n"
        );
        assert_eq!(json, expected);
    }

    #[test]
    fn a_page_has_two_lists_and_a_link_and_no_foreign_markup() {
        let mut report = report();
        report.refused("<b>", Refusal::Link);
        let html = String::from_utf8(report.page(b"./?sort=size&order=asc")).unwrap();
        let at = |text: &str| html.find(text).unwrap_or_else(|| panic!("{text}\n{html}"));
        let not_stored = "<h2>Not stored</h2>\n<ul style=\"overflow-wrap: anywhere\">\n\
                          <li><bdi>c\\x0a\\xe2\\x80\\xae</bdi>: There is a file";
        let stored = "<h2>Stored</h2>\n<ul style=\"overflow-wrap: anywhere\">\n\
                      <li><bdi>a &quot;b&quot;.txt</bdi> (6 bytes)\n<li><bdi>d</bdi> (0 bytes)\n</ul>\n";
        assert!(at("<b>409</b>") < at("<p>Some files were not stored.</p>"));
        assert!(at("<p>Some files") < at(not_stored));
        assert!(at("<li><bdi>&lt;b&gt;</bdi>: Part of") < at(stored));
        assert!(at(stored) < at("<a href=\"./?sort=size&amp;order=asc\">Back to the listing</a>"));
        let html = String::from_utf8(Report::default().page(b"./")).unwrap();
        assert!(
            html.contains("<p>No file was chosen. Nothing was stored.</p>\n<p><a href"),
            "{html}"
        );
        let html = String::from_utf8(Refusal::NoSpace.page(b"./")).unwrap();
        assert!(
            html.contains("There is not enough space to store this.</p>\n<p><a href=\"./\">"),
            "{html}"
        );
    }

    #[test]
    fn the_status_is_that_of_the_first_refusal() {
        let mut report = Report::default();
        assert_eq!((report.status(), report.text()), (400, "No file was chosen.\n".into()));
        assert_eq!(report.sentences(), "No file was chosen. Nothing was stored.");
        assert_eq!(report.refusal(), Some(Refusal::NoFile));
        report.stored("a", 1);
        assert_eq!((report.status(), report.refusal()), (201, None));
        report.ended(Refusal::NoSpace);
        assert_eq!(report.status(), 507);
        assert!(report.text().ends_with("There is not enough space to store this.\n"));
        assert!(
            report.json().ends_with(b",\"error\":\"There is not enough space to store this.\"}\n")
        );
        report.refused(&"x".repeat(300), Refusal::Exists);
        assert_eq!((report.status(), report.refusal()), (409, Some(Refusal::Exists)));
        assert!(!report.text().contains(&"x".repeat(256)));
    }
}
