#!/bin/sh
# Runs in its own folder, where it finds what is beside it: RFC 3875 §7.2. (corpus)
echo "Content-Type: text/plain"
echo
pwd -P
cat beside.txt
