printf 'Content-Type: text/plain\n\n' # names no interpreter: it is no program. (corpus)
