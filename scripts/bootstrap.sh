#!/usr/bin/env bash
# Installs what is missing for building Levada (`build`), or for its tests as well (`test`): packages on Debian and Ubuntu, as root or
# with sudo, and Rust. Does nothing, quickly, when all is there. Elsewhere it says what to install.
set -euo pipefail
cd "$(dirname "$0")/.."

# C and C++ for RocksDB and librdkafka, libclang for their bindings; psql is what the demo is looked at with.
BUILD_PACKAGES=(build-essential cmake pkg-config libclang-dev libssl-dev libcurl4-openssl-dev zlib1g-dev curl ca-certificates
    postgresql-client)
# PostgreSQL's server is what the SQL scripts are held against; Java and Maven run the Kafka broker of the tests.
TEST_PACKAGES=(postgresql default-jre-headless maven)
JAVA_VERSION=17
RUST_VERSION=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' Cargo.toml)
RUST_TOOLCHAIN=$(sed -n 's/^channel *= *"\(.*\)"/\1/p' rust-toolchain.toml)
export PATH="$HOME/.cargo/bin:$PATH"

fail() {
    printf 'bootstrap: %s\n' "$@" >&2
    exit 1
}

has() {
    command -v "$1" >/dev/null 2>&1
}

# Whether the first version is not older than the second.
is_new_enough() {
    [ -n "$1" ] && [ "$(printf '%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

missing_packages() {
    local installed
    installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^installed //p' || true)
    printf '%s\n' "$@" | grep -vxF "${installed:-none}" || true
}

install_packages() {
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        has sudo || fail "packages are missing, and there is no sudo to install them with; as root:" \
            "  apt-get update && apt-get install --no-install-recommends $*"
        as_root=(sudo)
    fi
    printf 'bootstrap: installing %s\n' "$*"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}

java_is_new_enough() {
    is_new_enough "$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p')" "$JAVA_VERSION"
}

# A distribution's default Java can be older than Kafka wants, with a newer one beside it.
install_newer_java() {
    local package
    for package in openjdk-21-jre-headless openjdk-17-jre-headless; do
        if apt-cache policy "$package" | grep -q 'Candidate: [^(]'; then
            install_packages "$package"
            java_is_new_enough || fail "Java $JAVA_VERSION is installed but is not the default here: update-alternatives --config java"
            return
        fi
    done
    fail "Java $JAVA_VERSION or newer is needed, and this distribution has none: install it, then try again"
}

on_debian() {
    local packages=("${BUILD_PACKAGES[@]}") missing
    if [ "$purpose" = test ]; then
        packages+=("${TEST_PACKAGES[@]}")
    fi
    mapfile -t missing < <(missing_packages "${packages[@]}")
    if [ "${#missing[@]}" -gt 0 ]; then
        install_packages "${missing[@]}"
    fi
    if [ "$purpose" = test ] && ! java_is_new_enough; then
        install_newer_java
    fi
}

# What to type where another package manager is known; what is needed where none is.
by_hand() {
    local build test="" root=""
    [ "$(id -u)" -eq 0 ] || root="sudo "
    if has dnf; then
        build="${root}dnf install gcc gcc-c++ make cmake pkgconf clang-devel openssl-devel libcurl-devel zlib-devel curl postgresql"
        test=" postgresql-server java-21-openjdk-headless maven"
    elif has pacman; then
        build="${root}pacman -S --needed base-devel cmake pkgconf clang openssl curl zlib postgresql-libs"
        test=" postgresql jre21-openjdk-headless maven"
    elif has zypper; then
        build="${root}zypper install gcc gcc-c++ make cmake pkgconf clang-devel libopenssl-devel libcurl-devel zlib-devel curl postgresql"
        test=" postgresql-server java-21-openjdk-headless maven"
    elif has brew; then
        build="xcode-select --install; brew install cmake pkgconf openssl@3 libpq"
        test=" postgresql@15 openjdk maven"
    else
        build="C and C++ compilers, make, cmake, pkg-config, libclang, curl, psql, and the headers of OpenSSL, libcurl and zlib"
        test="; PostgreSQL's server, version 15, Java $JAVA_VERSION or newer and Maven"
    fi
    [ "$purpose" = test ] || test=""
    printf '  %s\n' "$build$test"
}

# What has no package manager that we use is looked for by what it provides.
elsewhere() {
    local tool missing=() tools=(cc c++ make cmake curl)
    [ "$purpose" = build ] || tools+=(java mvn)
    for tool in "${tools[@]}"; do
        has "$tool" || missing+=("$tool")
    done
    has pkg-config || has pkgconf || missing+=(pkg-config)
    if [ "$purpose" = test ]; then
        has initdb || has pg_config || missing+=("PostgreSQL's server (initdb and postgres)")
        if has java && ! java_is_new_enough; then
            missing+=("Java $JAVA_VERSION or newer")
        fi
    fi
    if [ "${#missing[@]}" -gt 0 ]; then
        fail "this is neither Debian nor Ubuntu, and these are missing:" "${missing[@]/#/  }" "install what is needed, then try again:" \
            "$(by_hand)"
    fi
}

# Whether cargo is there and not older than Cargo.toml wants.
has_rust() {
    local found
    found=$(cargo --version 2>/dev/null | cut -d ' ' -f 2) || return 1
    is_new_enough "$found" "$RUST_VERSION"
}

# Writes rustup's installer into a file: from its own address, or from the server that Rust itself comes from, which networks that
# let little through know more often.
fetch_rustup() {
    local address
    for address in https://sh.rustup.rs "${RUSTUP_UPDATE_ROOT:-https://static.rust-lang.org/rustup}/rustup-init.sh"; do
        curl --proto '=https' --tlsv1.2 -sSf "$address" -o "$1" && return
    done
    return 1
}

install_rust() {
    local by_hand="Rust $RUST_VERSION or newer is needed: install it (https://rustup.rs) with rustfmt and clippy, then try again"
    if has rustup; then
        printf 'bootstrap: installing Rust %s\n' "$RUST_TOOLCHAIN"
        rustup toolchain install "$RUST_TOOLCHAIN" --profile minimal --component rustfmt --component clippy || fail "$by_hand"
        has_rust || fail "Rust $RUST_TOOLCHAIN is installed but is not what cargo uses here: rustup show active-toolchain"
        return
    fi
    printf 'bootstrap: installing Rust with rustup\n'
    local installer
    installer=$(mktemp)
    fetch_rustup "$installer" || fail "rustup cannot be reached" "$by_hand"
    sh "$installer" -y --default-toolchain "$RUST_TOOLCHAIN" --profile minimal --component rustfmt --component clippy \
        --no-modify-path || fail "$by_hand"
    rm -f "$installer"
    hash -r
    has_rust || fail "$by_hand"
}

install_components() {
    local component
    for component in fmt clippy; do
        if ! cargo "$component" --version >/dev/null 2>&1; then
            has rustup || fail "cargo $component is missing: install rustfmt and clippy of your Rust"
            rustup component add rustfmt clippy
        fi
    done
}

purpose=${1:-test}
case "$purpose" in
    build | test) ;;
    *) fail "usage: scripts/bootstrap.sh [build | test]" ;;
esac
if has dpkg-query && has apt-get; then
    on_debian
else
    elsewhere
fi
has_rust || install_rust
if [ "$purpose" = test ]; then
    install_components
fi
