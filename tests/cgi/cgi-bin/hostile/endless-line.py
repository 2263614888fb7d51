#!/usr/bin/env python3
# A field that never ends. (corpus)
import sys

sys.stdout.write("X-Long: ")
while True:
    sys.stdout.write("x" * 65536)
