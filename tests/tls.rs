//! TLS of the command: options, banner, and real clients.
#![cfg(all(feature = "cli", feature = "tls"))]

mod support;

#[allow(dead_code, reason = "the tests of the runtimes use all of it")]
#[path = "support/tls_client.rs"]
mod tls_client;

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use doorstep::driver::net::TlsSettings;
use doorstep::driver::net::tls::rustls;
use regex::Regex;
use support::client::Client;
use support::{RUNTIMES, Server, doorstep, inetd, root, text};
use tls_client::{Files, TlsClient};

fn start(root: &Path, arguments: &[&str]) -> Server {
    let root = root.to_str().expect("it is UTF-8");
    let common = ["0", "--bind", "127.0.0.1", "--directory", root];
    Server::start(&mut doorstep(&[&common, arguments].concat()))
}

fn tls_arguments(files: &Files) -> [&str; 4] {
    let [certificate, key] =
        [&files.certificate, &files.key].map(|path| path.to_str().expect("it is UTF-8"));
    ["--tls-cert", certificate, "--tls-key", key]
}

#[test]
fn b_278_309_the_banner_and_scripts_know_of_https() {
    let files = Files::new();
    let settings = TlsSettings::from_files(&files.certificate, Some(files.key.clone()), None);
    let settings = settings.expect("they belong together");
    let pattern =
        r"^Serving HTTPS on 127\.0\.0\.1 port (\d+) \(https://127\.0\.0\.1:(\d+)/\) \.\.\.";
    let pattern = Regex::new(pattern).expect("it is a pattern");
    for runtime in RUNTIMES {
        let root = root();
        let script = root.path().join("cgi-bin/https");
        fs::create_dir(root.path().join("cgi-bin")).expect("there is room");
        fs::write(&script, "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n%s' \"$HTTPS\"\n")
            .expect("there is room");
        fs::set_permissions(&script, Permissions::from_mode(0o755)).expect("it is ours");
        let mut arguments = tls_arguments(&files).to_vec();
        arguments.extend(["--cgi", "--https-redirect", "0", runtime]);
        let server = start(root.path(), &arguments);
        let banner = &server.banner;
        assert!(pattern.is_match(banner), "{banner}");
        let mut client = TlsClient::connect(([127, 0, 0, 1], server.port).into(), &settings);
        client.send(b"GET /cgi-bin/https HTTP/1.0\r\n\r\n");
        let response = client.read_to_end().expect("it ends with close_notify");
        assert!(response.ends_with(b"\r\n\r\non"), "{}", text(&response));
    }
}

#[test]
fn a_self_signed_certificate_serves_at_once() {
    for runtime in RUNTIMES {
        let root = root();
        let server = start(root.path(), &["--tls-self-signed", runtime]);
        let mut client = Client::connect(server.port);
        assert_eq!(client.request("GET", "/", &[]).status, 400, "it is plain HTTP");
    }
}

