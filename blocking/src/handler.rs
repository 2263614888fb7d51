//! Handlers: what an application implements, with one method for each method of HTTP.
//!
//! ```no_run
//! use std::io;
//! use doorstep_blocking::{Exchange, Handler, Server};
//!
//! struct Hello;
//!
//! impl Handler for Hello {
//!     fn get(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
//!         exchange.respond(200).header("Content-Type", "text/plain").body("hello\n")
//!     }
//! }
//!
//! Server::bind("127.0.0.1:8000")?.serve(Hello)
//! # as std::io::Result<()>
//! # ;Ok::<(), io::Error>(())
//! ```
//!
//! A closure is a handler too, for every method. So are `Arc<H>` and `Box<dyn Handler>`.
//!
//! The server calls [`Handler::handle`] and [`Handler::observer`], and nothing else. So a handler that
//! wraps another one overrides these two; methods and expectations are those of the other. It
//! passes requests on by `handle`: if it called `get` of the other one, a handler that overrides only
//! `handle`, such as a closure, would respond 501.
//!
//! ```no_run
//! # use std::io;
//! # use doorstep_blocking::{Exchange, Files, Handler, Observer, Server};
//! /// Asks for a password below one path (RFC 7617).
//! struct BasicAuth<H>(H);
//!
//! impl<H: Handler> Handler for BasicAuth<H> {
//!     fn handle(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
//!         // "user:password" in base64. A comparison that takes the same time for every wrong
//!         // password would be safer.
//!         const EXPECTED: &[u8] = b"Basic dXNlcjpwYXNzd29yZA==";
//!         let head = exchange.head();
//!         if head.path().starts_with(b"/private/") && head.header("Authorization") != Some(EXPECTED) {
//!             return exchange
//!                 .respond(401)
//!                 .header("WWW-Authenticate", "Basic realm=\"private\", charset=\"UTF-8\"")
//!                 .error_page("");
//!         }
//!         self.0.handle(exchange)
//!     }
//!     fn observer(&self) -> &dyn Observer {
//!         self.0.observer()
//!     }
//! }
//!
//! let app = BasicAuth(Files::new(".")?);
//! Server::bind("127.0.0.1:8000")?.serve(app)
//! # ;Ok::<(), io::Error>(())
//! ```
//!
//! That is how a wrapper works. For users with passwords there is `Handler::with_auth`, with the feature
//! `auth`. The path is compared as it was sent: before comparing it to protect files, normalize it as they do
//! ([`core::path`](crate::core::path)).
//!
//! In a handler with methods of its own, [`Handler::dispatch`] calls them:
//!
//! ```
//! # use std::io;
//! # use doorstep_blocking::{Exchange, Handler};
//! struct App;
//!
//! impl Handler for App {
//!     fn handle(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
//!         match exchange.head().host() {
//!             Some(b"www.example.org") => self.dispatch(exchange),
//!             _ => exchange.respond(421).error_page(""),
//!         }
//!     }
//!     fn get(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
//!         exchange.respond(200).header("Content-Type", "text/plain").body("hello\n")
//!     }
//! }
//! ```

use std::io;
use std::sync::Arc;

#[cfg(feature = "auth")]
use doorstep_driver::auth::{Auth, WithAuth};
use doorstep_driver::{
    Health, Observer, StopConditions, TransferStart, WithObserver, WithStopConditions,
};

use crate::exchange::Exchange;

