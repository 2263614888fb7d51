//! Least privilege: the user that the server becomes, and the sandbox that it enters (docs/security.md).

use std::env;
use std::ffi::OsStr;
use std::io::{self, ErrorKind, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use doorstep_driver::cgi::CgiSettings;
use doorstep_driver::os::{self, Clock, Sandbox, SandboxPaths, ServerUser};

use crate::arguments::{ContainmentOptions, SandboxMode};
use crate::failure::Failure;

/// What the server gives up before it serves.
#[derive(Debug)]
pub(crate) struct Containment {
    user: Option<(String, ServerUser)>,
    mode: SandboxMode,
    /// What the server reads while it serves, besides the served directory.
    pub(crate) readable: Vec<PathBuf>,
    /// Directories that the server writes in while it serves: those of log files, which are opened
    /// again, and of uploads.
    pub(crate) writable: Vec<PathBuf>,
    /// Directories in which the server removes files at exit: those of its Unix sockets.
    pub(crate) removable: Vec<PathBuf>,
}

impl Containment {
    /// Checks the options against the system.
    pub(crate) fn new(
        options: ContainmentOptions,
        cgi: Option<&CgiSettings>,
    ) -> Result<Self, Failure> {
        let ContainmentOptions { user, sandbox } = options;
        let user = match user {
            None => None,
            Some(name) => match find_user(&name, cgi) {
                Ok(user) => Some((name, user)),
                Err(error) => return Err(Failure::ServerUser(name, error)),
            },
        };
        let (readable, writable, removable) = Default::default();
        Ok(Self { user, mode: sandbox, readable, writable, removable })
    }

    /// Becomes the user of `--user`. To be called when everything is bound and opened that needs root.
    pub(crate) fn drop_privileges(&self) -> Result<(), Failure> {
        let Some((name, user)) = &self.user else { return Ok(()) };
        user.switch().map_err(|error| Failure::Privileges(name.clone(), error))
    }

    /// The user and the group that the server becomes; `None` if it stays who it is.
    pub(crate) fn owner(&self) -> Option<(u32, u32)> {
        self.user.as_ref().map(|(_, user)| (user.uid().as_raw(), user.gid().as_raw()))
    }

    /// Whether a sandbox is entered, as far as the kernel has one.
    pub(crate) fn has_sandbox(&self) -> bool {
        self.mode != SandboxMode::Off
    }

    /// The sandbox that the server enters; `None` with `--sandbox off`.
    pub(crate) fn sandbox(&self, root: &Path, cgi: Option<&CgiSettings>) -> Option<Sandbox> {
        let mut sandbox = match (self.mode, cgi) {
            (SandboxMode::Off, _) => return None,
            (SandboxMode::Auto, None) => Sandbox::default(),
            (SandboxMode::Auto, Some(_)) => Sandbox::for_scripts(),
            (SandboxMode::Strict, None) => Sandbox::strict(root),
            (SandboxMode::Strict, Some(cgi)) => {
                let path = |path: Vec<u8>| root.join(std::ffi::OsString::from_vec(path));
                Sandbox::strict(root).allow_scripts(cgi.directories.paths().map(path))
            }
        };
        sandbox.read.extend(self.readable.iter().cloned());
        sandbox.write.extend(self.writable.iter().cloned());
        sandbox.remove.extend(self.removable.iter().cloned());
        // The service manager may listen on an abstract socket, for sd_notify.
        let notify = env::var_os("NOTIFY_SOCKET");
        sandbox.reach |= notify.is_some_and(|path| is_abstract(&path));
        Some(sandbox)
    }

    /// Enters the sandbox. No thread may be running. What the kernel does not support is left out,
    /// except with `--sandbox strict`.
    pub(crate) fn enter(&self, root: &Path, cgi: Option<&CgiSettings>) -> Result<(), Failure> {
        let Some(sandbox) = self.sandbox(root, cgi) else { return Ok(()) };
        if sandbox.read != SandboxPaths::Everywhere {
            drop(Clock::new()); // the time zone is read now and remembered
        }
        match sandbox.apply() {
            Ok(_) => Ok(()),
            Err(error) if self.mode == SandboxMode::Strict => Err(Failure::Sandbox(error)),
            Err(error) => {
                let _ = writeln!(
                    io::stderr(),
                    "doorstep: not in a sandbox: {}",
                    os::describe_error(&error)
                );
                Ok(())
            }
        }
    }
}

/// Whether the name of a Unix socket is an abstract one, as systemd writes it.
fn is_abstract(name: &OsStr) -> bool {
    name.as_bytes().first() == Some(&b'@')
}

/// The user of `--user`, if this process may become it, and scripts may run as it.
fn find_user(name: &str, cgi: Option<&CgiSettings>) -> io::Result<ServerUser> {
    let user = ServerUser::find(name)?;
    if !user.is_permitted() {
        let message = "only root can become another user";
        return Err(io::Error::new(ErrorKind::PermissionDenied, message));
    }
    if let Some(script_user) = cgi.and_then(|cgi| cgi.user.as_deref())
        && ServerUser::find(script_user)?.uid() != user.uid()
    {
        let message = format!("scripts could not run as another user, {script_user:?}");
        return Err(io::Error::new(ErrorKind::InvalidInput, message));
    }
    Ok(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn containment(mode: SandboxMode) -> Containment {
        Containment::new(ContainmentOptions { user: None, sandbox: mode }, None).unwrap()
    }

    #[test]
    fn scripts_keep_their_rights_unless_the_sandbox_is_strict() {
        let (root, cgi) = (Path::new("/srv"), CgiSettings::default());
        let sandbox = |mode, cgi| containment(mode).sandbox(root, cgi);
        assert_eq!(sandbox(SandboxMode::Off, None), None);
        assert_eq!(sandbox(SandboxMode::Auto, None), Some(Sandbox::default()));
        assert_eq!(sandbox(SandboxMode::Auto, Some(&cgi)), Some(Sandbox::for_scripts()));
        assert_eq!(sandbox(SandboxMode::Strict, None), Some(Sandbox::strict(root)));
        let confined = sandbox(SandboxMode::Strict, Some(&cgi)).unwrap();
        assert!(confined.required && !confined.connect);
        assert!(matches!(confined.execute, SandboxPaths::Beneath(paths) if !paths.is_empty()));
    }

    #[test]
    fn directories_that_the_server_writes_to_are_allowed() {
        let dir = tempfile::tempdir().unwrap();
        let mut containment = containment(SandboxMode::Auto);
        containment.writable.push(dir.path().to_owned());
        containment.removable.push(dir.path().to_owned());
        let sandbox = containment.sandbox(Path::new("/srv"), None).unwrap();
        assert_eq!(sandbox.write, SandboxPaths::Beneath(vec![dir.path().to_owned()]));
        assert_eq!(sandbox.remove, [dir.path()]);
    }

    #[test]
    fn systemds_abstract_sockets_begin_with_an_at_sign() {
        assert!(is_abstract("@notify".as_ref()) && !is_abstract("/run/notify".as_ref()));
    }
}
