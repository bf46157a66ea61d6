# Sallyport. The two commands that matter: make run, make test.

GO      ?= go
TAGS    := grpcnotrace
BUILD   := $(GO) build -tags $(TAGS) -trimpath
BIN     := bin/sallyport
FOR     ?=

.PHONY: run build test check bench docs clean

## run: build and start the demo; needs nothing but Go. FOR=30s ends with a table
run: build
	$(BIN) demo $(if $(FOR),--for $(FOR))

## build: the one binary
build:
	$(BUILD) -ldflags "-s -w" -o $(BIN) ./cmd/sallyport

## test: every test; one that is skipped is an error
test:
	./.ci/test

## check: format, vet, static analysis and seconds of fuzzing; for before a push
check:
	./.ci/check

## bench: CPU per request beside nginx, HAProxy, Caddy and a hand-made guard; writes docs/performance.md
bench:
	cd bench && $(GO) run .

## docs: write the pages that are made from code
docs:
	$(GO) test ./exchange ./config -run 'ReasonsPage|Generated' -update

## clean: remove what was built
clean:
	rm -rf bin
