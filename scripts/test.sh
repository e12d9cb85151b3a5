#!/usr/bin/env bash
# Runs every test: vet, the Go tests with the race detector, the browser suite. Installs what is missing where it can, and
# ends with what it left out and why; with CI=true leaving anything out is a failure.
#
# BROKER_TEST_MONGO_URI  a MongoDB of your own, instead of the stand-in
# CHROMIUM               a Chromium of your own
# GOTESTFLAGS            more flags for go test, such as -count=1 or -run=Name
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
left_out=$work/left-out
: >"$left_out"
passed=0 failed=0 skipped=0

say() { printf '\n== %s\n' "$*"; }
have() { command -v "$1" >/dev/null 2>&1; }
leave_out() { printf '%s\n' "$*" >>"$left_out"; }

# install takes Debian packages; it is false where only the owner of the machine may do that.
install() {
  [ "$(id -u)" = 0 ] && have apt-get || return 1
  say "installing $*"
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >"$work/apt" 2>&1 ||
    { tail -n 20 "$work/apt"; return 1; }
}

c_compiler() {
  have cc || have gcc || have clang || install gcc libc6-dev
}

# mongo makes sure that the package mongotest finds a server; the tests themselves say so where it does not.
mongo() {
  [ -n "${BROKER_TEST_MONGO_URI:-}" ] && return
  have java && have mvn && return
  have docker && docker info >/dev/null 2>&1 && return
  install default-jdk-headless maven || true
}

find_chromium() {
  local name
  for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable; do
    [ -n "$name" ] && command -v "$name" && return
  done
  return 1
}

node_is_new_enough() {
  have node && [ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] && have npm
}

# examples makes sure that the APIs below examples/ can run; the tests themselves say which cannot.
examples() {
  have python3 && python3 -c 'import ensurepip, venv' 2>/dev/null || install python3 python3-venv || true
  node_is_new_enough || install nodejs npm || true
}

go_tests() {
  local race=(-race)
  if ! c_compiler; then
    race=()
    leave_out "the race detector: it needs a C compiler (install gcc)"
  fi
  mongo
  examples
  say "go vet"
  go vet ./... || failed=$((failed + 1))
  say "go test ${race[*]}"
  # shellcheck disable=SC2086 # GOTESTFLAGS is a list of words
  go test -json "${race[@]}" -shuffle=on -p 2 -timeout 25m ${GOTESTFLAGS:-} ./... |
    go run scripts/report.go -left-out "$left_out" -counts "$work/go" || true
  count "$work/go"
}

browser_tests() {
  node_is_new_enough ||
    { leave_out "the browser suite: it needs Node.js 20 or newer with npm"; return; }
  find_chromium >/dev/null || install chromium || true
  CHROMIUM=$(find_chromium) ||
    { leave_out "the browser suite: it needs Chromium (install it, or name it in CHROMIUM)"; return; }
  export CHROMIUM

  say "npm ci in test/browser"
  (cd test/browser && npm ci --no-audit --no-fund) >"$work/npm" 2>&1 ||
    { tail -n 20 "$work/npm"; leave_out "the browser suite: npm could not install its packages"; return; }
  say "browser suite"
  (cd test/browser && node scripts/run.mjs --counts "$work/browser" --left-out "$left_out") || true
  count "$work/browser"
}

# count adds up a file of the form "PASSED FAILED SKIPPED"; a suite that did not live to write it has failed.
count() {
  local p=0 f=1 s=0
  [ -s "$1" ] && read -r p f s <"$1"
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

go_tests
browser_tests

verdict=0
if [ -s "$left_out" ]; then
  say "left out"
  sort -u "$left_out"
  if [ "${CI:-}" = true ]; then
    echo "CI=true: leaving anything out is a failure"
    verdict=1
  fi
fi
[ "$failed" = 0 ] && [ "$passed" -gt 0 ] || verdict=1
say "result"
echo "$passed passed, $failed failed, $skipped skipped"
exit "$verdict"
