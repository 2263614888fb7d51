//! The view of a listing: its order from the query, its format from Accept.
//!
//! The query is `sort=name|size|date`, `order=asc|desc` and `dirs=first`, joined by `&` in any
//! order and spelled exactly like this. Everything else in it is ignored, but for
//! [`Filter`](super::Filter)'s.

use super::Filter;
use crate::http1::Head;
use crate::path;
use crate::site::accept::{Member, Preference};

/// The view of a listing.
///
/// ```
/// use doorstep_core::site::listing::{Column, Format, View};
///
/// let view = View::from_query(Some(b"sort=size&order=desc"), ["application/json"]);
/// assert_eq!((view.column, view.descending), (Column::Size, true));
/// assert_eq!((view.format, view.content_type()), (Format::Json, "application/json"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct View {
    /// The column to sort by; ties are sorted by name.
    pub column: Column,
    /// Whether the order is descending.
    pub descending: bool,
    /// Whether directories come before files. By default they are sorted among them (B-148).
    pub directories_first: bool,
    /// The format.
    pub format: Format,
}

/// A column to sort by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Column {
    /// The name, in the order of B-148.
    #[default]
    Name,
    /// The size; directories sort before files.
    Size,
    /// When it was last modified.
    Date,
}

/// A format of listings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// HTML, for people.
    #[default]
    Html,
    /// JSON, for programs.
    Json,
}

const HTML_TYPE: &str = "text/html; charset=utf-8";
const JSON_TYPE: &str = "application/json";
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; \
     img-src 'self'; form-action 'self'; base-uri 'none'";

impl View {
    pub(in crate::site) fn from_head(head: &Head<'_>) -> Self {
        Self::from_query(head.query(), head.header_list("accept"))
    }

    /// The view for a query and the members of Accept.
    #[must_use]
    pub fn from_query(query: Option<&[u8]>, accept: impl IntoIterator<Item: AsRef<[u8]>>) -> Self {
        let mut view = Self { format: preferred_format(accept), ..Self::default() };
        for word in query.unwrap_or_default().split(|&b| b == b'&') {
            match word {
                b"sort=name" => view.column = Column::Name,
                b"sort=size" => view.column = Column::Size,
                b"sort=date" => view.column = Column::Date,
                b"order=asc" => view.descending = false,
                b"order=desc" => view.descending = true,
                b"dirs=first" => view.directories_first = true,
                _ => {}
            }
        }
        view
    }

    /// The `Content-Type` of the listing (B-155).
    #[must_use]
    pub fn content_type(&self) -> &'static str {
        match self.format {
            Format::Html => HTML_TYPE,
            Format::Json => JSON_TYPE,
        }
    }

    /// The headers of the response with the listing, as pairs of name and value, without its length.
    ///
    /// The page needs its own style sheet and forms, and nothing else may be loaded or run whatever
    /// its names are. Browsers may fetch the icon of the site (`img-src`). It may be framed. Every response
    /// may have another policy by the server's settings: leave that one out
    /// ([`Response::without_default_policy`](crate::http1::Response::without_default_policy)).
    #[must_use]
    pub fn headers(&self) -> &'static [(&'static str, &'static str)] {
        match self.format {
            Format::Html => &[
                ("Content-Type", HTML_TYPE),
                ("Vary", "Accept"),
                ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
            ],
            Format::Json => &[("Content-Type", JSON_TYPE), ("Vary", "Accept")],
        }
    }

    /// The query that asks for this view with `filter`, for the address of the listing. It is empty for the
    /// view without a query, and has only characters of an address.
    ///
    /// ```
    /// use doorstep_core::site::listing::{Filter, View};
    ///
    /// let query = b"x=1&dirs=first&filter=a+%22%26";
    /// let (view, filter) = (View::from_query(Some(query), [""; 0]), Filter::from_query(Some(query)));
    /// assert_eq!(view.to_query(filter.as_ref()), b"sort=name&order=asc&dirs=first&filter=a%20%22%26");
    /// assert_eq!(View::default().to_query(None), b"");
    /// ```
    #[must_use]
    pub fn to_query(&self, filter: Option<&Filter>) -> Vec<u8> {
        let mut query = Vec::new();
        if !self.is_default() {
            for (name, value) in self.query_pairs() {
                let separator = if query.is_empty() { "" } else { "&" };
                for part in [separator, name, "=", value] {
                    query.extend_from_slice(part.as_bytes());
                }
            }
        }
        if let Some(filter) = filter {
            query.extend_from_slice(if query.is_empty() { b"filter=" } else { b"&filter=" });
            path::encode(&mut query, filter.text().as_bytes());
        }
        query
    }

    /// Whether it is in the order of a listing without a query.
    pub(super) fn is_default(&self) -> bool {
        *self == Self { format: self.format, ..Self::default() }
    }

    /// The query of this view, as pairs of name and value.
    pub(super) fn query_pairs(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let order = if self.descending { "desc" } else { "asc" };
        let dirs = self.directories_first.then_some(("dirs", "first"));
        [("sort", self.column.query_value()), ("order", order)].into_iter().chain(dirs)
    }
}

