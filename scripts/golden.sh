#!/usr/bin/env bash
# Rewrites the golden files under testdata from what the code answers now. Read the difference before you commit it.
set -euo pipefail
cd "$(dirname "$0")/.."

# Only a test that knows the flag -update may be given it.
grep -rl --include='*_test.go' 'flag.Bool("update"' . | xargs -r -n1 dirname | sort -u | while read -r package; do
  go test -count=1 "$package" -update
done
git --no-pager diff --stat -- '*testdata*'
