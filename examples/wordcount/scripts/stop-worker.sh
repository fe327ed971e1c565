#!/bin/bash
# Ends the worker and waits, at most five seconds, until it is gone.
set -eu

pid=$(ctx instance runtime-properties pid)
[ -n "$pid" ] || exit 0
kill "$pid" 2>/dev/null || true
for _ in $(seq 50); do
  if ! kill -0 "$pid" 2>/dev/null; then
    ctx logger info "worker $pid ended"
    exit 0
  fi
  sleep 0.1
done
ctx retry-operation "worker $pid has not ended yet"
