//! When the server is full: who gives way, who waits, and that nothing spins.

use std::fs;
use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

use doorstep::blocking::Config;

use crate::drivers::{Driver, config, eventually};
use crate::service::State;
use crate::support::client::Client;
use crate::support::{Server, doorstep};

/// Long enough that what happens at once has most likely happened.
const MOMENT: Duration = Duration::from_millis(50);

on_every_driver! {
    fn b_286_the_longest_idle_connection_gives_way(driver: Driver) {
        let server = driver.start_with(State::app(), most(4));
        let mut idle: Vec<_> = (0..4)
            .map(|_| {
                let mut client = server.client();
                assert_eq!(client.ask("GET", "/a", &[]).body, b"GET /a\n");
                thread::sleep(MOMENT); // idle times can be told apart
                client
            })
            .collect();
        let mut newcomer = server.client();
        assert_eq!(newcomer.ask("GET", "/new", &[]).body, b"GET /new\n");
        assert_eq!(idle.remove(0).rest(), b"");
        for other in &mut idle {
            assert_eq!(other.ask("GET", "/b", &[]).body, b"GET /b\n");
        }
    }

    fn b_286_nobody_gives_way_to_nobody(driver: Driver) {
        let server = driver.start_with(State::app(), most(4));
        let mut idle: Vec<_> = (0..4).map(|_| server.client()).collect();
        for client in &mut idle {
            assert_eq!(client.ask("GET", "/a", &[]).body, b"GET /a\n");
        }
        thread::sleep(4 * MOMENT);
        for client in &mut idle {
            assert_eq!(client.ask("GET", "/b", &[]).body, b"GET /b\n");
        }
    }

    fn b_286_when_all_are_busy_a_newcomer_waits(driver: Driver) {
        let server = driver.start_with(State::app(), most(4));
        let mut busy: Vec<_> = (0..4).map(|_| server.client()).collect();
        for client in &mut busy {
            client.send(b"GET /test/wait HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        server.state.until_waiting(4);
        let mut newcomer = server.client();
        newcomer.send(b"GET /new HTTP/1.1\r\nHost: a\r\n\r\n");
        thread::sleep(MOMENT);
        assert!(newcomer.is_silent());
        server.state.let_go(1);
        assert_eq!(newcomer.answer(false).body, b"GET /new\n");
        server.state.let_go(3);
        let answers = busy.into_iter().map(|mut client| client.answer(false).body);
        assert!(answers.into_iter().all(|body| body == b"waited\n"), "busy ones are not asked");
    }

    fn b_286_nobody_is_kept_out_by_idle_connections(driver: Driver) {
        for capacity in [16, 512] {
            let server = driver.start_with(State::app(), most(capacity));
            let _idle: Vec<_> = (0..200).map(|_| server.client()).collect();
            for _ in 0..5 {
                assert_eq!(server.client().ask("GET", "/new", &[]).body, b"GET /new\n");
            }
        }
    }

    fn one_connection_at_once_serves_everybody_in_turn(driver: Driver) {
        let server = driver.start_with(State::app(), most(1));
        for _ in 0..5 {
            assert_eq!(server.client().ask("GET", "/a", &[]).body, b"GET /a\n");
        }
    }

    fn fifty_clients_of_twenty_requests(driver: Driver) {
        let server = driver.start(State::app());
        let port = server.address.port();
        let clients: Vec<_> = (0..50)
            .map(|_| {
                thread::spawn(move || {
                    let mut client = Client::connect(port);
                    for n in 0..20 {
                        let body = client.ask("GET", &format!("/{n}"), &[]).body;
                        assert_eq!(body, format!("GET /{n}\n").as_bytes());
                    }
                })
            })
            .collect();
        clients.into_iter().for_each(|client| client.join().expect("each is served"));
        assert_eq!(server.state.log(1000).len(), 1000);
    }

    fn without_descriptors_accepting_pauses_and_recovers(driver: Driver) {
        let root = tempfile::tempdir().expect("a temporary directory can be made");
        fs::write(root.path().join("a.txt"), "hello\n").expect("it can be written to");
        let limited = ["-c", "ulimit -n 100 && exec \"$0\" \"$@\""];
        let inner = doorstep(&["0", "-b", "127.0.0.1", "--runtime", driver.name(), "-d"]);
        let mut command = std::process::Command::new("sh");
        command.args(limited).arg(inner.get_program()).args(inner.get_args()).arg(root.path());
        let server = Server::start(&mut command);

        let mut early = server.client();
        assert_eq!(early.ask("GET", "/a.txt", &[]).status, 200);
        // In the middle of a head nobody is idle, so nobody gives way.
        let mut hungry: Vec<_> = (0..120)
            .map(|_| {
                let mut client = server.client();
                client.send(b"GET /a.txt HTTP/1.1\r\n");
                client
            })
            .collect();
        thread::sleep(4 * MOMENT);
        let before = cpu_time(server.id());
        thread::sleep(20 * MOMENT);
        let used = cpu_time(server.id()) - before;
        assert!(used < 50, "{used} of about 100 ticks"); // a spinning thread takes all of them

        assert_eq!(early.rest(), b"", "it was idle, and gave way");
        for client in hungry.iter_mut().take(10) {
            client.send(b"Host: a\r\n\r\n");
            let status = client.answer(false).status;
            assert!(matches!(status, 200 | 503), "{status}"); // there may be none left to open it
        }
        drop(hungry);
        // Those who gave up while they waited are still to be taken in and seen off.
        eventually("files are served again", || server.get("/a.txt").body == b"hello\n");
    }
}

fn most(max_connections: usize) -> Config {
    Config { max_connections: NonZeroUsize::new(max_connections), ..config() }
}

/// What a process has used so far, in ticks of the system's clock: nearly always a hundredth of a
/// second.
fn cpu_time(process: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("it runs, on Linux");
    let fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
    let ticks = fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number"));
    ticks.sum()
}
