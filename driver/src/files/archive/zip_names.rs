//! Names in zip archives, which programs on Windows take for paths of Windows.
//!
//! There `\` separates directories, and `C:` is a drive, so a file of the name `..\..\x` would be unpacked
//! outside of the directory. So `_` is in place of each `\`, and of the colon after a first letter
//! ([`portable`]). No two entries have the same name after that: [`ChangedNames`] refuses a second one.
//! Archives of tar keep all names as they are.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

/// The most names that are changed in an archive, each remembered in 8 bytes.
pub(super) const MAX_CHANGED: usize = 16_384;

/// The name in a zip archive of `path`; borrowed if it is the same.
pub(super) fn portable(path: &[u8]) -> Cow<'_, [u8]> {
    let is_drive = |name: &[u8]| matches!(name, [letter, b':', ..] if letter.is_ascii_alphabetic());
    if !path.contains(&b'\\') && !path.split(|&byte| byte == b'/').any(is_drive) {
        return Cow::Borrowed(path);
    }
    let mut path = path.to_vec();
    for name in path.split_mut(|&byte| byte == b'/') {
        if is_drive(name) {
            name[1] = b'_';
        }
        name.iter_mut().filter(|byte| **byte == b'\\').for_each(|byte| *byte = b'_');
    }
    Cow::Owned(path)
}

/// The names that were changed, by their hashes.
#[derive(Debug, Default)]
pub(super) struct ChangedNames {
    hasher: RandomState,
    taken: HashSet<u64>,
}

impl ChangedNames {
    /// Whether no more names may be changed.
    pub(super) fn is_full(&self) -> bool {
        self.taken.len() >= MAX_CHANGED
    }

    /// Takes the name `changed` in `directory`. Returns whether it was free.
    pub(super) fn take(&mut self, directory: &[u8], changed: &[u8]) -> bool {
        self.taken.insert(self.hasher.hash_one((directory, changed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_the_directory_on_windows() {
        for (path, expected) in [
            (r"files/a.txt", r"files/a.txt"),
            (r"files/x\..\..\evil.bat", r"files/x_.._.._evil.bat"),
            (r"files/C:\Windows\y.dll", r"files/C__Windows_y.dll"),
            (r"d:/..\", r"d_/.._"),
            (r"files/12:30 a:b", r"files/12:30 a:b"),
            (r"\\host\share", r"__host_share"),
        ] {
            let name = portable(path.as_bytes());
            assert_eq!(name, expected.as_bytes());
            assert_eq!(matches!(name, Cow::Borrowed(_)), path == expected);
        }
    }

    #[test]
    fn a_name_is_taken_once_in_each_directory() {
        let mut names = ChangedNames::default();
        assert!(names.take(b"a", b"x_y") && names.take(b"b", b"x_y") && names.take(b"a", b"x_z"));
        assert!(!names.take(b"a", b"x_y"));
        for n in 0..MAX_CHANGED {
            names.take(b"c", &n.to_le_bytes());
        }
        assert!(names.is_full());
    }
}
