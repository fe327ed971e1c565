#!/bin/bash
# Starts the worker as a process of its own, which lives on when this script has ended.
set -eu

folder=$(ctx instance runtime-properties data_folder)
worker=$(ctx download-resource scripts/worker.py)
cp "$worker" "$folder/worker.py"
# shellcheck disable=SC2154 # `poll_seconds` is an input of the operation
nohup setsid python3 "$folder/worker.py" "$folder" "$poll_seconds" >"$folder/worker.log" 2>&1 </dev/null &
pid=$!
ctx instance runtime-properties pid "$pid"
ctx logger info "worker runs as process $pid"
ctx returns "$pid"
