//! From paths to scripts, and to errors.

use super::{
    CASE_INSENSITIVE, Found, Route, RouteError, Script, ScriptDirectories, is_below, normalize,
};
use crate::http1::{Connection, Event, Limits};
use crate::path::PathError;
use proptest::prelude::*;

const EXECUTABLE: Found = Found::File { executable: true };

/// Walks a path below `cgi-bin` and `htbin`: names that begin with `dir` are directories, with
/// `data` files that are not executable, with `fifo` neither, with `no` nothing, others scripts.
fn walk(path: &str) -> Result<Option<Script>, RouteError> {
    walk_in(&ScriptDirectories::default(), false, path)
}

fn walk_in(
    directories: &ScriptDirectories,
    hidden: bool,
    path: &str,
) -> Result<Option<Script>, RouteError> {
    let Some(mut route) = Route::new(directories, hidden, path.as_bytes())? else {
        return Ok(None);
    };
    loop {
        let name = route.path().rsplit(|&b| b == b'/').next().unwrap();
        let found = match name {
            _ if name.starts_with(b"dir") => Found::Directory,
            _ if name.starts_with(b"data") => Found::File { executable: false },
            _ if name.starts_with(b"fifo") => Found::Other,
            _ if name.starts_with(b"no") => Found::Nothing,
            _ => EXECUTABLE,
        };
        if let Some(script) = route.found(found)? {
            return Ok(Some(script));
        }
    }
}

/// File and PATH_INFO of the script that a path leads to.
fn script(path: &str) -> (String, String) {
    let script = walk(path).unwrap().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    assert_eq!(text(script.name()), format!("/{}", text(script.file())));
    (text(script.file()), text(script.path_info()))
}

/// Status and reason of an error.
fn denied(path: &str) -> (u16, String) {
    let error = walk(path).unwrap_err();
    (error.status(), String::from_utf8(error.reason()).unwrap())
}

fn directories(paths: &[&str]) -> ScriptDirectories {
    ScriptDirectories::new(paths).unwrap()
}

#[test]
fn b_221_directories_are_named_in_any_way() {
    assert_eq!(directories(&["/cgi-bin", "htbin/"]), ScriptDirectories::default());
    assert_eq!(directories(&["//cgi-bin/./", "/x/../ht%62in"]), ScriptDirectories::default());
    assert_eq!(ScriptDirectories::new(["/a%00"]), Err(PathError::Nul));
    let nested = directories(&["/sub/dir/cgi-bin"]);
    let found = walk_in(&nested, false, "/sub/dir/cgi-bin/x/y").unwrap().unwrap();
    assert_eq!((found.file(), found.path_info()), (&b"sub/dir/cgi-bin/x"[..], &b"/y"[..]));
    assert_eq!(walk_in(&nested, false, "/sub/dir/x"), Ok(None));
    assert_eq!(walk_in(&nested, false, "/cgi-bin/x"), Ok(None));
    assert_eq!(walk_in(&directories(&[]), false, "/cgi-bin/x"), Ok(None));
}

#[test]
fn b_221_the_root_makes_everything_a_script() {
    let root = directories(&["/"]);
    let found = walk_in(&root, false, "/dir/x/y").unwrap().unwrap();
    assert_eq!((found.file(), found.path_info()), (&b"dir/x"[..], &b"/y"[..]));
    assert_eq!(walk_in(&root, false, "/"), Err(RouteError::NotRegularFile(b"/".to_vec())));
    assert_eq!(walk_in(&root, false, "/dir/"), Err(RouteError::NotRegularFile(b"/dir/".to_vec())));
    assert_eq!(walk_in(&root, false, "*"), Ok(None), "OPTIONS *");
    assert_eq!(walk_in(&root, false, "host:443"), Ok(None), "CONNECT");
}

