#!/bin/sh
# Hangs, and will not hear of SIGTERM. (corpus)
trap '' TERM
printf 'Content-Type: text/plain\n\nso far'
while :; do sleep 1000; done
