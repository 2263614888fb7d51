#!/bin/sh
# A document, the smallest answer there is: RFC 3875 §6.2.1. (corpus)
echo "Content-Type: text/plain"
echo
echo "a document"
