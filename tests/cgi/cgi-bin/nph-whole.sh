#!/bin/sh
# Writes its head itself, from the status line on: RFC 3875 §5. (corpus)
printf 'HTTP/1.1 202 As It Is\r\nServer: its own\r\nX-Nph: yes\r\n\r\nwhole\n'
