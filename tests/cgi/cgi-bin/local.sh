#!/bin/sh
# A local redirect to the path and query that its own query is: RFC 3875 §6.2.2. (corpus)
echo "Location: $QUERY_STRING"
echo
