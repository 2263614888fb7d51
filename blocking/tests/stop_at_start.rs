//! The start: it is reported before anything is served, and a stop at that moment ends the server.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use doorstep_blocking::{Exchange, Handler, Observer, Record, Server, ShutdownHandle};

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

/// Records the start, which takes its time, and the responses.
struct Events(Arc<Mutex<Vec<&'static str>>>);

impl Handler for Events {
    fn handle(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        exchange.respond(204).body("")
    }
    fn observer(&self) -> &dyn Observer {
        self
    }
}

impl Observer for Events {
    fn on_start(&self) {
        thread::sleep(Duration::from_millis(50));
        self.0.lock().unwrap().push("start");
    }
    fn log(&self, _: &Record<'_>) {
        self.0.lock().unwrap().push("response");
    }
}

#[test]
fn the_start_is_reported_before_anything_is_served() {
    let server = Server::bind("127.0.0.1:0").unwrap();
    let (events, shutdown) = (Arc::default(), server.shutdown_handle());
    let mut client = TcpStream::connect(server.addresses()[0]).unwrap();
    client.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let handler = Events(Arc::clone(&events));
    let serving = thread::spawn(move || server.serve(handler));
    client.read_to_end(&mut Vec::new()).unwrap();
    shutdown.stop();
    serving.join().unwrap().unwrap();
    assert_eq!(*events.lock().unwrap(), ["start", "response"]);
}
