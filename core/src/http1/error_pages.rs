//! The error pages: those of [`crate::page`], or those of an embedder (B-089).
//!
//! Every page passes through here, whether a request is refused or a response ends in
//! [`Response::error_page`](super::Response::error_page). An embedder's pages may be in any format. If
//! their `Content-Type` is not a valid header value, the page of [`crate::page`] is sent instead.
//!
//! ```
//! use doorstep_core::http1::{Connection, ErrorPages, Limits, Outbox};
//!
//! let mut outbox = Outbox::new("");
//! outbox.set_error_pages(ErrorPages::new(|page| {
//!     let status = page.status;
//!     ("application/problem+json", format!(r#"{{"status":{status}}}"#))
//! }));
//!
//! let mut connection = Connection::new(Limits::default());
//! let reject = connection.advance(b"NONSENSE\r\n").map(drop).unwrap_err();
//! connection.refuse(reject, b"NONSENSE\r\n", &mut outbox);
//! assert!(outbox.unsent().ends_with(b"\r\n\r\n{\"status\":400}"));
//! ```

use alloc::borrow::Cow;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use super::error::Misuse;
use super::header::is_header_value;
use super::header_block::HeaderBlock;
use super::outbox::Outbox;
use super::status;
use crate::page;

/// What an error page is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErrorPage<'a> {
    /// The status of the response.
    pub status: u16,
    /// The reason phrase, which may quote the request: escape it
    /// ([`page::escape_html`](crate::page::escape_html)). It is not always UTF-8.
    pub reason: &'a [u8],
    /// A sentence for people; it may be any text of the application.
    pub explain: &'a str,
}

/// A function that makes all error pages. It is called for every error response, also for those to
/// requests that are refused. Clones share it.
#[derive(Clone)]
pub struct ErrorPages(Arc<Render>);

type Render = dyn Fn(&ErrorPage<'_>) -> (Cow<'static, str>, Vec<u8>) + Send + Sync;

impl ErrorPages {
    /// Error pages by `render`, which returns the `Content-Type` and the page.
    #[must_use]
    pub fn new<T, P>(render: impl Fn(&ErrorPage<'_>) -> (T, P) + Send + Sync + 'static) -> Self
    where
        T: Into<Cow<'static, str>>,
        P: Into<Vec<u8>>,
    {
        Self(Arc::new(move |page| {
            let (content_type, page) = render(page);
            (content_type.into(), page.into())
        }))
    }

    /// The `Content-Type` of a page, and the page.
    #[must_use]
    pub fn render(&self, page: &ErrorPage<'_>) -> (Cow<'static, str>, Vec<u8>) {
        (self.0)(page)
    }
}

/// The page of [`crate::page`] for one status and reason, rendered once. For responses that are sent
/// often, such as a 404: [`Response::prepared_error_page`](super::Response::prepared_error_page).
///
/// ```
/// use doorstep_core::http1::{Connection, Limits, Misuse, Outbox, PreparedErrorPage};
///
/// let page = PreparedErrorPage::new(404, "File not found")?;
/// let (mut connection, mut outbox) = (Connection::new(Limits::default()), Outbox::new(""));
/// connection.advance(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
/// connection.respond(404, &mut outbox).reason(b"File not found").prepared_error_page(&page)?;
/// assert!(outbox.unsent().starts_with(b"HTTP/1.1 404 File not found\r\nContent-Type: text/html"));
/// # Ok::<(), Misuse>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedErrorPage {
    status: u16,
    pub(super) reason: &'static str,
    pub(super) headers: HeaderBlock,
    /// Those of `headers` that were added.
    pub(super) added: HeaderBlock,
    pub(super) page: Vec<u8>,
}

impl PreparedErrorPage {
    /// The page for a response with this status and reason phrase, with the sentence of
    /// [`status::explain`].
    ///
    /// # Errors
    /// Returns [`Misuse::BadHeader`] if a response cannot have this reason phrase.
    pub fn new(status: u16, reason: &'static str) -> Result<Self, Misuse> {
        if !is_header_value(reason.as_bytes()) {
            return Err(Misuse::BadHeader);
        }
        let mut page = Vec::new();
        page::error(&mut page, status, reason.as_bytes(), status::explain(status));
        let headers = HeaderBlock::new().header("Content-Type", page::CONTENT_TYPE)?;
        let headers = headers.content_length(page.len() as u64)?;
        Ok(Self { status, reason, headers, added: HeaderBlock::new(), page })
    }

    /// Adds a header.
    ///
    /// # Errors
    /// Returns [`Misuse::BadHeader`] if it cannot be sent.
    pub fn header(self, name: &str, value: &str) -> Result<Self, Misuse> {
        let headers = self.headers.header(name, value)?;
        let added = self.added.header(name, value)?;
        Ok(Self { headers, added, ..self })
    }

    /// Whether it is the page of a response with this status and reason.
    pub(super) fn is_for(&self, status: u16, reason: &[u8]) -> bool {
        self.status == status && self.reason.as_bytes() == reason
    }
}

