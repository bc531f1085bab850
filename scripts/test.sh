#!/usr/bin/env bash
# The installer, formatting, lints, docs and tests of the whole workspace, in the dev profile.
set -euo pipefail
cd "$(dirname "$0")/.."

step() {
    printf '\n== %s\n' "$*"
    "$@"
}

step scripts/bootstrap_test.sh
step cargo fmt --all --check
step cargo clippy --workspace --all-targets --locked -- -D warnings
RUSTDOCFLAGS="-D warnings" step cargo doc --workspace --no-deps --document-private-items --locked
# The scripts over the wire start the server's binary: it is built with the tests.
step cargo test --workspace --locked
