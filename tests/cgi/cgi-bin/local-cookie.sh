#!/bin/sh
# A local Location with a field beside it that a local redirect would lose. (corpus)
echo "Location: /a.txt"
echo "Set-Cookie: who=me"
echo
