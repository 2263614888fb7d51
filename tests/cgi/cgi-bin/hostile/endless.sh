#!/bin/sh
# A document without an end. (corpus)
printf 'Content-Type: text/plain\n\n'
exec yes
