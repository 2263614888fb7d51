//! A program that prints what it was started with, before any interpreter has changed it: RFC 3875
//! §4.1, §4.4, §7.2. One thing a line: `argv`, `env`, `fd`, `cwd`, and those of
//! `/proc/self/status`. (corpus)

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::{env, fs};

fn main() {
    println!("Content-Type: text/plain\n");
    let shown = |text: &OsStr| text.as_bytes().escape_ascii().to_string();
    for argument in env::args_os() {
        println!("argv {}", shown(&argument));
    }
    for (name, value) in env::vars_os() {
        println!("env {}={}", shown(&name), shown(&value));
    }
    // All that is open, but for what is open to look at it.
    for open in fs::read_dir("/proc/self/fd").unwrap().flatten() {
        let number = open.file_name();
        let what = fs::read_link(open.path()).unwrap_or_default();
        if !what.starts_with("/proc") {
            println!("fd {}", shown(&number));
        }
    }
    println!("cwd {}", env::current_dir().unwrap().display());
    print!("{}", fs::read_to_string("/proc/self/status").unwrap());
}