/// Responds to requests, many of them at once. A method that is not overridden calls
/// [`Handler::fallback`], which responds 501; `head` calls `get`, since to HEAD no body is sent.
///
/// If a method returns an error, panics, or returns without having begun a response, the client gets a
/// 500 and the connection is kept. If the response has begun and is not complete, the connection is
/// closed so that the client sees that it is incomplete. Neither affects other connections, and both are
/// reported to [`Observer::on_error`], with the path. If reading the request's body has failed and no
/// response has begun, the client gets the status of that error instead, such as 413.
pub trait Handler: Send + Sync + 'static {
    /// GET.
    ///
    /// # Errors
    /// Returns an error if the handler cannot respond; so do all methods.
    fn get(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.fallback(exchange)
    }
    /// HEAD.
    ///
    /// # Errors
    /// As for [`Handler::get`].
    fn head(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.get(exchange)
    }
    /// POST.
    ///
    /// # Errors
    /// As for [`Handler::get`].
    fn post(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.fallback(exchange)
    }
    /// PUT.
    ///
    /// # Errors
    /// As for [`Handler::get`].
    fn put(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.fallback(exchange)
    }
    /// DELETE.
    ///
    /// # Errors
    /// As for [`Handler::get`].
    fn delete(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.fallback(exchange)
    }
    /// OPTIONS.
    ///
    /// # Errors
    /// As for [`Handler::get`].
    fn options(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.fallback(exchange)
    }
    /// PATCH.
    ///
    /// # Errors
    /// As for [`Handler::get`].
    fn patch(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.fallback(exchange)
    }
    /// Every request whose method has no method here, or one that is not overridden (B-302).
    ///
    /// # Errors
    /// As for [`Handler::get`].
    fn fallback(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        exchange.unsupported()
    }

    /// The client waits for `100 Continue` before it sends the body. A response given here refuses
    /// the request (with 417, for example), and no other method is called (B-053). If none is given,
    /// `100 Continue` is sent when the body is first read (B-050; RFC 9110 §10.1.1).
    /// [`Handler::dispatch`] calls it.
    ///
    /// # Errors
    /// As for [`Handler::get`].
    fn expect(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        let _ = exchange;
        Ok(())
    }

    /// Calls [`Handler::expect`] if the client waits for `100 Continue`, and then the method for the
    /// request's method, unless `expect` has responded. A handler that overrides
    /// [`Handler::handle`] calls it for the requests that it lets pass.
    ///
    /// # Errors
    /// As for [`Handler::get`].
    fn dispatch(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        if exchange.expects_continue() {
            self.expect(exchange)?;
            if exchange.has_responded() {
                return Ok(());
            }
        }
        match exchange.head().method() {
            b"GET" => self.get(exchange),
            b"HEAD" => self.head(exchange),
            b"POST" => self.post(exchange),
            b"PUT" => self.put(exchange),
            b"DELETE" => self.delete(exchange),
            b"OPTIONS" => self.options(exchange),
            b"PATCH" => self.patch(exchange),
            _ => self.fallback(exchange),
        }
    }

    /// Responds to a request, whatever its method is. This is what the server calls. Override it to
    /// see every request first; by default it is [`Handler::dispatch`].
    ///
    /// # Errors
    /// As for [`Handler::get`].
    fn handle(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.dispatch(exchange)
    }

    /// What receives the access log, errors, and the events of a shutdown. By default nothing does. A
    /// handler that wraps another one returns the other's, or its own, which may wrap the other's
    /// ([`Observer::inner`]).
    fn observer(&self) -> &dyn Observer {
        &()
    }

    /// This handler, whose reports `observer` receives too: before [`Handler::observer`], which still
    /// receives them.
    ///
    /// ```no_run
    /// use doorstep_blocking::{AccessLog, Files, Handler, Server};
    ///
    /// let service = Files::new(".")?.with_observer(AccessLog::stderr()?);
    /// Server::bind("127.0.0.1:8000")?.serve(service)?
    /// # ;Ok::<(), std::io::Error>(())
    /// ```
    fn with_observer<O: Observer>(self, observer: O) -> WithObserver<Self, O>
    where
        Self: Sized,
    {
        WithObserver::new(self, |handler| handler.observer(), observer)
    }

    /// This handler, whose requests `conditions` watch, to stop the server after a number of transfers or
    /// after a time without requests. Inside of `Handler::with_auth`, requests without a password do not
    /// count.
    ///
    /// ```no_run
    /// use std::num::NonZeroU64;
    /// use doorstep_blocking::{Files, Handler, Server, StopConditions};
    ///
    /// let server = Server::bind("127.0.0.1:8000")?;
    /// let once = StopConditions::new(server.shutdown_handle()).with_count(NonZeroU64::MIN);
    /// let service = Files::file("report.pdf")?.with_stop_conditions(once.clone());
    /// server.serve(service)?; // returns when the file was downloaded
    /// assert!(once.report().is_count_reached());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    fn with_stop_conditions(self, conditions: StopConditions) -> WithStopConditions<Self>
    where
        Self: Sized,
    {
        WithStopConditions::new(self, conditions)
    }

    /// This handler, for the users of `auth` only (RFC 7617): it is called for a request with the name
    /// and the password of one of them, and for those that need none ([`Auth::with_open_path`]). Others
    /// get a 401, before anything of their body is read. The user is [`Exchange::user`].
    ///
    /// ```no_run
    /// use doorstep_blocking::{Auth, Files, Handler, Server};
    ///
    /// let auth = Auth::from_file("users")?.with_realm("Staff")?.with_open_path("/health");
    /// let service = Files::new(".")?.with_auth(auth);
    /// Server::bind("127.0.0.1:8000")?.serve(service)?
    /// # ;Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`Exchange::user`]: crate::ExchangeView::user
    #[cfg(feature = "auth")]
    fn with_auth(self, auth: Auth) -> WithAuth<Self>
    where
        Self: Sized,
    {
        WithAuth::new(self, auth)
    }
}

impl<F> Handler for F
where
    F: Fn(&mut Exchange<'_>) -> io::Result<()> + Send + Sync + 'static,
{
    fn handle(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self(exchange)
    }
}

/// Implements [`Handler`] for a pointer to one, method by method.
macro_rules! delegate {
    ($($method:ident)*) => {
        $(fn $method(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
            (**self).$method(exchange)
        })*
    };
}

/// A handler that other code shares with the server.
impl<H: Handler + ?Sized> Handler for Arc<H> {
    delegate! { get head post put delete options patch fallback expect dispatch handle }
    fn observer(&self) -> &dyn Observer {
        (**self).observer()
    }
}

/// A handler that is chosen when the program runs.
impl Handler for Box<dyn Handler> {
    delegate! { get head post put delete options patch fallback expect dispatch handle }
    fn observer(&self) -> &dyn Observer {
        (**self).observer()
    }
}

/// The health check responds, or the handler behind it.
impl<H: Handler> Handler for Health<H> {
    fn handle(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        match self.check(exchange.head(), exchange.is_stopping()) {
            Some(health) => health.send(exchange.respond(health.status())),
            None => (**self).handle(exchange),
        }
    }
    fn observer(&self) -> &dyn Observer {
        (**self).observer()
    }
}

/// The result of [`Handler::with_observer`].
impl<H: Handler, O: Observer + 'static> Handler for WithObserver<H, O> {
    delegate! { get head post put delete options patch fallback expect dispatch handle }
    fn observer(&self) -> &dyn Observer {
        self
    }
}

/// The result of [`Handler::with_stop_conditions`].
impl<H: Handler> Handler for WithStopConditions<H> {
    fn handle(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        match self.conditions().begin(exchange.state())? {
            TransferStart::Begun => self.handler().handle(exchange),
            TransferStart::Refused => Ok(()), // it was responded to
        }
    }
    fn fallback(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.handle(exchange)
    }
    fn observer(&self) -> &dyn Observer {
        self.handler().observer()
    }
}
