//! A stop at the moment when the server starts ends it.

use std::io;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use doorstep_blocking::{Exchange, Handler, Observer, Server, ShutdownHandle};

/// Stops the server from another thread as soon as it has started.
struct Stops(Arc<Mutex<Option<ShutdownHandle>>>);

impl Handler for Stops {
    fn handle(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        exchange.respond(204).body("")
    }
    fn observer(&self) -> &dyn Observer {
        self
    }
}

impl Observer for Stops {
    fn on_start(&self) {
        let handle = self.0.lock().expect("it is not poisoned").take();
        thread::spawn(move || handle.iter().for_each(ShutdownHandle::stop));
    }
}

#[test]
fn a_stop_during_the_start_is_not_lost() {
    for n in 0..300 {
        let server = Server::bind("127.0.0.1:0").unwrap();
        let handler = Stops(Arc::new(Mutex::new(Some(server.shutdown_handle()))));
        let (sender, ended) = mpsc::channel();
        thread::spawn(move || sender.send(server.serve(handler)));
        let served = ended.recv_timeout(Duration::from_secs(20));
        assert!(matches!(served, Ok(Ok(()))), "start {n}: {served:?}");
    }
}
