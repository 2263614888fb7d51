#!/bin/sh
# Writes less than its Content-Length. (corpus)
printf 'Content-Type: text/plain\nContent-Length: 100\n\nfive\n'
