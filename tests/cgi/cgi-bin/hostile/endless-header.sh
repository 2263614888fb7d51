#!/bin/sh
# Fields for ever (RFC 3875 §9.3 speaks of the other way). (corpus)
echo "Content-Type: text/plain"
exec yes "X-More: and more"
