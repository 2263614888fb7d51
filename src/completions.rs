//! `doorstep completions SHELL`: the script with which a shell completes the command's options.

use clap_complete::{Shell, generate};

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::stdout;

/// How the function begins that clap's script for bash completes words with.
const BASH_FUNCTION: &str = "_doorstep() {\n";

/// The function in front of it. clap's offers options, and no files, where a path may stand: there,
/// files and directories are offered, and options once a dash was typed. clap's function offers
/// all options there, and after an option that takes a value only what the value may be.
const BASH_FILES: &str = r#"_doorstep() {
    local cur="${COMP_WORDS[COMP_CWORD]}" word words
    _doorstep_words "$1" "" "$3"
    if [[ ${cur} == -* || ${COMP_WORDS[1]} == completions || ${COMP_WORDS[1]} == man ||
        " ${COMPREPLY[*]} " != *" --help "* ]]; then
        _doorstep_words "$@"
        return 0
    fi
    words=("${COMPREPLY[@]}")
    COMPREPLY=()
    for word in "${words[@]}"; do
        if [[ ${COMP_CWORD} -eq 1 && ${word} != -* && ${word} == "${cur}"* ]]; then
            COMPREPLY+=("${word}")
        fi
    done
    while IFS= read -r word; do
        COMPREPLY+=("${word}")
    done < <(compgen -f -- "${cur}")
    compopt -o filenames 2> /dev/null
    return 0
}

"#;

/// Prints the script of `shell`.
pub(crate) fn print(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    generate(shell, &mut Arguments::definition(), "doorstep", &mut script);
    if shell == Shell::Bash {
        let words =
            String::from_utf8_lossy(&script).replacen(BASH_FUNCTION, "_doorstep_words() {\n", 1);
        script = [BASH_FILES, &words].concat().into_bytes();
    }
    stdout::print(&script)
}
