#!/bin/sh
# Writes more than its Content-Length: what looks like another answer. (corpus)
printf 'Content-Type: text/plain\nContent-Length: 5\n\nfive\n'
printf 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'
