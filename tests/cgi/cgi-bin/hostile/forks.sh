#!/bin/sh
# Leaves a child behind that keeps stdout open; in a session of its own when its argument is
# "away". (corpus)
printf 'Content-Type: text/plain\n\n'
case $1 in
away) setsid sleep 1000 & ;;
*) sleep 1000 & ;;
esac
echo "$!"
