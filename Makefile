# What can be done here: `make` alone lists it. The scripts that some targets call say more in their first lines.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

revision := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)$(shell git diff --quiet HEAD 2>/dev/null || echo -dirty)
stamp := -s -w -X github.com/sandlot-dev/sandlot/internal/version.Revision=$(revision)
ifdef VERSION
stamp += -X github.com/sandlot-dev/sandlot/internal/version.Version=$(VERSION)
endif
# nomsgpack leaves out a codec of gin's that nobody speaks here, and 6 MB with it.
go_build := CGO_ENABLED=0 go build -tags nomsgpack -buildvcs=false -trimpath -ldflags '$(stamp)'
# Pinned in a module of its own, so that the linters' dependencies are not ours.
go_tool := go tool -modfile=scripts/tools/go.mod

.PHONY: help up down clean-all build images test unit race e2e languages sdk clients sdk-latest chaos frameworks notebooks bench check lint vuln gen fresh fmt clean

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

up: ## Install what is missing, build, start Sandlot in the background and run a first sandbox
	@scripts/up

down: ## Stop all that `make up` started; sandboxes and data stay
	@scripts/down

clean-all: ## Stop everything and remove sandboxes, images, data, caches and built files; packages of the system stay
	@scripts/down all

build: ## Build bin/toolboxd and bin/sandlot, which carries it (VERSION=v1.2.3 stamps a release)
	$(go_build) -o bin/toolboxd ./cmd/toolboxd
	cmp -s bin/toolboxd runnerd/inject/bin/toolboxd || cp bin/toolboxd runnerd/inject/bin/toolboxd
	$(go_build) -o bin/sandlot ./cmd/sandlot

images: build ## Build the default image of sandboxes, if what goes into it changed (FRESH=1: with the newest packages)
	@scripts/images

test: ready race e2e sdk chaos ## Run every test: unit and contract under the race detector, containers, clients, faults

.PHONY: ready
ready: # what tests need: the engine and their programs, our programs, the image
	@scripts/engine tests
	@$(MAKE) --no-print-directory images

unit: ## Run the tests that need nothing but Go
	go test ./...

race: ## Run the same under the race detector
	go test -race ./...

e2e: ## Run the tests against real containers (after `make images`)
	go test -tags e2e -count 1 -timeout 30m ./runnerd/... ./tests/contract/... ./tests/e2e/... ./tests/script/...

languages: ## Run real language servers and interpreters with their packages, which it installs; not part of `make test`
	go test -tags e2e -count 1 -timeout 30m ./lsp/... ./interpreter/...

sdk: ## Run the published Python and TypeScript clients, in pinned releases (after `make images`)
	go test -tags e2e -count 1 -timeout 30m ./tests/sdk/...

clients: ## Run the small program with all of the 29 releases of the published clients since 2025; `make sdk` runs some (after `make images`)
	SANDLOT_SDK=all go test -tags e2e -count 1 -timeout 30m -run TestReleases -v ./tests/sdk/...

sdk-latest: ## Run the newest published clients; not part of `make test`
	SANDLOT_SDK=latest go test -tags e2e -count 1 -timeout 30m ./tests/sdk/...

chaos: ## Kill things at bad moments and look what is left (after `make images`)
	go test -tags e2e -count 1 -timeout 30m ./tests/chaos/...

frameworks: ## Open real frameworks through their previews in Chromium; not part of `make test` (ARGS='-run TestFrameworks/^path$$')
	@scripts/engine frameworks
	@$(MAKE) --no-print-directory images
	go test -tags e2e -count 1 -timeout 60m -v $(ARGS) ./tests/frameworks

notebooks: ## Run a thousand cells, hundreds of interrupts and ten notebooks in the interpreter; not part of `make test` (after `make images`)
	go test -tags e2e -count 1 -timeout 30m -v ./tests/notebooks

bench: ## Measure against bare processes and bare Docker in the same run (after `make images`)
	go run ./tests/bench

check: lint fresh vuln ## Lint, generated files and go.mod up to date, known vulnerabilities

lint: ## Run golangci-lint and shellcheck
	$(go_tool) golangci-lint run
	shellcheck -x -P SCRIPTDIR $$(git ls-files scripts images .ci | xargs grep -lE '^#!.*bash|shellcheck shell=bash')

vuln: ## Look for known vulnerabilities in what the binaries call
	@scripts/vuln

gen: ## Rebuild generated files
	go generate ./...

fresh: ## Fail if `make gen` or `go mod tidy` changes anything
	@scripts/fresh
	go mod tidy -diff

fmt: ## Format Go files
	$(go_tool) golangci-lint fmt

clean: ## Remove built files
	rm -rf bin runnerd/inject/bin/toolboxd
