#!/bin/sh
# As no-header.sh, and then it hangs. (corpus)
echo "Hello, world"
exec sleep 1000
