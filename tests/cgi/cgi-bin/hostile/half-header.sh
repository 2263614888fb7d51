#!/bin/sh
# Ends in the middle of its header. (corpus)
printf 'Content-Type: text/pl'
