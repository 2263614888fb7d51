#!/bin/sh
# Tells what the system grants it: processor time, address space, descriptors. (corpus)
echo "Content-Type: text/plain"
echo
echo "$(ulimit -t) $(ulimit -v) $(ulimit -n)"
