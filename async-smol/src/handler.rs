//! Handlers: what an application implements, with one method for each method of HTTP.
//!
//! ```no_run
//! use std::io;
//! use doorstep_async_smol::{Exchange, Handler, Server};
//!
//! struct Hello;
//!
//! impl Handler for Hello {
//!     async fn get(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
//!         exchange.respond(200).header("Content-Type", "text/plain").body("hello\n")
//!     }
//! }
//!
//! smol::block_on(Server::bind("127.0.0.1:8000")?.serve(Hello))
//! # as std::io::Result<()>
//! # ;Ok::<(), io::Error>(())
//! ```
//!
//! [`handler_fn`](crate::handler_fn) makes a handler of an async function or closure. A closure that
//! does not await is a handler, too, for every method. So is `Arc<H>`.
//!
//! The server calls [`Handler::handle`] and [`Handler::observer`], and nothing else. So a handler that
//! wraps another one overrides these two; methods and expectations are those of the other. It
//! passes requests on by `handle`: if it called `get` of the other one, a handler that overrides only
//! `handle`, such as a closure, would respond 501.
//!
//! ```no_run
//! # use std::io;
//! # use doorstep_async_smol::{Exchange, Files, Handler, Observer, Server};
//! /// Asks for a password below one path (RFC 7617).
//! struct BasicAuth<H>(H);
//!
//! impl<H: Handler> Handler for BasicAuth<H> {
//!     async fn handle(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
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
//!         self.0.handle(exchange).await
//!     }
//!     fn observer(&self) -> &dyn Observer {
//!         self.0.observer()
//!     }
//! }
//!
//! let app = BasicAuth(Files::new(".")?);
//! smol::block_on(Server::bind("127.0.0.1:8000")?.serve(app))
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
//! # use doorstep_async_smol::{Exchange, Handler};
//! struct App;
//!
//! impl Handler for App {
//!     async fn handle(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
//!         match exchange.head().host() {
//!             Some(b"www.example.org") => self.dispatch(exchange).await,
//!             _ => exchange.respond(421).error_page(""),
//!         }
//!     }
//!     async fn get(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
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
///
/// Local variables that live across an `.await` are part of the future of each request: put large buffers
/// on the heap, as `vec![0; 8 << 10]`, not as `[0; 8 << 10]`.
pub trait Handler: Send + Sync + 'static {
    /// GET.
    ///
    /// # Errors
    /// Returns an error if the handler cannot respond; so do all methods.
    fn get(&self, exchange: &mut Exchange<'_>) -> impl Future<Output = io::Result<()>> + Send {
        self.fallback(exchange)
    }
    /// HEAD.
    ///
    /// # Errors
    /// As for [`Handler::get`].
    fn head(&self, exchange: &mut Exchange<'_>) -> impl Future<Output = io::Result<()>> + Send {
        self.get(exchange)
    }
    /// POST.
    ///
    /// # Errors
    /// As for [`Handler::get`].
    fn post(&self, exchange: &mut Exchange<'_>) -> impl Future<Output = io::Result<()>> + Send {
        self.fallback(exchange)
    }
    /// PUT.
    ///
    /// # Errors
    /// As for [`Handler::get`].
    fn put(&self, exchange: &mut Exchange<'_>) -> impl Future<Output = io::Result<()>> + Send {
        self.fallback(exchange)
    }
    /// DELETE.
    ///
    /// # Errors
    /// As for [`Handler::get`].
    fn delete(&self, exchange: &mut Exchange<'_>) -> impl Future<Output = io::Result<()>> + Send {
        self.fallback(exchange)
    }
    /// OPTIONS.
    ///
    /// # Errors
    /// As for [`Handler::get`].
    fn options(&self, exchange: &mut Exchange<'_>) -> impl Future<Output = io::Result<()>> + Send {
        self.fallback(exchange)
    }
    /// PATCH.
    ///
    /// # Errors
    /// As for [`Handler::get`].
    fn patch(&self, exchange: &mut Exchange<'_>) -> impl Future<Output = io::Result<()>> + Send {
        self.fallback(exchange)
    }
    /// Every request whose method has no method here, or one that is not overridden (B-302).
    ///
    /// # Errors
    /// As for [`Handler::get`].
    fn fallback(&self, exchange: &mut Exchange<'_>) -> impl Future<Output = io::Result<()>> + Send {
        async { exchange.unsupported() }
    }

    /// The client waits for `100 Continue` before it sends the body. A response given here refuses
    /// the request (with 417, for example), and no other method is called (B-053). If none is given,
    /// `100 Continue` is sent when the body is first read (B-050; RFC 9110 §10.1.1).
    /// [`Handler::dispatch`] calls it.
    ///
    /// # Errors
    /// As for [`Handler::get`].
    fn expect(&self, exchange: &mut Exchange<'_>) -> impl Future<Output = io::Result<()>> + Send {
        async {
            let _ = exchange;
            Ok(())
        }
    }

    /// Calls [`Handler::expect`] if the client waits for `100 Continue`, and then the method for the
    /// request's method, unless `expect` has responded. A handler that overrides
    /// [`Handler::handle`] calls it for the requests that it lets pass.
    ///
    /// # Errors
    /// As for [`Handler::get`].
    fn dispatch(&self, exchange: &mut Exchange<'_>) -> impl Future<Output = io::Result<()>> + Send {
        async {
            if exchange.expects_continue() {
                self.expect(exchange).await?;
                if exchange.has_responded() {
                    return Ok(());
                }
            }
            match exchange.head().method() {
                b"GET" => self.get(exchange).await,
                b"HEAD" => self.head(exchange).await,
                b"POST" => self.post(exchange).await,
                b"PUT" => self.put(exchange).await,
                b"DELETE" => self.delete(exchange).await,
                b"OPTIONS" => self.options(exchange).await,
                b"PATCH" => self.patch(exchange).await,
                _ => self.fallback(exchange).await,
            }
        }
    }

    /// Responds to a request, whatever its method is. This is what the server calls. Override it to
    /// see every request first; by default it is [`Handler::dispatch`].
    ///
    /// # Errors
    /// As for [`Handler::get`].
    fn handle(&self, exchange: &mut Exchange<'_>) -> impl Future<Output = io::Result<()>> + Send {
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
    /// use doorstep_async_smol::{AccessLog, Files, Handler, Server};
    ///
    /// let service = Files::new(".")?.with_observer(AccessLog::stderr()?);
    /// Server::bind("127.0.0.1:8000")?.run(service, std::num::NonZeroUsize::MIN)?
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
    /// use doorstep_async_smol::{Files, Handler, Server, StopConditions};
    ///
    /// let server = Server::bind("127.0.0.1:8000")?;
    /// let once = StopConditions::new(server.shutdown_handle()).with_count(NonZeroU64::MIN);
    /// let service = Files::file("report.pdf")?.with_stop_conditions(once.clone());
    /// server.run(service, std::num::NonZeroUsize::MIN)?; // returns when the file was downloaded
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
    /// use doorstep_async_smol::{Auth, Files, Handler, Server};
    ///
    /// let auth = Auth::from_file("users")?.with_realm("Staff")?.with_open_path("/health");
    /// let service = Files::new(".")?.with_auth(auth);
    /// Server::bind("127.0.0.1:8000")?.run(service, std::num::NonZeroUsize::MIN)?
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
    async fn handle(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self(exchange)
    }
}

/// Implements [`Handler`] for a pointer to one, method by method.
macro_rules! delegate {
    ($($method:ident)*) => {
        $(fn $method(
            &self,
            exchange: &mut Exchange<'_>,
        ) -> impl Future<Output = io::Result<()>> + Send {
            (**self).$method(exchange)
        })*
    };
}

/// A handler that other code shares with the server.
impl<H: Handler> Handler for Arc<H> {
    delegate! { get head post put delete options patch fallback expect dispatch handle }
    fn observer(&self) -> &dyn Observer {
        (**self).observer()
    }
}

/// The health check responds, or the handler behind it.
impl<H: Handler> Handler for Health<H> {
    async fn handle(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        match self.check(exchange.head(), exchange.is_stopping()) {
            Some(health) => health.send(exchange.respond(health.status())),
            None => (**self).handle(exchange).await,
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
    async fn handle(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        match self.conditions().begin(exchange.state())? {
            TransferStart::Begun => self.handler().handle(exchange).await,
            TransferStart::Refused => Ok(()), // it was responded to
        }
    }
    async fn fallback(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.handle(exchange).await
    }
    fn observer(&self) -> &dyn Observer {
        self.handler().observer()
    }
}
