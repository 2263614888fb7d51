#!/bin/sh
# Crashes at a stage (before, half, after, body) and in a way (exit, or a signal), which are its
# arguments. (corpus)
case $1 in
half) printf 'Content-Type: text/pl' ;;
after) printf 'Content-Type: text/plain\n\n' ;;
body) printf 'Content-Type: text/plain\n\nso far' ;;
esac
case $2 in
exit) exit 3 ;;
*) kill -s "$2" $$ ;;
esac
