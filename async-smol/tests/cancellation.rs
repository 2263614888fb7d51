//! A handler may drop the future of a call before it is done, as a timeout does. The framing of its
//! connection holds all the same: what was sent counts, so the next response stands where it belongs,
//! or the connection closes.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use doorstep_async_smol::{Exchange, Handler, Server, ShutdownHandle};
use smol::Timer;
use smol::future;

/// More than the buffers of two sockets hold, in bytes.
const SIZE: usize = 32 << 20;

/// Promises [`SIZE`] bytes, gives up the call named by the path, and sends them again.
struct GivesUp(File);

impl Handler for GivesUp {
    async fn get(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        let path = exchange.head().path();
        if path == b"/next" {
            return exchange.respond(200).body("next");
        }
        exchange.respond(200).sized_body(SIZE as u64)?;
        let call = async {
            match path {
                b"/send-file" => exchange.send_file(&self.0, 0, SIZE as u64).await,
                _ => exchange.send(&vec![b'1'; SIZE]).await,
            }
        };
        let timeout = async {
            Timer::after(Duration::from_millis(100)).await;
            Err(io::ErrorKind::TimedOut.into())
        };
        let result = future::or(call, timeout).await;
        assert!(result.is_err(), "the client does not read it");
        let _ = exchange.send(&vec![b'2'; SIZE]).await; // whatever that returns
        Ok(())
    }
}

#[test]
fn a_call_that_is_given_up_does_not_break_the_framing() {
    let (address, shutdown, serving) = start();
    for path in ["/send-file", "/send"] {
        let mut client = TcpStream::connect(address).expect("it listens");
        client.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket can do that");
        let request = |path, end| format!("GET {path} HTTP/1.1\r\nHost: a\r\n{end}\r\n");
        let requests = request(path, "") + &request("/next", "Connection: close\r\n");
        client.write_all(requests.as_bytes()).expect("it reads");
        thread::sleep(Duration::from_millis(300)); // by now the call was given up
        let mut bytes = Vec::new();
        let _ = client.read_to_end(&mut bytes); // a reset is a visible abort
        let head = bytes.windows(4).position(|part| part == b"\r\n\r\n").expect("a head") + 4;
        if let Some(next) = bytes[head..].get(SIZE..).filter(|next| !next.is_empty()) {
            let start = next[..next.len().min(100)].escape_ascii();
            assert!(next.starts_with(b"HTTP/1.1 200 OK\r\n"), "{path}: {start}");
            assert!(next.ends_with(b"\r\n\r\nnext"), "{path}: {start}");
        }
    }
    shutdown.stop();
    serving.join().expect("it does not panic").expect("it stops");
}

fn start() -> (SocketAddr, ShutdownHandle, thread::JoinHandle<io::Result<()>>) {
    let file = tempfile::tempfile().expect("a temporary file can be made");
    file.set_len(SIZE as u64).expect("it can have holes");
    let server = Server::bind("127.0.0.1:0").expect("a free port");
    let (address, shutdown) = (server.addresses()[0], server.shutdown_handle());
    let serving = thread::spawn(move || smol::block_on(server.serve(GivesUp(file))));
    (address, shutdown, serving)
}
