#!/usr/bin/env python3
# Reads what was sent piece by piece, with a pause after each, and tells how much it was. (corpus)
import os, time

total = 0
while piece := os.read(0, 5_000_000):
    total += len(piece)
    time.sleep(0.01)
print(f"Content-Type: text/plain\n\n{total}")
