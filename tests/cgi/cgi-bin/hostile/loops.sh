#!/bin/sh
# Redirects to itself, for ever: RFC 3875 §6.2.2. (corpus)
printf 'Location: %s\n\n' "$SCRIPT_NAME"
