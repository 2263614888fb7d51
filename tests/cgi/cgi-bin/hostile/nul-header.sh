#!/bin/sh
# A NUL in its header. (corpus)
printf 'Content-Type: text/pl\000ain\n\nnever seen\n'