#[test]
fn b_222_the_first_directory_on_the_way_down_wins_at_a_slash() {
    assert_eq!(script("/htbin/x/cgi-bin/y"), ("htbin/x".into(), "/cgi-bin/y".into()));
    for path in ["/", "/index.html", "/cgi-binx/x", "/cgi-bi/n", "/x/cgi-bin/y", "/cgi-bin.sh"] {
        assert_eq!(walk(path), Ok(None), "{path}");
    }
    let both = directories(&["a/b", "a"]);
    let found = walk_in(&both, false, "/a/b/x").unwrap().unwrap();
    assert_eq!(found.file(), b"a/b", "a script below `a`: no directory is found there");
}

#[test]
fn b_223_the_decoded_path_is_checked() {
    assert_eq!(script("/cgi-bin%2ffile"), ("cgi-bin/file".into(), String::new()));
    assert_eq!(script("/%63gi-bin/%66"), ("cgi-bin/f".into(), String::new()));
    assert_eq!(script("/nocgi.py/../cgi-bin/x.sh"), ("cgi-bin/x.sh".into(), String::new()));
    assert_eq!(walk("/cgi-bin%252ffile"), Ok(None), "decoded once");
    assert_eq!(denied("/no.py/../cgi-bin/nothere.sh").0, 404);
}

/// The normalized path as `http.server` writes it, with the root twice if the last component has no
/// parent.
fn collapsed(raw: &str) -> Option<String> {
    let path = String::from_utf8(normalize(raw.as_bytes()).ok()?).unwrap();
    let is_at_the_root = path.rfind('/') == Some(0);
    Some(if is_at_the_root { format!("/{path}") } else { path })
}

#[test]
fn b_224_paths_collapse_as_those_of_http_server() {
    let vectors = [
        ("", "//"),
        ("/", "//"),
        ("//", "//"),
        ("/.//", "//"),
        ("cgi-bin/file1.py", "/cgi-bin/file1.py"),
        ("a", "//a"),
        ("/a", "//a"),
        ("//a", "//a"),
        ("./a", "//a"),
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b/"),
        ("/a/b/.", "/a/b/"),
        ("/a/b/c/..", "/a/b/"),
        ("/a/b/c/../d", "/a/b/d"),
        ("/a/b/c/../d/e/../f", "/a/b/d/f"),
        ("/a/b/c/../d/e/../../f", "/a/b/f"),
        ("/a/b/c/../d/e/.././././..//f", "/a/b/f"),
        ("/a/b/c/../d/e/../../../f", "/a/f"),
        ("/a/b/c/../d/e/../../../../f", "//f"),
        ("/a/b/c/../d/e/../../../../f/..", "//"),
        ("/a/b/c/../d/e/../../../../f/../.", "//"),
    ];
    let of_unix = [("/\\", "//\\"), ("./C:/", "/C:/")]; // not names on Windows (B-126)
    for (raw, path) in vectors.into_iter().chain(of_unix.into_iter().filter(|_| !cfg!(windows))) {
        assert_eq!(collapsed(raw).as_deref(), Some(path), "{raw}");
    }
    let above = ["..", "/.//..", "../a/b", "/a/b/c/../d/e/../../../../../f", "/a/../.."];
    for raw in above {
        assert_eq!(normalize(raw.as_bytes()), Err(RouteError::AboveRoot), "{raw}");
    }
}

#[test]
fn b_224_b_229_the_query_is_not_part_of_the_path() {
    let targets = [
        ("/cgi-bin/x/..//y?a=/../b", "/cgi-bin/y", "a=/../b"),
        ("/cgi-bin/y?a=b?c=d", "/cgi-bin/y", "a=b?c=d"),
        ("/cgi-bin/y?k=a%2F%2Fb&//q//p//=//a//b//", "/cgi-bin/y", "k=a%2F%2Fb&//q//p//=//a//b//"),
        ("/cgi-bin/y/?", "/cgi-bin/y/", ""),
    ];
    for (target, path, query) in targets {
        let bytes = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut connection = Connection::new(Limits::default());
        let Ok((_, Event::Request(head))) = connection.advance(bytes.as_bytes()) else {
            panic!("{target}");
        };
        assert_eq!(normalize(head.path()), Ok(path.as_bytes().to_vec()), "{target}");
        assert_eq!(head.query(), Some(query.as_bytes()), "{target}");
    }
}

