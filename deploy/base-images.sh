#!/usr/bin/env bash
# Makes the images that Dockerfile.flux-sim starts from, where no registry can be reached:
# debian:bookworm-slim out of the packages of the distribution, from the mirror that apt
# uses here, and rust:1-bookworm, which is the same with a linker and this machine's
# toolchain. An image that the engine has, or can pull, is taken as it is.
#
#   deploy/base-images.sh            as root, on Debian or a relative of it
set -euo pipefail

# How long a registry may take to begin to answer; one that cannot be reached often
# swallows packets instead of refusing them.
PULL_TIMEOUT=${PULL_TIMEOUT:-20}

say() { echo "base-images: $*" >&2; }

# have IMAGE: is it there, or can it be had?
have() {
    docker image inspect "$1" >/dev/null 2>&1 && return
    timeout "$PULL_TIMEOUT" docker manifest inspect "$1" >/dev/null 2>&1 && docker pull --quiet "$1" >/dev/null
}

# The address of the mirror of Debian bookworm that apt uses.
mirror() {
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' 'Component: main' |
        sort -u | head -n 1
}

# bootstrap FOLDER PACKAGES: a minimal system, without what an image does not need.
bootstrap() {
    local root=$1 from
    from=$(mirror)
    if [ -z "$from" ]; then
        say "apt knows no mirror of Debian bookworm"
        return 1
    fi
    debootstrap --variant=minbase --include="$2" bookworm "$root" "$from" >"$root.log" 2>&1 || {
        tail -n 20 "$root.log" >&2
        return 1
    }
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* \
        "$root"/usr/share/doc/* "$root"/usr/share/man/* "$root"/usr/share/locale/*
    # Whom this machine trusts, the image does, too: its mirrors may need it.
    if [ -e /etc/ssl/certs/ca-certificates.crt ]; then
        mkdir -p "$root/etc/ssl/certs"
        cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
    fi
}

# The toolchain that cargo uses here, where the official image has it, with the registries
# that cargo is configured for.
toolchain() {
    local root=$1 sysroot home=${CARGO_HOME:-$HOME/.cargo}
    sysroot=$(rustc --print sysroot)
    mkdir -p "$root/rustup" "$root/cargo"
    cp -a "$sysroot/." "$root/rustup/"
    rm -rf "$root/rustup/share"
    for config in config.toml config; do
        [ ! -e "$home/$config" ] || cp -L "$home/$config" "$root/cargo/"
    done
}

# import FOLDER IMAGE CHANGES...
import() {
    local root=$1 image=$2
    shift 2
    tar -C "$root" --numeric-owner -c . | docker import "$@" - "$image" >/dev/null
    say "made $image"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if ! have debian:bookworm-slim; then
    bootstrap "$work/slim" ca-certificates
    # The official image has no certificates; whoever needs them installs them.
    import "$work/slim" debian:bookworm-slim --change 'CMD ["bash"]'
fi
if ! have rust:1-bookworm; then
    toolchain "$work/usr-local"
    container=$(docker create debian:bookworm-slim sh -euc \
        'apt-get update -qq && apt-get install -qq -y --no-install-recommends gcc libc6-dev git && apt-get clean')
    trap 'rm -rf "$work"; docker rm -f "$container" >/dev/null' EXIT
    docker cp "$work/usr-local/." "$container:/usr/local/" >/dev/null
    docker start --attach "$container" >"$work/apt.log" 2>&1 || {
        tail -n 20 "$work/apt.log" >&2
        exit 1
    }
    docker commit --change 'CMD ["bash"]' \
        --change 'ENV CARGO_HOME=/usr/local/cargo RUSTUP_HOME=/usr/local/rustup' \
        --change 'ENV PATH=/usr/local/cargo/bin:/usr/local/rustup/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
        "$container" rust:1-bookworm >/dev/null
    say "made rust:1-bookworm"
fi
