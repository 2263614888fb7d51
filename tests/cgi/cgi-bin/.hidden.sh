#!/bin/sh
# A script whose name has a leading dot: not there, unless it is allowed. (corpus)
echo "Content-Type: text/plain"
echo
echo "hidden"
