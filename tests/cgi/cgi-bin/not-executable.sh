#!/bin/sh
# A script that nobody has made executable: 403, and its text is never shown. (corpus)
echo "Content-Type: text/plain"
echo
