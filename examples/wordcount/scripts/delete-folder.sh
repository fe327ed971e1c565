#!/bin/bash
# Removes the folder that create-folder.sh made; nothing if it made none.
set -eu

path=$(ctx instance runtime-properties path)
if [ -n "$path" ]; then
  rm -rf "$path"
  ctx logger info "removed $path"
fi
