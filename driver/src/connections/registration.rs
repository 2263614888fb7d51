//! The entry of a connection in the table, which is removed exactly once.

use std::fmt;
use std::net::{SocketAddr, TcpStream};
use std::ops::Deref;
use std::sync::Arc;

use super::{ConnectionHandle, Connections};
use crate::net::Stream;

/// A connection in the table of all connections. Dropping it removes the connection from the table,
/// drops its [`ConnectionHandle`], and then notifies the listeners of
/// [`Connections::listen_unregister`], in this order: if nothing else holds the handle, the socket
/// is closed before anything is notified.
///
/// It cannot be cloned, and nothing else removes a connection. So none can be removed twice, which
/// would remove another connection in its place:
///
/// ```compile_fail,E0382
/// # use doorstep_driver::connections::Registration;
/// fn unregister_twice(registration: Registration<'_>) {
///     drop(registration);
///     drop(registration);
/// }
/// ```
///
/// It is two words long.
pub type Registration<'t> = Registered<&'t Connections>;

/// A [`Registration`] that shares the table, for front ends whose tasks or threads can borrow
/// nothing: [`Connections::register_shared`].
pub type SharedRegistration = Registered<Arc<Connections>>;

/// What [`Registration`] and [`SharedRegistration`] have in common. `T` is how the table is held.
#[must_use = "dropping it removes the connection from the table"]
pub struct Registered<T: Deref<Target = Connections>> {
    // The order matters: fields are dropped from the first to the last.
    connection: Arc<ConnectionHandle>,
    table: NotifyOnDrop<T>,
}

/// Notifies the listeners of [`Connections::listen_unregister`] when it is dropped.
struct NotifyOnDrop<T: Deref<Target = Connections>>(T);

const _: () = assert!(
    size_of::<Registration<'_>>() == 2 * size_of::<usize>(),
    "each idle connection of an asynchronous front end holds one"
);

impl Connections {
    /// Adds a TCP connection to the table, until the [`Registration`] is dropped.
    ///
    /// ```
    /// # use std::net::{TcpListener, TcpStream};
    /// use doorstep_driver::connections::Connections;
    ///
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let client = TcpStream::connect(listener.local_addr()?)?;
    /// let connections = Connections::default();
    /// let (stream, peer) = listener.accept()?;
    /// let registration = connections.register(stream, peer);
    /// assert_eq!((connections.len(), registration.peer()), (1, peer));
    ///
    /// drop(registration);
    /// assert!(connections.is_empty());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn register(&self, stream: TcpStream, peer: SocketAddr) -> Registration<'_> {
        self.register_stream(Stream::tcp(stream, peer))
    }

    /// Adds a connection of any kind, as [`Connections::register`] does.
    pub fn register_stream(&self, stream: Stream) -> Registration<'_> {
        Registered { connection: self.insert(stream), table: NotifyOnDrop(self) }
    }

    /// Adds a connection of any kind; the registration borrows nothing. For a task that is spawned for
    /// the connection: it counts as open before that, so that no more are accepted than there may be.
    pub fn register_shared(self: &Arc<Self>, stream: Stream) -> SharedRegistration {
        Registered { connection: self.insert(stream), table: NotifyOnDrop(self.clone()) }
    }
}

impl<'t> Registration<'t> {
    /// The table that the connection is in.
    #[must_use]
    pub fn connections(&self) -> &'t Connections {
        self.table.0
    }
}

impl SharedRegistration {
    /// The table that the connection is in.
    #[must_use]
    pub fn connections(&self) -> &Connections {
        &self.table.0
    }
}

impl<T: Deref<Target = Connections>> Deref for Registered<T> {
    type Target = Arc<ConnectionHandle>;

    fn deref(&self) -> &Self::Target {
        &self.connection
    }
}

impl<T: Deref<Target = Connections>> Drop for Registered<T> {
    fn drop(&mut self) {
        self.table.0.remove(&self.connection);
        // Then the fields: the handle, and after it the notification.
    }
}

impl<T: Deref<Target = Connections>> Drop for NotifyOnDrop<T> {
    fn drop(&mut self) {
        self.0.unregistered.notify(usize::MAX);
    }
}

impl<T: Deref<Target = Connections>> fmt::Debug for Registered<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registration").field(&self.connection).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpListener;
    use std::pin::pin;
    use std::sync::Mutex;
    use std::task::{Context, Wake};

    /// A registered connection, and the client's end of it.
    fn accept<'t>(
        listener: &TcpListener,
        connections: &'t Connections,
    ) -> (Registration<'t>, TcpStream) {
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, peer) = listener.accept().unwrap();
        (connections.register(stream, peer), client)
    }

    #[test]
    fn each_registration_removes_its_own_connection_in_any_order() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connections = Connections::default();
        let (mut registered, _clients): (Vec<_>, Vec<_>) =
            (0..5).map(|_| accept(&listener, &connections)).unzip();
        for index in [1, 3, 0, 1, 0] {
            drop(registered.remove(index));
            let listed = |connection: &Registration<'_>| {
                let table = connections.table();
                table.entries.iter().any(|entry| Arc::ptr_eq(&entry.connection, connection))
            };
            assert!(registered.iter().all(listed));
            assert_eq!(connections.len(), registered.len());
        }
    }

    #[test]
    fn a_shared_registration_outlives_what_it_was_made_with() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, peer) = listener.accept().unwrap();
        let connections = Arc::<Connections>::default();
        let registration = connections.register_shared(Stream::tcp(stream, peer));
        let table = Arc::downgrade(&connections);
        drop(connections);
        let served = std::thread::spawn(move || registration.connections().len());
        assert_eq!((served.join().unwrap(), (&client).read(&mut [0]).unwrap()), (1, 0));
        assert_eq!(table.strong_count(), 0);
    }

    /// Reads from the client's end at the moment of the notification.
    struct ReadOnWake(TcpStream, Mutex<Vec<Option<usize>>>);

    impl Wake for ReadOnWake {
        fn wake(self: Arc<Self>) {
            self.1.lock().unwrap().push((&self.0).read(&mut [0]).ok());
        }
    }

    #[test]
    fn the_socket_is_closed_before_listeners_are_notified() {
        for held_elsewhere in [false, true] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let connections = Connections::default();
            let (registration, client) = accept(&listener, &connections);
            let other = held_elsewhere.then(|| registration.clone());
            client.set_nonblocking(true).unwrap();
            let waker = Arc::new(ReadOnWake(client, Mutex::default()));
            let mut unregistered = pin!(connections.listen_unregister());
            let waits = unregistered.as_mut().poll(&mut Context::from_waker(&waker.clone().into()));
            assert!(waits.is_pending());
            drop(registration);
            let end_of_input = if held_elsewhere { None } else { Some(0) };
            assert_eq!(*waker.1.lock().unwrap(), [end_of_input]);
            drop(other);
        }
    }
}
