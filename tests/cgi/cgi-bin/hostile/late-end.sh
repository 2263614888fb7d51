#!/bin/sh
# Takes its time between the parts of its document, and before its end. (corpus)
printf 'Content-Type: text/plain\n\nfirst'
sleep 0.3
printf 'second'
sleep 0.05
