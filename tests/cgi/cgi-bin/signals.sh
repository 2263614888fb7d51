#!/bin/sh
# Tells which signals it was told to ignore. (corpus)
echo "Content-Type: text/plain"
echo
grep SigIgn: /proc/$$/status
