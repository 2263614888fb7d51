//! Async functions as handlers.

use std::io;

use crate::exchange::Exchange;
use crate::handler::Handler;

/// Makes a handler of an async function or closure, which is called for every request.
///
/// ```no_run
/// use std::io;
/// use doorstep_async_smol::{Exchange, Server, handler_fn};
/// use smol::io::AsyncReadExt;
///
/// let handler = handler_fn(async |exchange: &mut Exchange<'_>| {
///     let mut body = String::new();
///     exchange.body().read_to_string(&mut body).await?;
///     exchange.respond(200).header("Content-Type", "text/plain").body(body)
/// });
/// smol::block_on(Server::bind("127.0.0.1:8000")?.serve(handler))
/// # ;Ok::<(), io::Error>(())
/// ```
///
/// The type of the argument must be written. The closure must capture nothing: today's Rust cannot
/// express that the future of one that does is `Send`. [`handler_fn_with`] passes it what it needs.
pub fn handler_fn<F>(function: F) -> impl Handler
where
    F: for<'x, 'a> AsyncHandlerFn<&'x mut Exchange<'a>> + Send + Sync + 'static,
{
    HandlerFn(function)
}

/// Makes a handler of an async function or closure and the state that it shares between requests.
///
/// ```no_run
/// use std::io;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use doorstep_async_smol::{Exchange, Server, handler_fn_with};
///
/// async fn count(visits: &AtomicU64, exchange: &mut Exchange<'_>) -> io::Result<()> {
///     let n = visits.fetch_add(1, Ordering::Relaxed) + 1;
///     exchange.respond(200).header("Content-Type", "text/plain").body(format!("{n}\n"))
/// }
///
/// let handler = handler_fn_with(AtomicU64::new(0), count);
/// smol::block_on(Server::bind("127.0.0.1:8000")?.serve(handler))
/// # ;Ok::<(), io::Error>(())
/// ```
pub fn handler_fn_with<S, F>(state: S, function: F) -> impl Handler
where
    S: Send + Sync + 'static,
    F: for<'x, 'a> AsyncHandlerFnWith<&'x S, &'x mut Exchange<'a>> + Send + Sync + 'static,
{
    HandlerFnWith(state, function)
}

struct HandlerFn<F>(F);

impl<F> Handler for HandlerFn<F>
where
    F: for<'x, 'a> AsyncHandlerFn<&'x mut Exchange<'a>> + Send + Sync + 'static,
{
    async fn handle(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        (self.0)(exchange).await
    }
}

struct HandlerFnWith<S, F>(S, F);

impl<S, F> Handler for HandlerFnWith<S, F>
where
    S: Send + Sync + 'static,
    F: for<'x, 'a> AsyncHandlerFnWith<&'x S, &'x mut Exchange<'a>> + Send + Sync + 'static,
{
    async fn handle(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        (self.1)(&self.0, exchange).await
    }
}

/// A function that returns a future. Its name for the type of the future is what the bounds of
/// [`handler_fn`] need: that type is another one for each lifetime of the argument.
pub trait AsyncHandlerFn<X>: Fn(X) -> Self::Future {
    /// The future of one call.
    type Future: Future<Output = io::Result<()>> + Send;
}

impl<X, F, R> AsyncHandlerFn<X> for F
where
    F: Fn(X) -> R,
    R: Future<Output = io::Result<()>> + Send,
{
    type Future = R;
}

/// The same for [`handler_fn_with`].
pub trait AsyncHandlerFnWith<S, X>: Fn(S, X) -> Self::Future {
    /// The future of one call.
    type Future: Future<Output = io::Result<()>> + Send;
}

impl<S, X, F, R> AsyncHandlerFnWith<S, X> for F
where
    F: Fn(S, X) -> R,
    R: Future<Output = io::Result<()>> + Send,
{
    type Future = R;
}
