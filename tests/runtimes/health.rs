//! The health check: what it responds, and that everything else goes to the handler behind it.

use crate::runtimes::{Runtime, ShippedRuntime, TestServer, config};
use crate::service::{self, State};
use doorstep::driver::Health;

on_every_runtime! {
    fn the_health_check_responds_at_its_path_only(runtime: ShippedRuntime) {
        let server = start(runtime, "/healthz");
        let mut client = server.client();
        let response = client.request("GET", "/healthz", &[]);
        assert_eq!((response.status, &response.body[..]), (200, &b"ok\n"[..]));
        assert_eq!(response.header("Cache-Control"), Some("no-store"));
        let response = client.request("HEAD", "/healthz?probe", &[]);
        assert_eq!((response.status, response.header("Content-Length")), (200, Some("3")));
        for (method, path) in [("POST", "/healthz"), ("GET", "/healthz/"), ("GET", "/a")] {
            let body = client.request(method, path, &[]).body;
            assert_ne!(body, b"ok\n", "{method} {path}");
        }
    }

    fn the_health_check_fails_once_a_shutdown_has_begun(runtime: ShippedRuntime) {
        let server = start(runtime, "/healthz");
        let mut client = server.client();
        assert_eq!(client.request("GET", "/healthz", &[]).status, 200);
        server.stop();
        let response = client.request("GET", "/healthz", &[]);
        assert_eq!((response.status, &response.body[..]), (503, &b"stopping\n"[..]));
        assert_eq!(response.header("Connection"), Some("close"));
    }

    fn without_a_path_there_is_no_health_check(runtime: ShippedRuntime) {
        let server = start(runtime, "");
        for path in ["", "/", "*"] {
            let body = server.client().request("GET", path, &[]).body;
            assert_ne!(body, b"ok\n", "{path}");
        }
    }
}

fn start(runtime: Runtime, path: &str) -> TestServer {
    let state = State::app();
    let blocking = Health::new(path, service::blocking::Service::new(state.clone()));
    let smol = Health::new(path, service::smol::Service::new(state.clone()));
    let tokio = service::tokio::Service::new(state.clone());
    runtime.start_handler(blocking, smol, tokio, state, config())
}
