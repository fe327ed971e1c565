#!/bin/bash
# Makes the folder that service and worker share, and remembers whether it was ours to make.
set -eu

# shellcheck disable=SC2154 # `folder` is an input of the operation
if [ -e "$folder" ]; then
  ctx abort-operation "$folder exists already; choose another data_folder, it is removed at uninstall"
  exit 0
fi
mkdir -p "$folder/inbox" "$folder/counted"
ctx instance runtime-properties path "$folder"
ctx logger info "made $folder"
