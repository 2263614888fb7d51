#!/bin/sh
# Fields in every spelling that is allowed: RFC 3875 §6.3. (corpus)
printf 'STATUS:404   Nothing  Here\r\n'
printf 'content-TYPE:\ttext/plain; charset=utf-8 \n'
printf 'X-Empty:\n'
printf 'Set-Cookie: a=b\r\n'
printf 'Set-Cookie: c=d\n'
printf 'X-Colons: a: b :c\n'
printf '\r\n'
echo "nothing here"
