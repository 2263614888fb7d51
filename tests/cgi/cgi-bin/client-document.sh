#!/bin/sh
# A client redirect with a document: RFC 3875 §6.2.4. (corpus)
echo "Status: 301 Gone There"
echo "Location: http://example.org/elsewhere"
echo "Content-Type: text/html"
echo
echo "<p>It is elsewhere."
