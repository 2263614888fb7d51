#!/bin/sh
# Says how long its document is, as a field of HTTP: RFC 3875 §6.3.4. (corpus)
printf 'Content-Type: text/plain\nContent-Length: 11\n\na document\n'
