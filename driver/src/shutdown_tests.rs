//! The steps of a shutdown, taken without waiting, and the reports to the observer.

use std::fs::File;
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use doorstep_core::http1::WaitingFor;
use event_listener::Listener;

use super::*;
use crate::cgi::ProcessLimit;
use crate::connections::Registration;
use crate::net::{self, Acceptor};
use crate::os::Command;

/// In milliseconds.
fn schedule(grace: Duration, lame_duck: Duration, shutdown_step: Duration) -> [u128; 4] {
    let config = Config { shutdown_grace: grace, lame_duck, shutdown_step, ..Config::default() };
    let all = ShutdownSchedule::new(&config);
    [all.close_idle, all.grace_expired, all.abort, all.end].map(|at| at.as_millis())
}

#[test]
fn r_28_every_step_is_within_the_grace() {
    let second = Duration::from_secs(1);
    let steps = |grace, lame_duck| schedule(grace, lame_duck, second);
    assert_eq!(steps(8 * second, second), [1000, 6000, 7000, 8000]);
    assert_eq!(steps(30 * second, second), [1000, 28_000, 29_000, 30_000]);
    assert_eq!(steps(second, second), [875, 750, 875, 1000]);
    assert_eq!(steps(second / 2, Duration::ZERO), [0, 300, 400, 500]);
    assert_eq!(steps(Duration::ZERO, second), [0, 0, 0, 100], "time for the abort");
    assert!(steps(Duration::MAX, Duration::MAX)[3] > 1 << 41);
    assert_eq!(schedule(80 * second, second, 5 * second), [1000, 70_000, 75_000, 80_000]);
    assert_eq!(schedule(8 * second, second, Duration::ZERO), [1000, 7800, 7900, 8000]);
}

#[test]
fn r_28_the_wait_for_killed_processes_scales_with_the_grace() {
    let killed = |grace| {
        let config = Config { shutdown_grace: grace, ..Config::default() };
        let schedule = ShutdownSchedule::new(&config);
        (schedule.killed - schedule.end).as_millis()
    };
    let second = Duration::from_secs(1);
    assert_eq!([8 * second, 4 * second, 60 * second].map(killed), [500, 250, 500]);
    assert_eq!([Duration::ZERO, Duration::MAX].map(killed), [100, 500]);
}

#[derive(Default)]
struct Seen {
    calls: Mutex<Vec<&'static str>>,
    processes: Option<ProcessLimit>,
}

impl Seen {
    fn calls(&self) -> Vec<&'static str> {
        self.calls.lock().unwrap().clone()
    }
}

impl Observer for Seen {
    fn on_shutdown(&self) {
        self.calls.lock().unwrap().push("shutdown");
    }
    fn on_grace_expired(&self) {
        self.calls.lock().unwrap().push("expired");
    }
    fn on_stopped(&self, _: &ShutdownReport) {
        self.calls.lock().unwrap().push("stopped");
    }
    fn processes(&self) -> Option<&ProcessLimit> {
        self.processes.as_ref()
    }
}

fn server() -> ShutdownHandle {
    let listeners = net::bind(Some("127.0.0.1"), 0).unwrap();
    let acceptor = Arc::new(Acceptor::nonblocking(listeners).unwrap());
    ShutdownHandle::new(acceptor)
}

fn connect(handle: &ShutdownHandle) -> TcpStream {
    TcpStream::connect(handle.acceptor.addresses()[0]).unwrap()
}

/// A connection that waits for its first request, and the client.
fn idle(handle: &ShutdownHandle) -> (Registration<'_>, TcpStream) {
    let client = connect(handle);
    assert!(handle.acceptor.wait_readable(Duration::from_secs(10)).unwrap());
    let stream = handle.acceptor.try_accept().unwrap().unwrap();
    let registration = handle.connections.register_stream(stream);
    registration.begin_wait(WaitingFor::Request);
    (registration, client)
}

/// Whether reading is over.
fn is_closed(connection: &Registration<'_>) -> bool {
    matches!(connection.stream().read(&mut [0]), Ok(0))
}

#[test]
fn b_282_connections_that_stay_open_are_aborted_after_every_other_step() {
    let (handle, config, seen) = (server(), Config::default(), Seen::default());
    let (connection, _client) = idle(&handle);
    let _in_the_backlog = connect(&handle);
    handle.stop();
    assert!(connection.should_close());
    let at = ShutdownSchedule::new(&config);
    let mut shutdown = GracefulShutdown::new(&handle, &config);

    assert_eq!(seen.calls(), [""; 0]);
    assert_eq!(shutdown.step(&seen, false), Some(at.close_idle));
    assert!(!is_closed(&connection), "it may send one more request");
    assert_eq!(seen.calls(), ["shutdown"]);
    assert_eq!(shutdown.step(&seen, false), Some(at.grace_expired));
    assert!(is_closed(&connection), "it was idle, and was closed");
    assert_eq!(seen.calls(), ["shutdown"]);
    assert_eq!(shutdown.step(&seen, false), Some(at.abort));
    assert_eq!(seen.calls(), ["shutdown", "expired"]);
    assert_eq!((handle.connections.aborted(), handle.acceptor.backlog_len()), (0, 1));
    assert_eq!(shutdown.step(&seen, false), Some(at.end));
    assert_eq!((handle.connections.aborted(), handle.acceptor.backlog_len()), (2, 0));
    assert_eq!(shutdown.step(&seen, false), None);
    assert_eq!(shutdown.step(&seen, false), None);

    assert_eq!(shutdown.step_processes(&seen, false), None);
    let report = shutdown.finish(&seen);
    assert_eq!((report.aborted, seen.calls()), (2, vec!["shutdown", "expired", "stopped"]));
    assert!(report.time_left <= at.end);
}

