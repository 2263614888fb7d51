#!/usr/bin/env python3
# Sends back what it reads, until the end, and tells what it read from: RFC 3875 §4.2. (corpus)
import os, stat, sys

body = sys.stdin.buffer.read()
kind = "file" if stat.S_ISREG(os.fstat(0).st_mode) else "other"
print(f"Content-Type: {os.environ.get('CONTENT_TYPE', 'application/octet-stream')}")
print(f"X-Told: {os.environ.get('CONTENT_LENGTH', 'nothing')}")
print(f"X-Read: {len(body)}")
print(f"X-Stdin: {kind}\n", flush=True)
sys.stdout.buffer.write(body)
