#!/bin/sh
# Closes stdout when its document is whole, and works on or hangs, as its argument says. (corpus)
printf 'Content-Type: text/plain\n\nall of it\n'
exec >&-
case $1 in
work) sleep 0.2 && echo "has worked on" >&2 ;;
hang) exec sleep 1000 ;;
esac
