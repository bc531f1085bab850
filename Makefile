# What a person types here. `make test` is what CI runs.

PREFIX ?= /usr/local
CARGO_TARGET_DIR ?= target

# rustup installs here; a shell that was open before does not know yet.
export PATH := $(HOME)/.cargo/bin:$(PATH)

.PHONY: help bootstrap tools demo build test install clean

help:
	@echo "make demo              build the debug server and show it on a live stream (ARGS='--rate 2000', …)"
	@echo "make test              check formatting, lints and docs, run all tests"
	@echo "make build             build the debug server: $(CARGO_TARGET_DIR)/debug/levada"
	@echo "make install           build the release server and put it into PREFIX/bin (PREFIX=$(PREFIX))"
	@echo "make bootstrap         install what building and testing need (the others do it first, as far as they need it)"
	@echo "make clean             remove what was built here"

bootstrap:
	@scripts/bootstrap.sh test

tools:
	@scripts/bootstrap.sh build

# Not a release build, which takes an hour on two cores before there is anything to see.
demo: build
	@exec "$(CARGO_TARGET_DIR)/debug/levada" demo $(ARGS)

build: tools
	cargo build --locked --bin levada

test: bootstrap
	@scripts/test.sh

install: tools
	cargo build --release --locked --bin levada
	install -d "$(DESTDIR)$(PREFIX)/bin"
	install -m 755 "$(CARGO_TARGET_DIR)/release/levada" "$(DESTDIR)$(PREFIX)/bin/levada"

clean:
	cargo clean
