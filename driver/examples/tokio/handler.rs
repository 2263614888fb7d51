//! What an application implements: the methods of the other front ends' handlers.

use std::io;

use super::Exchange;
use doorstep_driver::Observer;

macro_rules! methods {
    ($($name:literal: $method:ident calls $other:ident,)*) => {
        $(fn $method(&self, x: &mut Exchange<'_>) -> impl Future<Output = io::Result<()>> + Send {
            self.$other(x)
        })*
        fn handle(&self, x: &mut Exchange<'_>) -> impl Future<Output = io::Result<()>> + Send {
            async {
                match x.head().method() {
                    $($name => self.$method(x).await,)*
                    _ => self.fallback(x).await,
                }
            }
        }
    };
}

/// Responds to requests, many of them at once.
pub trait Handler: Send + Sync + 'static {
    methods! {
        b"GET": get calls fallback, b"HEAD": head calls get, b"POST": post calls fallback,
        b"PUT": put calls fallback, b"DELETE": delete calls fallback,
        b"OPTIONS": options calls fallback, b"PATCH": patch calls fallback,
    }
    /// Every other request.
    fn fallback(&self, x: &mut Exchange<'_>) -> impl Future<Output = io::Result<()>> + Send {
        async { x.unsupported() }
    }
    /// The client waits for `100 Continue`: a response that is given here refuses the request.
    fn expect(&self, _: &mut Exchange<'_>) -> impl Future<Output = io::Result<()>> + Send {
        async { Ok(()) }
    }
    fn observer(&self) -> &dyn Observer {
        &()
    }
}

impl<F: Fn(&mut Exchange<'_>) -> io::Result<()> + Send + Sync + 'static> Handler for F {
    async fn handle(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        self(x)
    }
}
