//! A port that several processes listen on (`SO_REUSEPORT`), while one of them stops.
//!
//! Linux chooses one of the listeners for each connection. A listener that is closed resets the
//! handshakes that have begun on it, so it has to live for longer than a handshake takes, and no
//! further one may begin on it meanwhile. [`redirect`] attaches a program to the port (classic BPF)
//! that chooses the second listener in the order in which they began to listen: with two of them,
//! that is the new one. With one, or where the system refuses it, the choice stays with the kernel.
//! If more than two processes share the port, that may be this listener, too, and its last
//! connections are accepted.

#[cfg(target_os = "linux")]
use std::os::fd::AsFd;

/// From now on connections begin on the second listener of the port.
#[cfg(target_os = "linux")]
pub(super) fn redirect(listener: &impl AsFd) {
    attach(listener, 1);
}

/// Leaves the choice to the kernel again, for the listeners that are left.
#[cfg(target_os = "linux")]
pub(super) fn restore(listener: &impl AsFd) {
    attach(listener, u32::MAX); // there is no such listener
}

/// Whether the port of this listener may be shared.
#[cfg(target_os = "linux")]
pub(super) fn is_shared(listener: &impl AsFd) -> bool {
    crate::os::LINUX && rustix::net::sockopt::socket_reuseport(listener).unwrap_or(false)
}

/// Attaches a program that chooses the listener with this number, from 0.
#[cfg(target_os = "linux")]
fn attach(listener: &impl AsFd, number: u32) {
    use nix::libc::{BPF_K, BPF_RET, sock_filter, sock_fprog};
    use nix::sys::socket::{setsockopt, sockopt::AttachReusePortCbpf};

    let mut program = [sock_filter { code: (BPF_RET | BPF_K) as u16, jt: 0, jf: 0, k: number }];
    let program = sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    let _ = setsockopt(&listener.as_fd(), AttachReusePortCbpf, &program);
}

#[cfg(not(target_os = "linux"))]
pub(super) fn redirect(_: &super::Listener) {}

#[cfg(not(target_os = "linux"))]
pub(super) fn restore(_: &super::Listener) {}

#[cfg(not(target_os = "linux"))]
pub(super) fn is_shared(_: &super::Listener) -> bool {
    false
}

#[cfg(all(test, target_os = "linux", not(feature = "portable")))]
mod tests {
    use std::io::Write;
    use std::net::TcpStream;
    use std::thread;

    use crate::net::{Acceptor, BindOptions, bind_with};

    fn acceptor(port: u16) -> Acceptor {
        let options = BindOptions { reuse_port: true, ..BindOptions::default() };
        let listeners = bind_with(Some("127.0.0.1"), port, &options).expect("it may be shared");
        Acceptor::nonblocking(listeners).expect("it listens")
    }

    #[test]
    fn b_282_a_stop_hands_the_port_over_and_loses_no_connection() {
        let old = acceptor(0);
        let address = old.addresses()[0];
        let new = acceptor(address.port());
        // Those that send nothing may be accepted later, since there are so many (`deferral.rs`).
        let connect = |n: usize| -> Vec<_> {
            let connect = |_| TcpStream::connect(address).unwrap();
            (0..n).map(connect).inspect(|mut client| client.write_all(b"x").unwrap()).collect()
        };
        let accepted =
            |acceptor: &Acceptor| std::iter::from_fn(|| acceptor.try_accept().unwrap()).count();
        let clients = thread::scope(|scope| {
            let stop = scope.spawn(|| old.stop());
            let mut clients = Vec::new();
            while !stop.is_finished() && clients.len() < 500 {
                clients.extend(connect(1));
            }
            stop.join().unwrap();
            clients
        });
        let of_old = accepted(&old);
        assert_eq!(of_old + accepted(&new), clients.len());
        let _more = connect(50);
        assert_eq!((accepted(&old), accepted(&new)), (0, 50));
    }
}
