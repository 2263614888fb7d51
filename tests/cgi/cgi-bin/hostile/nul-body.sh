#!/bin/sh
# NULs in its document, where they are bytes like any other. (corpus)
printf 'Content-Type: application/octet-stream\n\n\000a\000\r\n\r\n\000'
