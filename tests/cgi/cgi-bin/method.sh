#!/bin/sh
# Any method is a script's to handle: RFC 3875 §4.3. (corpus)
echo "Content-Type: text/plain"
echo
echo "$REQUEST_METHOD"
