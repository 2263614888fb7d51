#!/usr/bin/python3
# Writes most of its document after so many milliseconds, and ends at once. (corpus)
import os, sys, time
os.write(1, b"Content-Type: text/plain\n\nhead")
time.sleep(int(sys.argv[1]) / 1000)
os.write(1, b"#" * 16384)
os._exit(0)
