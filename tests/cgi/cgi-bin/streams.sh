#!/bin/sh
# Opens its streams once more, by their names. (corpus)
printf 'Content-Type: text/plain\n\n'
cat /dev/stdin >/dev/stdout
echo "by its name" >/dev/stderr
