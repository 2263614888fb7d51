#!/bin/sh
# Answers without a look at what was sent, which it closes. (corpus)
exec <&-
printf 'Content-Type: text/plain\n\nnot read\n'
