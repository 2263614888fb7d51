#!/bin/sh
# Complains on stderr for ever, before its header or after the begin of its document, as its argument
# says. (corpus)
case $1 in
after) printf 'Content-Type: text/plain\n\nso far' ;;
esac
exec 3>&1 # stdout stays open
exec yes "it is all wrong" >&2