#[test]
fn inetd_passes_a_connection_that_is_encrypted() {
    let (files, root) = (Files::new(), root());
    let settings = TlsSettings::from_files(&files.certificate, Some(files.key.clone()), None);
    let settings = settings.expect("they belong together");
    let directory = root.path().to_str().expect("it is UTF-8");
    for runtime in RUNTIMES {
        for header in ["", "PROXY TCP4 192.0.2.7 198.51.100.1 50123 443\r\n"] {
            let mut command = doorstep(&["--inetd", "-d", directory, runtime]);
            command.args(tls_arguments(&files));
            if !header.is_empty() {
                command.args(["--proxy-protocol", "--trusted-proxy", "127.0.0.1"]);
            }
            let (child, mut stream) = inetd(&mut command, |_| Stdio::piped());
            stream.write_all(header.as_bytes()).expect("it is connected");
            let tls = tls_client::client(&settings, rustls::ALL_VERSIONS);
            let mut client = TlsClient { tls, stream };
            client.send(b"GET /a.txt HTTP/1.0\r\n\r\n");
            let response = client.read_to_end().expect("it ends with close_notify");
            assert!(response.ends_with(b"\r\n\r\nhello\n"), "{}", text(&response));
            let output = child.wait_with_output().expect("a child can be waited for");
            assert_eq!((output.status.code(), &*output.stdout), (Some(0), &b""[..]));
            let peer = if header.is_empty() { "127.0.0.1 " } else { "192.0.2.7 " };
            assert!(text(&output.stderr).starts_with(peer), "{}", text(&output.stderr));
        }
    }
    let arguments = [&tls_arguments(&files)[..], &["--inetd", "--https-redirect", "8080"]].concat();
    let output = doorstep(&arguments).output().expect("the command starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("omit --https-redirect"), "{}", text(&output.stderr));
}

#[test]
fn a_certificate_that_cannot_be_read_again_is_reported() {
    let root = root();
    for runtime in RUNTIMES {
        let files = Files::new();
        let mut server = start(root.path(), &[&tls_arguments(&files)[..], &[runtime]].concat());
        fs::remove_file(&files.certificate).expect("it is ours");
        server.signal("HUP");
        let log = text(&server.end("TERM").stderr);
        let why = format!("cannot read {:?}: No such file or directory\n", files.certificate);
        assert!(log.contains(&format!("not reloaded, the old one stays: {why}")), "{log}");
    }
}

#[test]
fn a_certificate_is_not_for_unix_sockets_alone() {
    let (files, root) = (Files::new(), root());
    for arguments in [&tls_arguments(&files)[..], &["--tls-self-signed"]] {
        for runtime in RUNTIMES {
            let (_peer, socket) = UnixStream::pair().expect("descriptors are free");
            let mut command = doorstep(&["--inetd", runtime]);
            command.args(arguments).arg("-d").arg(root.path());
            let output = command.stdin(OwnedFd::from(socket)).output().expect("it starts");
            assert_eq!(output.status.code(), Some(2));
            let error = text(&output.stderr);
            assert!(error.starts_with("doorstep: Unix sockets are not encrypted: "), "{error}");
        }
    }
}

#[test]
fn b_290_options_without_what_they_need_are_usage_errors() {
    for (arguments, message) in [
        (&["--tls-key", "a"][..], "--tls-key requires --tls-cert to be set"),
        (&["--tls-password-file", "a"], "--tls-password-file requires --tls-cert to be set"),
        (&["--tls-cert", "a", "--tls-self-signed"], "exclude each other"),
        (&["--https-redirect", "80"], "--https-redirect requires --tls-cert or --tls-self-signed"),
        (
            &["--tls-cert", "a", "--tls-password-file", "/nowhere"],
            "Failed to read TLS password file: ",
        ),
        (&["--tls-cert", "a", "--tls-password-file", "/dev/zero"], "too large"),
    ] {
        let output = doorstep(arguments).output().expect("the command starts");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let errors = text(&output.stderr);
        assert!(errors.contains(message), "{errors}");
    }
}

#[test]
fn b_291_what_is_wrong_with_a_certificate_is_one_line() {
    let (files, other) = (Files::new(), Files::new());
    let fails = |arguments: &[&str], message: &str| {
        let arguments = [&["0", "--bind", "127.0.0.1"], arguments].concat();
        let output = doorstep(&arguments).output().expect("the command starts");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let errors = text(&output.stderr);
        assert!(errors.starts_with("doorstep: ") && errors.contains(message), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    };
    let [cert, certificate, key_option, key] = tls_arguments(&files);
    fails(&[cert, certificate], "no valid private key");
    fails(&[cert, key, key_option, key], "no valid certificate");
    fails(&[cert, "/nowhere"], "cannot read");
    fails(&[cert, certificate, key_option, tls_arguments(&other)[3]], "is not that of the first");
    let encrypted = fs::read_to_string(key).expect("it is text");
    let traditional = encrypted.replacen("\n", "\nProc-Type: 4,ENCRYPTED\n", 1);
    fs::write(key, traditional).expect("there is room");
    fails(&[cert, certificate, key_option, key], "openssl pkcs8 -topk8");
}

#[test]
#[ignore = "needs openssl and curl"]
fn b_291_curl_and_openssl_and_an_encrypted_key() {
    let (files, root) = (Files::new(), root());
    fs::write(root.path().join("a.txt"), "hello").expect("there is room");
    let [_, certificate, _, key] = tls_arguments(&files);
    let encrypted = root.path().join("encrypted.pem");
    let encrypted = encrypted.to_str().expect("it is UTF-8");
    let password = root.path().join("password");
    fs::write(&password, " secret \n").expect("there is room");
    let password = password.to_str().expect("it is UTF-8");
    let mut convert = Command::new("openssl");
    convert.args(["pkcs8", "-topk8", "-v2", "aes-256-cbc", "-passout", "pass:secret"]);
    let converted = convert.args(["-in", key, "-out", encrypted]).status();
    assert!(converted.expect("openssl is there").success());
    let arguments = ["--tls-cert", certificate, "--tls-key", encrypted];
    let missing = doorstep(&arguments).output().expect("the command starts");
    assert!(text(&missing.stderr).contains("is encrypted: its password is needed"));
    for runtime in RUNTIMES {
        let more = ["--tls-password-file", password, runtime];
        let server = start(root.path(), &[&arguments[..], &more].concat());
        let address = format!("localhost:{}", server.port);
        for version in [&["--tls-max", "1.2"][..], &["--tlsv1.3"]] {
            let mut curl = Command::new("curl");
            curl.args(["-sS", "--fail", "--cacert", certificate, "--ipv4"]).args(version);
            let output = curl.arg(format!("https://{address}/a.txt")).output();
            let output = output.expect("curl is there");
            assert_eq!(text(&output.stdout), "hello", "{}", text(&output.stderr));
        }
        let mut openssl = Command::new("openssl");
        openssl.args(["s_client", "-4", "-connect", &address, "-CAfile", certificate]);
        openssl.args(["-alpn", "h2,http/1.1", "-verify_return_error"]).stdin(Stdio::null());
        let output = text(&openssl.output().expect("openssl is there").stdout);
        assert!(output.contains("ALPN protocol: http/1.1"), "{output}");
        assert!(output.contains("Verify return code: 0 (ok)"), "{output}");
    }
}