#[test]
fn b_225_above_the_root_is_refused_wherever_it_leads() {
    for path in ["/../cgi-bin/x", "/cgi-bin/../../cgi-bin/x", "/..", "/%2e%2e/index.html"] {
        assert_eq!(denied(path), (400, "Bad Request".into()), "{path}");
    }
}

#[test]
fn b_227_a_directory_is_not_a_script() {
    assert_eq!(walk("/cgi-bin"), Ok(None), "redirected as any directory");
    let plain = |name: &str| (403, format!("CGI script is not a plain file ('{name}')"));
    for path in ["/cgi-bin/", "/cgi-bin/.", "/cgi-bin/x/..", "/cgi-bin%2f", "//cgi-bin//"] {
        assert_eq!(denied(path), plain("/cgi-bin/"), "{path}");
    }
    assert_eq!(denied("/cgi-bin/dir"), plain("/cgi-bin/dir"));
    assert_eq!(denied("/cgi-bin/dir/"), plain("/cgi-bin/dir/"));
    assert_eq!(denied("/cgi-bin/dir1/dir2/."), plain("/cgi-bin/dir1/dir2/"));
    assert_eq!(denied("/htbin/fifo/x"), plain("/htbin/fifo"));
}

#[test]
fn b_228_b_230_the_first_file_on_the_path_is_the_script() {
    let cases = [
        ("/cgi-bin/x", "cgi-bin/x", ""),
        ("/cgi-bin/x/", "cgi-bin/x", "/"),
        ("/cgi-bin/x/.", "cgi-bin/x", "/"),
        ("/cgi-bin/x/a/..", "cgi-bin/x", "/"),
        ("/cgi-bin/x/a/b", "cgi-bin/x", "/a/b"),
        ("/cgi-bin/x//a%20b%2f/", "cgi-bin/x", "/a b/"),
        ("/cgi-bin/dir/x/dir/y", "cgi-bin/dir/x", "/dir/y"),
        ("/cgi-bin/x/.git/.b", "cgi-bin/x", "/.git/.b"),
    ];
    for (path, file, info) in cases {
        assert_eq!(script(path), (file.into(), info.into()), "{path}");
    }
}

#[test]
fn b_231_errors_name_what_cannot_be_run() {
    let missing = |name: &str| (404, format!("No such CGI script ('{name}')"));
    assert_eq!(denied("/cgi-bin/no"), missing("/cgi-bin/no"));
    assert_eq!(denied("/cgi-bin/no/a/b"), missing("/cgi-bin/no"));
    assert_eq!(denied("/cgi-bin/dir/no"), missing("/cgi-bin/dir/no"));
    assert_eq!(denied("/cgi-bin/no%0d%0a'%ff"), missing(r"/cgi-bin/no\x0d\x0a\'\xff"));
    let data = (403, "CGI script is not executable ('/cgi-bin/data.py')".to_owned());
    assert_eq!(denied("/cgi-bin/data.py"), data);
    assert_eq!(denied("/cgi-bin/%00"), (400, "Bad Request".into()));
    assert_eq!(RouteError::Path(PathError::InvalidName).status(), 404);
    let long = format!("/cgi-bin/x/{}", "a".repeat(5_000));
    assert_eq!(denied(&long), (404, "File not found".into()));
}

#[test]
fn b_131_hidden_names_are_not_looked_at() {
    let missing = |name: &str| (404, format!("No such CGI script ('{name}')"));
    assert_eq!(denied("/cgi-bin/.git/config"), missing("/cgi-bin/.git"));
    assert_eq!(denied("/cgi-bin/dir/%2ex"), missing("/cgi-bin/dir/.x"));
    let found = walk_in(&ScriptDirectories::default(), true, "/cgi-bin/.x/y").unwrap().unwrap();
    assert_eq!(found.file(), b"cgi-bin/.x");
    let chosen = walk_in(&directories(&[".scripts"]), false, "/.scripts/x").unwrap().unwrap();
    assert_eq!(chosen.file(), b".scripts/x", "the directory is configured");
}

