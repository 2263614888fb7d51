#!/bin/sh
# Tries to say a second answer behind a bare CR in a field. (corpus)
printf 'Content-Type: text/plain\rSet-Cookie: a=b\n\nnever seen\n'
