//! Listed directories, compared with what [`Resolver`] finds at their links.

use super::{Action, Found, Resolver, Site, Stat};
use crate::http1::{Connection, Event, Limits};
use crate::path;

const FOUND: [Found; 5] = [
    Found::File(Stat {
        size: 1,
        modified: 0,
        modified_nanos: 0,
        device: 1,
        inode: 2,
        changed: (0, 0),
    }),
    Found::Directory(Stat {
        size: 1,
        modified: 0,
        modified_nanos: 0,
        device: 1,
        inode: 3,
        changed: (0, 0),
    }),
    Found::Inaccessible,
    Found::Nothing,
    Found::Other,
];

/// The status of `/d/` where these are the index pages.
fn status(site: &Site, index: [Found; 2], can_be_read: bool) -> u16 {
    let mut connection = Connection::new(Limits::default());
    let Ok((_, Event::Request(head))) = connection.advance(b"GET /d/ HTTP/1.1\r\nHost: h\r\n\r\n")
    else {
        unreachable!("it is a request")
    };
    let mut scratch = Vec::new();
    let mut resolver = Resolver::new(site, &head, 0, &mut scratch);
    loop {
        match resolver.action() {
            Action::Open(b"d") => resolver.opened(Found::Directory(Stat::default())),
            Action::Open(b"d/index.html") => resolver.opened(index[0]),
            Action::Open(b"d/index.htm") => resolver.opened(index[1]),
            Action::Open(_) => resolver.opened(Found::Nothing),
            Action::List(_) => resolver.listed(can_be_read),
            Action::Respond(plan) => return plan.status(),
        }
    }
}

#[test]
fn r_4_a_directory_is_listed_if_it_can_be_fetched() {
    let none = Site { index: vec![], ..Site::default() };
    for site in [Site::default(), none] {
        for first in FOUND {
            for second in FOUND {
                for can_be_read in [true, false] {
                    let index = |name: &str| match name {
                        "index.html" => Ok::<_, ()>(first),
                        _ => Ok(second),
                    };
                    let listed = site.lists_directory(b"d", index, || Ok(can_be_read)).unwrap();
                    let status = status(&site, [first, second], can_be_read);
                    assert_eq!(listed, status == 200, "{first:?} {second:?} {can_be_read}");
                }
            }
        }
    }
}

#[test]
fn r_4_directories_of_another_handler_are_not_listed() {
    let site = Site {
        unlisted_directories: vec![b"cgi-bin".to_vec(), b"a/b".to_vec()],
        ..Site::default()
    };
    let lists = |path: &[u8]| site.lists_directory(path, |_| Ok::<_, ()>(FOUND[0]), || Ok(true));
    for (path, expected) in [
        (&b"cgi-bin"[..], false),
        (b"a/b", false),
        (b"a", true),
        (b"b", true),
        (b"a/cgi-bin", true),
    ] {
        assert_eq!(lists(path), Ok(expected), "{path:?}");
    }
}

#[test]
fn r_4_names_too_long_to_be_requested_are_not_listed() {
    let site = Site::default();
    for (directory, name, expected) in [
        (path::MAX_PATH_LEN - 11, 10, true),
        (path::MAX_PATH_LEN - 10, 10, false),
        (path::MAX_PATH_LEN - 256, 255, true),
        (0, 255, true),
    ] {
        let (directory, name) = ("d".repeat(directory), "n".repeat(name));
        assert_eq!(site.lists_entry(directory.as_bytes(), name.as_bytes()), expected);
        let separator = if directory.is_empty() { "" } else { "/" };
        let target = format!("/{directory}{separator}{name}");
        let resolved = path::normalize(target.as_bytes(), &mut Vec::new());
        assert_eq!(resolved.is_ok(), expected, "as it is asked for");
    }
}
