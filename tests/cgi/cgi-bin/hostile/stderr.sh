#!/bin/sh
# Complains on stderr in three lines, the last one unfinished, with bytes that no terminal should
# see. (corpus)
printf 'first\nsecond \033[31m\r\nthird' >&2
printf 'Content-Type: text/plain\n\nanswered\n'
