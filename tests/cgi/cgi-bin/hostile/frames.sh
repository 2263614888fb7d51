#!/bin/sh
# Fields of the connection, which are not a script's to say: RFC 3875 §6.3.4. (corpus)
printf 'Content-Type: text/plain\nTransfer-Encoding: identity\nConnection: close, x\n'
printf 'Keep-Alive: timeout=1\nUpgrade: websocket\nTrailer: x\nDate: never\nServer: another\n\n'
printf '0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n'