impl Column {
    fn query_value(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Size => "size",
            Self::Date => "date",
        }
    }
}

/// JSON if the client prefers it to HTML: by weight, and at equal weights if it is named more
/// exactly, as in `application/json, */*`. Browsers name HTML, and a client without a preference
/// gets HTML.
fn preferred_format(accept: impl IntoIterator<Item: AsRef<[u8]>>) -> Format {
    let (mut html, mut json) = (Preference::default(), Preference::default());
    for member in accept {
        if let Some(member) = Member::parse(member.as_ref()) {
            html.add("text/html", &member);
            json.add("application/json", &member);
        }
    }
    if json.is_acceptable() && json.is_preferred_to(&html) { Format::Json } else { Format::Html }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_words_in_the_query_are_ignored() {
        let view = |query: &str| View::from_query(Some(query.as_bytes()), [""; 0]);
        for query in [
            "",
            "&",
            "sort",
            "sort=",
            "sort=Size",
            "sort=size;",
            "sort=siz%65",
            "SORT=size",
            "sort=size=",
            "order=up",
            "order=DESC",
            "dirs=",
            "dirs=last",
            "dirs=first ",
            "x=1",
        ] {
            assert_eq!(view(query), View::default(), "{query}");
        }
        let expected = View { column: Column::Size, descending: true, ..View::default() };
        assert_eq!(view("order=desc&x=1&sort=size&sort=none"), expected);
        assert_eq!(View::from_query(None, [""; 0]), View::default());
    }

    #[test]
    fn the_query_of_a_view_yields_the_view() {
        for column in [Column::Name, Column::Size, Column::Date] {
            for (descending, directories_first) in
                [(false, false), (false, true), (true, false), (true, true)]
            {
                let view = View { column, descending, directories_first, format: Format::Html };
                let pairs = view.query_pairs().map(|(name, value)| format!("{name}={value}"));
                let query = pairs.collect::<Vec<_>>().join("&");
                assert_eq!(View::from_query(Some(query.as_bytes()), [""; 0]), view);
            }
        }
    }

    #[test]
    fn rfc_9110_12_5_1_json_if_it_is_preferred() {
        for (accept, json) in [
            ("", false),
            ("*/*", false),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", false),
            ("application/json", true),
            ("Application/JSON", true),
            ("application/json;q=0", false),
            ("application/json;q=x", false),
            ("application/json, text/plain, */*", true),
            ("application/json;q=0.9, text/html", false),
            ("application/json, text/html", false),
            ("application/json, text/html;q=0.9", true),
            ("application/json;charset=utf-8;q=0.8, text/html;q=0.7", true),
            ("application/*", true),
            ("application/*, text/*", false),
            ("*/*, application/json;q=0.5", false),
            ("*/*, text/html;q=0.5", true),
            ("image/png", false),
        ] {
            let members = accept.split(',').map(str::trim);
            assert_eq!(preferred_format(members) == Format::Json, json, "{accept}");
        }
    }
}
