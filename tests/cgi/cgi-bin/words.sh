#!/bin/sh
# The words of an indexed search are its arguments: RFC 3875 §4.4. (corpus)
echo "Content-Type: text/plain"
echo
echo "$#"
for word; do echo "$word"; done
