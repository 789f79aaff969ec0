# make check   the one definition of "checked", for a laptop and for CI alike
# make test    everything on a fresh Debian machine: installs what is missing, checks, builds the pages, runs browsers
# make build   bin/lyceum
# make web     builds the pages; fails when edge/page/dist was not what its sources build
# make fuzz    every fuzz target for FUZZTIME (1m)
# make bench   every benchmark
# make fmt     formats the Go files

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := check
.NOTPARALLEL:

# The tools are installed once into .tools. staticcheck v0.8.2 is what calls itself 2026.2.2.
gofumpt := v0.12.0
staticcheck := v0.8.2

GOFUMPT := .tools/gofumpt@$(gofumpt)/gofumpt
STATICCHECK := .tools/staticcheck@$(staticcheck)/staticcheck

# Node that setup installed because the machine's is too old.
export PATH := $(CURDIR)/.tools/node/bin:$(PATH)

# node_modules may hold Go files that are none of ours.
packages = $$(go list ./... | grep -v /node_modules/)

FUZZTIME ?= 1m
TESTFLAGS ?=

.PHONY: check test build web fuzz bench fmt
.PHONY: setup fmt-check static race stories fuzz-short web-check browser

# The whole of vet runs with the tests: its own pass would compile everything once more. Code behind the tag "browser"
# is checked here and run by "make browser".
check: fmt-check static race stories fuzz-short web-check
	@.ci/closing fmt static vet-browser race stories fuzz web

test: setup check
	@.ci/step pages .ci/web dist
	@$(MAKE) --no-print-directory browser
	@.ci/closing fmt static vet-browser race stories fuzz web pages browser

setup:
	@.ci/step setup .ci/setup

fmt-check: $(GOFUMPT)
	@.ci/step fmt .ci/fmt $(GOFUMPT)

static: $(STATICCHECK)
	@all=$(packages); .ci/step static $(STATICCHECK) -tags browser $$all
	@.ci/step vet-browser go vet -tags browser ./test/browser/...

race:
	@all=$(packages); .ci/step race go test -race -vet=all -p 2 -timeout 10m $(TESTFLAGS) $$all

# The stories once more as they are meant, with all their students.
stories:
	@.ci/step stories go test -count=1 -timeout 5m $(TESTFLAGS) ./test/story

fuzz-short:
	@.ci/step fuzz .ci/fuzz 2s

web-check:
	@if command -v npm >/dev/null; then .ci/step web .ci/web check; \
	else .ci/step web echo "npm is missing: the pages are not checked ('make test' installs it)"; fi

browser:
	@.ci/step browser go test -tags browser -count=1 -p 1 -timeout 10m $(TESTFLAGS) ./test/browser/...

build:
	CGO_ENABLED=0 go build -trimpath -o bin/lyceum ./cmd/lyceum

web:
	@.ci/web dist

fuzz:
	@.ci/fuzz $(FUZZTIME)

bench:
	@all=$(packages); go test -run '^$$' -bench . -benchmem $$all

fmt: $(GOFUMPT)
	find . -name '*.go' -not -path '*/node_modules/*' -not -path './.*' -print0 | xargs -0 $(GOFUMPT) -w

.tools/gofumpt@%/gofumpt:
	GOBIN=$(abspath $(@D)) go install mvdan.cc/gofumpt@$*

.tools/staticcheck@%/staticcheck:
	GOBIN=$(abspath $(@D)) go install honnef.co/go/tools/cmd/staticcheck@$*