#[test]
fn b_282_a_shutdown_ends_with_the_last_connection_and_aborts_nothing() {
    for steps in 0..=3 {
        let (handle, config, seen) = (server(), Config::default(), Seen::default());
        let (connection, _client) = idle(&handle);
        handle.stop();
        let mut shutdown = GracefulShutdown::new(&handle, &config);
        for _ in 0..steps {
            assert!(shutdown.step(&seen, false).is_some());
        }
        assert!(!handle.all_closed());
        drop(connection);
        assert!(handle.all_closed());
        assert_eq!(shutdown.step(&seen, true), None);
        assert_eq!(shutdown.step(&seen, false), None, "it stays over");
        assert_eq!(shutdown.finish(&seen).aborted, 0);
        assert_eq!(seen.calls().contains(&"expired"), steps >= 3);
    }
}

#[test]
fn b_282_several_workers_take_each_step_once() {
    let (handle, config, seen) = (server(), Config::default(), Seen::default());
    let connections = [(); 3].map(|()| idle(&handle));
    let _in_the_backlog = [(); 2].map(|()| connect(&handle));
    handle.stop();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut shutdown = GracefulShutdown::new(&handle, &config);
                while shutdown.step(&seen, false).is_some() {}
            });
        }
    });
    drop(connections);
    let report = GracefulShutdown::new(&handle, &config).finish(&seen);
    assert_eq!((report.aborted, seen.calls()), (5, vec!["shutdown", "expired", "stopped"]));
}

#[test]
fn b_282_processes_have_the_rest_of_the_grace_and_are_then_killed() {
    let (handle, config) = (server(), Config::default());
    let seen = Seen { processes: Some(ProcessLimit::new(2, 0)), ..Seen::default() };
    let processes = seen.processes.as_ref().unwrap();
    let mut start = Command::new(Path::new("/bin/sleep")).unwrap();
    start.arg(b"60").unwrap();
    let stdin = File::open("/dev/null").unwrap();
    let mut process = start.spawn(&stdin, processes.try_acquire().unwrap()).unwrap();
    handle.stop();

    let mut shutdown = GracefulShutdown::new(&handle, &config);
    assert_eq!(shutdown.step(&seen, true), None);
    assert!(!process.should_terminate());
    let most = shutdown.step_processes(&seen, false).unwrap();
    assert!(most > config.shutdown_grace / 2 && most <= config.shutdown_grace);
    assert!(process.should_terminate() && !process.has_exited());
    assert_eq!(shutdown.step_processes(&seen, false), Some(config.kill_wait));
    assert_eq!(process.reap().unwrap().signal(), Some(9));
    assert_eq!(shutdown.step_processes(&seen, false), None);
    drop(process);
    shutdown.finish(&seen);
    assert_eq!(seen.calls(), ["shutdown", "stopped"]);
}

#[test]
fn b_282_the_shutdown_ends_with_the_last_process() {
    let (handle, config) = (server(), Config::default());
    let seen = Seen { processes: Some(ProcessLimit::new(2, 0)), ..Seen::default() };
    handle.stop();
    let mut shutdown = GracefulShutdown::new(&handle, &config);
    assert!(shutdown.step_processes(&seen, false).is_some());
    assert!(seen.processes().unwrap().try_acquire().is_none(), "no more of them start");
    assert_eq!(shutdown.step_processes(&seen, true), None);
}

#[test]
fn the_shutdown_of_a_server_that_could_not_serve_is_reported_too() {
    let (handle, seen) = (server(), Seen::default());
    handle.stop();
    GracefulShutdown::new(&handle, &Config::default()).finish(&seen);
    assert_eq!(seen.calls(), ["shutdown", "stopped"]);
}

#[test]
fn a_stop_is_announced_to_all_clones() {
    let (handle, other_server) = (server(), server());
    let listener = handle.stopping().into_listener().unwrap();
    handle.clone().stop();
    listener.wait();
    assert!(handle.is_stopping() && handle.stopping().into_listener().is_none());
    assert!(!other_server.is_stopping() && other_server.stopping().into_listener().is_some());
}

#[test]
fn a_wait_is_divided_into_steps_and_ends() {
    let handle = server();
    handle.stop();
    assert_eq!(handle.next_wait(Duration::MAX), Some(crate::os::POLL_INTERVAL));
    assert_eq!(handle.next_wait(Duration::ZERO), None);
    let millisecond = Duration::from_millis(1);
    std::thread::sleep(2 * millisecond);
    assert_eq!(handle.next_wait(millisecond), None);
}

#[test]
#[cfg(all(target_os = "linux", not(feature = "portable")))]
fn b_282_the_wait_for_silent_connections_is_part_of_the_time() {
    let handle = server();
    handle.acceptor.force_deferral();
    let _silent = connect(&handle);
    handle.stop();
    assert_eq!(handle.acceptor.backlog_len(), 1);
    assert!(handle.connections.shutdown_elapsed() > Duration::from_millis(200));
}

#[test]
fn a_stop_on_a_thread_is_one() {
    let handle = server();
    let (stopped, is_stopped) = std::sync::mpsc::channel();
    let connections = handle.connections.clone();
    handle.stop_on_thread(move || {
        let id = std::thread::current().id();
        stopped.send((id, connections.is_stopping())).unwrap();
    });
    let (id, is_stopping) = is_stopped.recv().unwrap();
    assert!(is_stopping && id != std::thread::current().id());
}
