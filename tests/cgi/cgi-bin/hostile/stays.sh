#!/bin/sh
# Closes stdout when less is written than was promised, or with a local redirect, and hangs. (corpus)
case $1 in
local) printf 'Location: /a.txt\n\n' ;;
*) printf 'Content-Type: text/plain\nContent-Length: 100\n\nfive\n' ;;
esac
exec >&-
exec sleep 1000
