//! A directory on several workers, whose connections are shared out in one of three ways, to compare
//! their costs:
//!
//! - `threads`: threads of one process that accept from one listener, as [`Server::run`] does;
//! - `reuseport`: threads of one process with a listener each (`SO_REUSEPORT`), among which the
//!   system distributes connections by a hash of the addresses;
//! - `processes`: processes with one worker each, which accept from one inherited listener.
//!
//! ```sh
//! cargo run --release --example workers threads 2 8000 .
//! ```
//!
//! With the tool that docs/choosing.md names, side by side:
//!
//! ```sh
//! W=target/release/examples/workers
//! ./peers.py --workers 2 --only nginx --workloads w1-64,w1-512,w4,w13 \
//!   --add "threads=$W threads {workers} {port} {root}" \
//!   --add "reuseport=$W reuseport {workers} {port} {root}" \
//!   --add "processes=$W processes {workers} {port} {root}"
//! ```

use std::env;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::process::Command;
use std::thread;

use doorstep_async_smol::{Files, Server};
use rustix::net::{AddressFamily, SocketType, bind, listen, socket, sockopt};

const USAGE: &str = "usage: workers threads|reuseport|processes WORKERS PORT DIRECTORY";

fn main() -> io::Result<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [mode, workers, port, directory] = &arguments[..] else {
        return Err(io::Error::other(USAGE));
    };
    let invalid = |_| io::Error::other(USAGE);
    let workers: NonZeroUsize = workers.parse().map_err(invalid)?;
    let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port.parse().map_err(invalid)?);
    match mode.as_str() {
        "threads" => serve(TcpListener::bind(address)?, directory, workers),
        "reuseport" => thread::scope(|scope| {
            let serve_own = || serve(listener_of_its_own(address)?, directory, NonZeroUsize::MIN);
            let others: Vec<_> = (1..workers.get()).map(|_| scope.spawn(serve_own)).collect();
            let served = serve_own();
            others.into_iter().fold(served, |served, other| {
                served.and(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            })
        }),
        "processes" => {
            let listener = TcpListener::bind(address)?;
            let child = || {
                let mut command = Command::new(env::current_exe()?);
                command.args(["inherited", "1", port, directory]);
                command.stdin(listener.as_fd().try_clone_to_owned()?).spawn()
            };
            let children = (0..workers.get()).map(|_| child()).collect::<io::Result<Vec<_>>>()?;
            children.into_iter().try_for_each(|mut child| child.wait().map(drop))
        }
        "inherited" => {
            let listener = io::stdin().as_fd().try_clone_to_owned()?;
            serve(TcpListener::from(listener), directory, NonZeroUsize::MIN)
        }
        _ => Err(io::Error::other(USAGE)),
    }
}

fn serve(listener: TcpListener, directory: &str, workers: NonZeroUsize) -> io::Result<()> {
    let server = Server::from_listeners(vec![listener])?;
    server.raise_descriptor_limit();
    server.run(Files::new(directory)?, workers)
}

/// One of several listeners on the same address.
fn listener_of_its_own(address: SocketAddrV4) -> io::Result<TcpListener> {
    let listener = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    sockopt::set_socket_reuseaddr(&listener, true)?;
    sockopt::set_socket_reuseport(&listener, true)?;
    bind(&listener, &address)?;
    listen(&listener, 1024)?;
    Ok(TcpListener::from(listener))
}
