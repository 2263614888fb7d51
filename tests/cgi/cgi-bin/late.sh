#!/bin/sh
# Takes its time, and then says what its query says: a local redirect, nothing, or a document. (corpus)
sleep 2
case $QUERY_STRING in
/*) printf 'Location: %s\n\n' "$QUERY_STRING" ;;
nothing) ;;
*) printf 'Content-Type: text/plain\n\nlate\n' ;;
esac
