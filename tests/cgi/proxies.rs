//! Scripts behind a proxy: the client's address and scheme, and a server below a path of its proxy.

use doorstep::blocking::{CgiSettings, Config};

use crate::runtimes::{Runtime, config, with};
use crate::scripts::{ScriptServer, text};
use crate::support::client::Response;

on_every_runtime! {
    fn rfc_3875_4_1_8_the_client_is_the_one_that_a_trusted_proxy_reports(runtime: Runtime) {
        for (trusted, address, port, https) in
            [("127.0.0.1", "2001:db8::7", Some("5"), Some("on")), ("10.0.0.1", "127.0.0.1", None, None)]
        {
            let config = with(config(), |c| {
                c.trusted_proxies = trusted.parse().expect("it is an address");
            });
            let scripts = ScriptServer::configured(runtime, CgiSettings::default(), config);
            let mut client = scripts.client();
            let own_port = client.port().to_string();
            let header = "Forwarded: for=\"[2001:db8::7]:5\";proto=https";
            let response = client.request("GET", "/cgi-bin/myself", &[header]);
            assert_eq!(variable(&response, "REMOTE_ADDR"), Some(address));
            assert_eq!(variable(&response, "REMOTE_PORT"), Some(port.unwrap_or(&own_port)));
            assert_eq!(variable(&response, "HTTPS"), https);
            let header = "X-Forwarded-For: 192.0.2.7";
            let target = "/cgi-bin/local.sh?/cgi-bin/myself";
            let redirected = client.request("GET", target, &[header]);
            let expected = if port.is_some() { "192.0.2.7" } else { "127.0.0.1" };
            assert_eq!(variable(&redirected, "REMOTE_ADDR"), Some(expected), "the same client");
        }
    }

    fn rfc_3875_4_1_13_the_name_of_a_script_has_the_prefix(runtime: Runtime) {
        let scripts = below(runtime, "/docs");
        let response = scripts.get("/docs/cgi-bin/myself/a/b?c");
        assert_eq!(variable(&response, "SCRIPT_NAME"), Some("/docs/cgi-bin/myself"));
        assert_eq!(variable(&response, "PATH_INFO"), Some("/a/b"));
        assert_eq!(variable(&response, "REQUEST_URI"), Some("/docs/cgi-bin/myself/a/b?c"));
        let file = variable(&response, "SCRIPT_FILENAME").expect("it is set");
        assert!(file.ends_with("/cgi-bin/myself") && !file.contains("docs"), "{file}");
        assert_eq!(scripts.get("/cgi-bin/myself").status, 404);
    }

    fn rfc_3875_6_2_2_a_local_redirect_is_below_the_prefix(runtime: Runtime) {
        let scripts = below(runtime, "/docs");
        assert_eq!(text(&scripts.get("/docs/cgi-bin/local.sh?/docs/a.txt")), "hello\n");
        let target = "/docs/cgi-bin/local.sh?/docs/cgi-bin/myself/x";
        let response = scripts.get(target);
        assert_eq!(variable(&response, "SCRIPT_NAME"), Some("/docs/cgi-bin/myself"));
        assert_eq!(scripts.get("/docs/cgi-bin/local.sh?/a.txt").status, 502, "outside");
        scripts.wait_for_error("an invalid target of one");
    }
}

fn below(runtime: Runtime, prefix: &str) -> ScriptServer {
    let config: Config = with(config(), |c| c.prefix = prefix.into());
    ScriptServer::configured(runtime, CgiSettings::default(), config)
}

/// A variable as `myself` prints it.
fn variable<'r>(response: &'r Response, name: &str) -> Option<&'r str> {
    assert_eq!(response.status, 200, "{}", response.head);
    let mut lines = text(response).lines().filter_map(|line| line.strip_prefix("env "));
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}
