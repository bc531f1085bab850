#!/usr/bin/env bash
# What bootstrap.sh does on machines that it does not find here: each is a folder of programs that only note that they were called.
set -euo pipefail
cd "$(dirname "$0")"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bash=$(command -v bash)

# machine: an empty machine with the tools that every system has. No package manager, no Rust, a user who is not root.
machine() {
    rm -rf "$work/bin" "$work/home" "$work/notes"
    mkdir "$work/bin" "$work/home"
    : >"$work/notes"
    local tool
    for tool in bash sh cat chmod cp cut dirname env grep head mkdir mktemp rm sed sort; do
        ln -s "$(command -v "$tool")" "$work/bin/$tool"
    done
    program id 'echo 1000'
}

# program NAME SCRIPT: a program that notes its call and then runs SCRIPT.
program() {
    mkdir -p "$(dirname "$work/bin/$1")"
    printf '#!%s\necho "%s $*" >>"%s/notes"\n%s\n' "$bash" "$1" "$work" "${2:-}" >"$work/bin/$1"
    chmod +x "$work/bin/$1"
}

debian() {
    program dpkg-query 'shift 3; for package in "$@"; do [[ " '"$1"' " != *" $package "* ]] || echo "installed $package"; done; exit 1'
    program apt-get
}

ALL="build-essential cmake pkg-config libclang-dev libssl-dev libcurl4-openssl-dev zlib1g-dev curl ca-certificates postgresql-client"
RUST='[ "$1" != --version ] || echo "cargo 1.99.0 (abc 2026-01-01)"'
OLD_RUST='[ "$1" != --version ] || echo "cargo 1.63.0 (abc 2022-01-01)"'
JAVA='echo "openjdk version \"21.0.1\" 2023-10-17" >&2'
OLD_JAVA='echo "openjdk version \"11.0.2\" 2019-01-15" >&2'

# run PURPOSE STATUS: runs it and holds its exit code against STATUS.
run() {
    local status=0
    (PATH="$work/bin" HOME="$work/home" "$bash" ./bootstrap.sh "$1" >"$work/said" 2>&1) || status=$?
    [ "$status" -eq "$2" ] || wrong "exit code $status"
}

wrong() {
    printf 'bootstrap_test: line %s: %s\n--- it said\n' "${BASH_LINENO[1]}" "$1"
    cat "$work/said"
    printf -- '--- it called\n'
    cat "$work/notes"
    exit 1
} >&2

said() {
    grep -qF -- "$1" "$work/said" || wrong "it did not say: $1"
}

called() {
    grep -qF -- "$1" "$work/notes" || wrong "it did not call: $1"
}

not_called() {
    ! grep -qF -- "$1" "$work/notes" || wrong "it called: $1"
}

# All is there: nothing is installed, as often as it is run.
machine
debian "$ALL postgresql default-jre-headless maven"
program cargo "$RUST"
program java "$JAVA"
run build 0
run test 0
not_called apt-get

# For a demo neither Java nor PostgreSQL's server is wanted.
machine
debian "$ALL"
program cargo "$RUST"
run build 0
not_called apt-get

# Packages are missing, and there is sudo.
machine
debian "build-essential curl"
program sudo '"$@"'
program cargo "$RUST"
program java "$JAVA"
run test 0
called "sudo env DEBIAN_FRONTEND=noninteractive apt-get update -q"
called "apt-get install -q -y --no-install-recommends cmake pkg-config libclang-dev"
called "postgresql default-jre-headless maven"
not_called "recommends build-essential"

# The user is root: no sudo.
machine
debian ""
program id 'echo 0'
program sudo 'exit 1'
program cargo "$RUST"
run build 0
called "apt-get install -q -y --no-install-recommends $ALL"
not_called "sudo "

# Neither root nor sudo: the command to give.
machine
debian "build-essential cmake pkg-config"
program cargo "$RUST"
run build 1
said "apt-get update && apt-get install --no-install-recommends libclang-dev libssl-dev"
not_called "apt-get install"

# apt-get fails: so does this.
machine
debian ""
program sudo '"$@"'
program apt-get 'exit 100'
program cargo "$RUST"
run build 100

# The default Java is too old, and there is another.
machine
debian "$ALL postgresql default-jre-headless maven"
program sudo '"$@"'
program cargo "$RUST"
program java "$OLD_JAVA"
program apt-cache '[ "$2" = openjdk-17-jre-headless ] && echo "  Candidate: 17.0.2" || echo "  Candidate: (none)"'
program apt-get '[ "$1" != install ] || { cp "'"$work"'/bin/java" "'"$work"'/java"; sed "s/11\.0\.2/17.0.2/" "'"$work"'/java" >"'"$work"'/bin/java"; }'
run test 0
called "apt-get install -q -y --no-install-recommends openjdk-17-jre-headless"

# No Rust: rustup is fetched and makes a cargo that is found at once.
machine
debian "$ALL"
program curl 'while [ "$1" != -o ]; do shift; done
cat >"$2" <<END
mkdir -p "$HOME/.cargo/bin" && cp "'"$work"'/rust" "$HOME/.cargo/bin/cargo" && echo "installer \$*" >>"'"$work"'/notes"
END'
printf '#!%s\n%s\n' "$bash" "$RUST" >"$work/rust"
chmod +x "$work/rust"
run build 0
called "https://sh.rustup.rs"
called "installer -y --default-toolchain 1."
called "--profile minimal --component rustfmt --component clippy --no-modify-path"

# Its own address is out of reach: from where Rust comes from.
program curl 'case "$*" in *sh.rustup.rs*) exit 6 ;; esac
while [ "$1" != -o ]; do shift; done
cp "'"$work"'/installer" "$2"'
printf 'mkdir -p "$HOME/.cargo/bin" && cp "%s/rust" "$HOME/.cargo/bin/cargo"\n' "$work" >"$work/installer"
rm -r "$work/home/.cargo"
run build 0
called "/rustup/rustup-init.sh"

# The distribution's cargo is too old: rustup's goes before it.
program cargo "$OLD_RUST"
rm -r "$work/home/.cargo"
run build 0
[ -x "$work/home/.cargo/bin/cargo" ] || wrong "no newer cargo"

# No way to rustup.
program curl 'exit 6'
rm -r "$work/home/.cargo"
run build 1
said "rustup cannot be reached"
said "or newer is needed: install it (https://rustup.rs)"

# rustup is there with a Rust that is too old, and updates it.
machine
debian "$ALL"
program cargo "$OLD_RUST"
program rustup 'sed -i s/1.63.0/1.99.0/ "'"$work"'/bin/cargo"'
run build 0
called "rustup toolchain install 1."

# The updated one is not the default.
program cargo "$OLD_RUST"
program rustup
run build 1
said "rustup show active-toolchain"

# Another system: what is missing, and what to type.
machine
program dnf
program cargo "$RUST"
run build 1
said "neither Debian nor Ubuntu"
said "  cmake"
said "sudo dnf install gcc gcc-c++ make cmake"
not_called dnf
grep -q mvn "$work/said" && wrong "a build needs no Maven"
run test 1
said "  mvn"
said "postgresql-server java-21-openjdk-headless maven"

# A system that nobody knows, with all that is needed, and then with an old Java.
machine
for tool in cc c++ make cmake curl pkgconf mvn initdb; do
    program "$tool"
done
program cargo "$RUST"
program java "$JAVA"
run test 0
program java "$OLD_JAVA"
run test 1
said "  Java 17 or newer"
said "C and C++ compilers, make, cmake"

run nonsense 1
said "usage: scripts/bootstrap.sh [build | test]"