#[test]
fn rfc_3875_5_the_name_of_a_script_shows_nph() {
    for (path, is_nph) in [
        ("/cgi-bin/nph-x", true),
        ("/cgi-bin/dir/nph-x/y", true),
        ("/cgi-bin/x/nph-y", false),
        ("/cgi-bin/dir/xnph-y", false),
    ] {
        assert_eq!(walk(path).unwrap().unwrap().is_nph(), is_nph, "{path}");
    }
}

#[test]
fn b_255_no_spelling_of_a_path_shows_the_source() {
    assert!(is_below(b"cgi-bin", b"/CGI-Bin/x", true));
    assert!(!is_below(b"cgi-bin", b"/CGI-Binx/x", true));
    assert!(!is_below(b"cgi-bin", b"/CGI-Bin/x", false));
    assert_eq!(walk("/CGI-BIN/x").unwrap().is_some(), CASE_INSENSITIVE);
    if cfg!(windows) {
        assert_eq!(denied("/X:/cgi-bin/hi.py").0, 404);
    }
}

#[test]
fn calls_out_of_order_are_harmless() {
    let mut route =
        Route::new(&ScriptDirectories::default(), false, b"/cgi-bin/a/b/").unwrap().unwrap();
    let script = route.found(EXECUTABLE).unwrap();
    assert_eq!(route.found(EXECUTABLE).unwrap(), script);
    assert_eq!(route.found(Found::Directory), Ok(None));
    let error = RouteError::NotRegularFile(b"/cgi-bin/a/b/".to_vec());
    assert_eq!(route.found(Found::Directory), Err(error.clone()));
    assert_eq!(route.found(Found::Directory), Err(error));
    assert_eq!(route.path(), b"cgi-bin/a/b");

    let mut route =
        Route::new(&ScriptDirectories::default(), false, b"/cgi-bin/a/.b").unwrap().unwrap();
    assert_eq!(route.found(Found::Directory), Err(RouteError::NotFound(b"/cgi-bin/a/.b".to_vec())));
    assert_eq!(route.path(), b"cgi-bin/a", "after a refusal nothing hidden is asked for");
}

proptest! {
    #[test]
    fn b_255_a_script_is_below_its_directory_whatever_is_asked(
        raw in r"(cgi-bin|s/c)?(/|\.|%2e|%2f|cgi-bin|/s/c/|x|\PC){0,20}",
        bits in any::<u32>(),
        hidden in any::<bool>(),
    ) {
        let places = directories(&["cgi-bin", "s/c"]);
        let raw = format!("/{raw}");
        let whole = normalize(raw.as_bytes());
        let Ok(Some(mut route)) = Route::new(&places, hidden, raw.as_bytes()) else {
            return Ok(());
        };
        let mut before = 0;
        for step in 0.. {
            let asked = route.path().to_vec();
            prop_assert!(asked.len() > before, "each question is one component further");
            before = asked.len();
            let found = if bits >> (step % 32) & 1 == 0 { EXECUTABLE } else { Found::Directory };
            let Ok(script) = route.found(found) else { break };
            let Some(script) = script else { continue };
            prop_assert_eq!(script.file(), asked);
            let file = script.file();
            let below = file.strip_prefix(b"cgi-bin/").or(file.strip_prefix(b"s/c/"));
            for name in below.unwrap().split(|&b| b == b'/') {
                prop_assert!(!matches!(name, b"" | b"." | b".."));
                prop_assert!(hidden || !name.starts_with(b"."));
            }
            prop_assert!(script.path_info().is_empty() || script.path_info().starts_with(b"/"));
            prop_assert_eq!(whole, Ok([script.name(), script.path_info()].concat()));
            break;
        }
    }
}