/// The pages of [`crate::page`].
impl Default for ErrorPages {
    fn default() -> Self {
        Self::new(|page| {
            let mut out = Vec::new();
            page::error(&mut out, page.status, page.reason, page.explain);
            (page::CONTENT_TYPE, out)
        })
    }
}

/// Whether they are clones.
impl PartialEq for ErrorPages {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ErrorPages {}

impl fmt::Debug for ErrorPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ErrorPages")
    }
}

impl Outbox {
    /// Sends these error pages from now on, and not those of [`crate::page`].
    pub fn set_error_pages(&mut self, pages: ErrorPages) {
        self.error_pages = Some(pages);
    }

    /// The `Content-Type` of the page, and the page.
    pub(super) fn error_page(&self, page: &ErrorPage<'_>) -> (Cow<'static, str>, Vec<u8>) {
        if let Some(pages) = &self.error_pages {
            let rendered = pages.render(page);
            if is_header_value(rendered.0.as_bytes()) {
                return rendered;
            }
        }
        let mut out = Vec::new();
        page::error(&mut out, page.status, page.reason, page.explain);
        (page::CONTENT_TYPE.into(), out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::{Connection, Limits, Reject, SentResponse};

    fn text(pages: ErrorPages, respond: impl FnOnce(&mut Connection, &mut Outbox)) -> String {
        let (mut connection, mut outbox) = (Connection::new(Limits::default()), Outbox::new(""));
        outbox.set_error_pages(pages);
        connection.advance(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        respond(&mut connection, &mut outbox);
        String::from_utf8(outbox.unsent().to_vec()).unwrap()
    }

    /// Pages that show what they are given.
    fn plain() -> ErrorPages {
        ErrorPages::new(|page| {
            let reason = String::from_utf8_lossy(page.reason);
            ("text/plain".to_owned(), format!("{} {reason}: {}", page.status, page.explain))
        })
    }

    #[test]
    fn b_089_pages_of_responses_and_of_refusals_are_replaced() {
        let sent = text(plain(), |connection, outbox| {
            connection.respond(404, outbox).error_page("Not here.").unwrap();
        });
        assert!(sent.contains("\r\nContent-Type: text/plain\r\n"), "{sent}");
        assert!(sent.ends_with("\r\n\r\n404 Not Found: Not here."), "{sent}");
        let sent = text(plain(), |connection, outbox| {
            connection.respond(451, outbox).reason(b"No").error_page("").unwrap();
        });
        assert!(sent.contains("\r\n\r\n451 No: "), "{sent}");
        let sent = text(plain(), |connection, outbox| {
            let size = connection.refuse(Reject::RequestTimeout, b"", outbox);
            assert!(outbox.unsent().len() > size && size > 0);
        });
        assert!(sent.contains("\r\n\r\n408 Request Timeout: "), "{sent}");
    }

    #[test]
    fn b_083_a_prepared_page_is_the_same_as_a_rendered_one() {
        let page = PreparedErrorPage::new(404, "File not found").unwrap();
        let respond = |head: &[u8], pages: Option<ErrorPages>, status, reason, prepared: bool| {
            let (mut connection, mut outbox) =
                (Connection::new(Limits::default()), Outbox::new(""));
            pages.into_iter().for_each(|pages| outbox.set_error_pages(pages));
            connection.advance(head).unwrap();
            let mut sent = SentResponse::default();
            let response = connection.respond(status, &mut outbox).record(&mut sent).reason(reason);
            match prepared {
                true => response.prepared_error_page(&page).unwrap(),
                false => response.error_page("").unwrap(),
            }
            (outbox.unsent().to_vec(), sent)
        };
        for head in ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD / HTTP/1.0\r\n\r\n", "GET /\r\n"] {
            for pages in [None, Some(plain())] {
                // The page is that of another status or reason: then it is rendered.
                for (status, reason) in [(404, "File not found"), (404, "x"), (403, "x"), (304, "")]
                {
                    let [prepared, rendered] = [true, false].map(|prepared| {
                        respond(head.as_bytes(), pages.clone(), status, reason.as_bytes(), prepared)
                    });
                    assert_eq!(prepared, rendered, "{status} {reason}: {head}");
                }
            }
        }
        assert_eq!(PreparedErrorPage::new(404, "a\r\nb"), Err(Misuse::BadHeader));
    }

    #[test]
    fn b_085_a_status_without_a_body_has_no_page() {
        let sent = text(plain(), |connection, outbox| {
            connection.respond(304, outbox).error_page("").unwrap();
        });
        assert!(sent.ends_with("\r\n\r\n") && !sent.contains("Content-Type"), "{sent}");
    }

    #[test]
    fn a_content_type_that_would_split_the_response_is_not_sent() {
        let split = ErrorPages::new(|_| ("text/plain\r\nX: 1", "page"));
        for pages in [split, ErrorPages::default()] {
            let sent = text(pages, |connection, outbox| {
                connection.respond(404, outbox).error_page("").unwrap();
            });
            let default = format!("\r\nContent-Type: {}\r\n", page::CONTENT_TYPE);
            assert!(sent.contains(&default) && sent.contains("<b>404</b>"), "{sent}");
        }
    }
}
