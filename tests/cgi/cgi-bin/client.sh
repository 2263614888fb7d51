#!/bin/sh
# A client redirect: RFC 3875 §6.2.3. (corpus)
echo "Location: http://example.org/elsewhere?x=y"
echo
