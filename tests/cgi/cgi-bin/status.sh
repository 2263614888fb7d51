#!/bin/sh
# The status that its query is, with a document: RFC 3875 §6.3.3. (corpus)
printf 'Status: %s\nContent-Type: text/plain\nETag: "1"\n\na document\n' "$QUERY_STRING"
