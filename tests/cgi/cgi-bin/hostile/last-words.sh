#!/bin/sh
# Hangs in the middle of a line on stderr. (corpus)
printf 'no end of line' >&2
exec sleep 1000
