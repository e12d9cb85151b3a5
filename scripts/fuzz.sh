#!/usr/bin/env bash
# Runs every fuzz target for a moment: FUZZTIME each, 10s unless told.
set -euo pipefail
cd "$(dirname "$0")/.."

targets=0
for package in $(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./...); do
  for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
    go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-10s}" "$package"
    targets=$((targets + 1))
  done
done
echo "$targets fuzz targets"
