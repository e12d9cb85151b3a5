# The commands of this repository; `make` alone lists them.

GOLANGCI_LINT = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOFUMPT       = mvdan.cc/gofumpt@v0.12.0
GOVULNCHECK   = golang.org/x/vuln/cmd/govulncheck@latest

.DEFAULT_GOAL := help
.PHONY: help build dev test lint format vuln fuzz bench golden check clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build the binary: ./broker
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o broker ./cmd/broker

dev: ## run it here, with local upstreams and a demo app
	go run ./cmd/broker dev

test: ## run every test, install what they need, say what was left out (an error with CI=true)
	@scripts/test.sh

lint: ## check formatting and run the linters
	@test -z "$$(go run $(GOFUMPT) -l . | tee /dev/stderr)" || { echo 'not formatted: make format' >&2; exit 1; }
	go vet ./...
	go run $(GOLANGCI_LINT) run ./...

format: ## format the Go code
	go run $(GOFUMPT) -w .

vuln: ## look for known vulnerabilities in what the code calls
	go run $(GOVULNCHECK) ./...

fuzz: ## run each fuzz target for FUZZTIME (10s)
	@scripts/fuzz.sh

bench: ## run the benchmarks
	go test -run '^$$' -bench . -benchmem ./...

golden: ## rewrite the golden files, and show which changed
	@scripts/golden.sh

check: lint test fuzz ## all that a change must pass

clean: ## remove what was built here
	rm -rf broker test/browser/node_modules test/browser/artifacts store/mongo/testserver/target
