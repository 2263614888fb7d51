#!/bin/sh
# What of the path is its own and what is not: RFC 3875 §3.3, §4.1.5, §4.1.6. (corpus)
echo "Content-Type: text/plain"
echo
echo "$SCRIPT_NAME|$PATH_INFO|${PATH_TRANSLATED-none}|$QUERY_STRING"
