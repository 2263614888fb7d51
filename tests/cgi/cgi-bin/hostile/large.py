#!/usr/bin/env python3
# A document of 100 MB. (corpus)
import os

os.write(1, b"Content-Type: application/octet-stream\n\n")
part = bytes(1_000_000)
for _ in range(100):
    rest = part
    while rest:
        rest = rest[os.write(1, rest):]
