#!/bin/sh
# Hangs, as its argument says: before its header, half way through it, after it, or in its
# body. (corpus)
case $1 in
half) printf 'Content-Type: text/pl' ;;
after) printf 'Content-Type: text/plain\n\n' ;;
body) printf 'Content-Type: text/plain\n\nso far' ;;
esac
exec sleep 1000
