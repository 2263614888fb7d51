#!/bin/sh
# Has coded its body itself, which is not a script's to do: RFC 3875 §6.3.4. (corpus)
printf 'Content-Type: text/plain\nTransfer-Encoding: chunked\n\n5\r\nhello\r\n0\r\n\r\n'
