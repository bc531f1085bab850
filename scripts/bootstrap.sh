#!/usr/bin/env bash
# Installs what building and testing Levada need, if it is missing: packages on Debian and Ubuntu (as root or with sudo), and Rust.
# Does nothing, quickly, when all is there. Elsewhere it says what to install.
set -euo pipefail
cd "$(dirname "$0")/.."

# C and C++ for RocksDB and librdkafka, libclang for their bindings; PostgreSQL's server is what the SQL scripts are held against,
# Java and Maven run the Kafka broker of the tests.
PACKAGES=(build-essential cmake pkg-config libclang-dev libssl-dev libcurl4-openssl-dev zlib1g-dev curl ca-certificates
    postgresql postgresql-client default-jre-headless maven)
RUST_VERSION=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' Cargo.toml)
export PATH="$HOME/.cargo/bin:$PATH"

fail() {
    printf 'bootstrap: %s\n' "$@" >&2
    exit 1
}

has() {
    command -v "$1" >/dev/null 2>&1
}

missing_packages() {
    local installed
    installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${PACKAGES[@]}" 2>/dev/null | sed -n 's/^installed //p' || true)
    printf '%s\n' "${PACKAGES[@]}" | grep -vxF "${installed:-none}" || true
}

install_packages() {
    local missing=("$@") as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        has sudo || fail "these packages are missing, and there is no sudo to install them with:" "  ${missing[*]}"
        as_root=(sudo)
    fi
    printf 'bootstrap: installing %s\n' "${missing[*]}"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
}

# What has no package manager known here is looked for by what it provides.
check_tools() {
    local missing=()
    for tool in cc c++ make cmake pkg-config curl java mvn; do
        has "$tool" || missing+=("$tool")
    done
    has initdb || has pg_config || missing+=("PostgreSQL's server (initdb and postgres, 15 or newer)")
    if [ "${#missing[@]}" -gt 0 ]; then
        fail "this is neither Debian nor Ubuntu; install these, then try again:" "${missing[@]/#/  }" \
            "and the development files of libclang, OpenSSL and zlib if the build asks for them"
    fi
}

# Whether cargo is there and not older than Cargo.toml wants.
has_rust() {
    local found
    found=$(cargo --version 2>/dev/null | cut -d ' ' -f 2) || return 1
    [ -n "$found" ] && [ "$(printf '%s\n' "$RUST_VERSION" "$found" | sort -V | head -n 1)" = "$RUST_VERSION" ]
}

install_rust() {
    local by_hand="Rust $RUST_VERSION or newer is needed: install it (https://rustup.rs) with rustfmt and clippy, then try again"
    if has rustup; then
        printf 'bootstrap: updating Rust\n'
        rustup toolchain install stable --profile minimal --component rustfmt --component clippy || fail "$by_hand"
        has_rust || fail "Rust $RUST_VERSION is installed but is not the default here: rustup default stable"
        return
    fi
    printf 'bootstrap: installing Rust with rustup\n'
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs -o /tmp/rustup-init.$$ || fail "rustup cannot be reached" "$by_hand"
    sh /tmp/rustup-init.$$ -y --profile minimal --component rustfmt --component clippy --no-modify-path || fail "$by_hand"
    rm -f /tmp/rustup-init.$$
    has_rust || fail "$by_hand"
}

if has dpkg-query && has apt-get; then
    mapfile -t missing < <(missing_packages)
    if [ "${#missing[@]}" -gt 0 ]; then
        install_packages "${missing[@]}"
    fi
else
    check_tools
fi

has_rust || install_rust
for component in fmt clippy; do
    if ! cargo "$component" --version >/dev/null 2>&1; then
        has rustup || fail "cargo $component is missing: install rustfmt and clippy of your Rust"
        rustup component add rustfmt clippy
    fi
done
