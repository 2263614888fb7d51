//! Authentication of the command: the users that its options name, and the warning about passwords
//! that are sent unencrypted.

use std::env;
use std::path::Path;

use doorstep_driver::auth::Auth;
use doorstep_driver::net::ListenerAddr;

use crate::arguments::AuthOptions;
use crate::config::is_beneath;
use crate::failure::Failure;
use crate::signals::Reload;

/// The users of `options`; `None` if everyone may have everything. With `cors`, preflight requests need
/// no password. Fails if the file or the variable is not valid, or if the file is below `root`.
pub(crate) fn users(
    options: &AuthOptions,
    root: &Path,
    cors: bool,
) -> Result<Option<Auth>, Failure> {
    let from_file = match &options.auth_file {
        None => None,
        Some(file) => {
            if is_beneath(root, file) {
                return Err(Failure::AuthFileServed(file.clone()));
            }
            Some(Auth::from_file(file).map_err(Failure::AuthFile)?)
        }
    };
    let auth = match &options.auth_env {
        None => from_file,
        Some(name) => {
            let failure = |reason: &str| Failure::AuthVariable(name.clone(), reason.into());
            let value = env::var(name).map_err(|error| match error {
                env::VarError::NotPresent => failure("it is not set"),
                env::VarError::NotUnicode(_) => failure("it is not UTF-8"),
            })?;
            let (user, password) =
                value.split_once(':').ok_or_else(|| failure("there is no \":\" in it"))?;
            let added = match from_file {
                Some(auth) => auth.with_user(user, password),
                None => Auth::from_user(user, password),
            };
            Some(added.map_err(|error| failure(&error.to_string()))?)
        }
    };
    let Some(mut auth) = auth else { return Ok(None) };
    if let Some(realm) = &options.auth_realm {
        auth = auth.with_realm(realm).map_err(Failure::AuthFile)?;
    }
    Ok(Some(if cors { auth.with_open_preflight() } else { auth }))
}

/// The line about passwords that are sent unencrypted to one of `addresses`; `None` if none is. They are
/// not within this machine, and not with TLS.
pub(crate) fn plaintext_warning(is_tls: bool, addresses: &[ListenerAddr]) -> Option<String> {
    let exposed = addresses.iter().filter(|_| !is_tls).find_map(|address| match address {
        ListenerAddr::Tcp(address) if !address.ip().to_canonical().is_loopback() => Some(address),
        _ => None,
    })?;
    Some(format!(
        "warning: passwords are sent unencrypted to {exposed}; use TLS, or listen on 127.0.0.1 behind a \
         proxy that does"
    ))
}

/// What reads the file of users again at SIGHUP, and calls `report` if it is not valid; `None` if there
/// is no file.
pub(crate) fn reload(auth: &Auth, report: impl Fn(&str) + Send + 'static) -> Option<Reload> {
    auth.path()?;
    let auth = auth.clone();
    Some(Box::new(move || {
        if let Err(error) = auth.reload() {
            report(&format!("the users stay as they are: {error}"));
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_warning_is_about_what_leaves_the_machine_unencrypted() {
        let warning = |is_tls, addresses: &[&str]| {
            let addresses: Vec<_> = addresses
                .iter()
                .map(|address| ListenerAddr::Tcp(address.parse().unwrap()))
                .collect();
            plaintext_warning(is_tls, &addresses)
        };
        for addresses in
            [&["127.0.0.1:80"][..], &["[::1]:80", "127.3.2.1:80"], &["[::ffff:127.0.0.1]:80"], &[]]
        {
            assert_eq!(warning(false, addresses), None, "{addresses:?}");
        }
        for addresses in [
            &["0.0.0.0:80"][..],
            &["[::]:80"],
            &["127.0.0.1:80", "10.0.0.1:80"],
            &["[::ffff:10.0.0.1]:80"],
        ] {
            let line = warning(false, addresses).unwrap();
            assert!(line.contains(addresses[addresses.len() - 1]), "{line}");
            assert_eq!(warning(true, addresses), None, "{addresses:?}");
        }
    }
}
