#!/bin/sh
# Writes nothing, and is content with that. (corpus)
