//! The options for HTTP basic authentication.
//!
//! No option takes a password: every user of the machine can read the command lines of processes.

use std::path::PathBuf;

use clap::{Args, ValueHint};

/// The options under "Authentication".
#[derive(Debug, Args)]
#[command(next_help_heading = "Authentication")]
pub(crate) struct AuthOptions {
    /// Require a user and a password, from an htpasswd file [default: none]
    ///
    /// HTTP basic authentication. Make the file with: htpasswd -B -c FILE USER. It is read again
    /// when it changes. It must not be in the served directory.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) auth_file: Option<PathBuf>,

    /// The same for one user: environment variable that holds USER:PASSWORD [default: none]
    ///
    /// For example: DOORSTEP_AUTH=alice:secret doorstep --auth-env DOORSTEP_AUTH
    #[arg(long, value_name = "NAME", value_parser = variable)]
    pub(crate) auth_env: Option<String>,

    /// Realm of the authentication, which browsers may show [default: Restricted]
    #[arg(long, value_name = "TEXT", value_parser = realm)]
    pub(crate) auth_realm: Option<String>,
}

impl AuthOptions {
    /// What clap does not check.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self {
            Self { auth_file: None, auth_env: None, auth_realm: Some(_) } => {
                Err("--auth-realm needs users: give --auth-file or --auth-env".into())
            }
            _ => Ok(()),
        }
    }
}

/// The name of an environment variable.
fn variable(word: &str) -> Result<String, &'static str> {
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    match !word.is_empty() && word.bytes().all(is_name) {
        true => Ok(word.into()),
        false => {
            Err("must be the name of an environment variable, such as DOORSTEP_AUTH, which holds \
                      USER:PASSWORD; a password on the command line is visible to every user")
        }
    }
}

fn realm(word: &str) -> Result<String, &'static str> {
    match word.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
        true => Ok(word.into()),
        false => Err("must be printable ASCII, such as \"Staff only\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_the_name_of_a_variable() {
        assert_eq!(variable("DOORSTEP_AUTH"), Ok("DOORSTEP_AUTH".into()));
        for word in ["alice:secret", "", "A=b", "\u{e4}", "a b"] {
            assert!(variable(word).is_err(), "{word}");
        }
    }

    #[test]
    fn a_realm_is_printable() {
        assert_eq!(realm("Staff \"only\""), Ok("Staff \"only\"".into()));
        assert!(realm("a\nb").is_err() && realm("\u{e4}").is_err());
    }
}
