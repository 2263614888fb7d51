#!/bin/sh
# Begins with its document; it has no header. (corpus)
echo "Hello, world"
echo
