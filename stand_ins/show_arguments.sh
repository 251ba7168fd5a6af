#!/bin/sh
# Its arguments, each ended by a NUL.
printf "%s\0" "$@"
