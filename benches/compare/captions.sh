#!/usr/bin/env bash
# The captions of stenod beside those of a greedy writer, on the same words of real speech: the example
# recordings as the built-in recogniser hears them. Prints the table of docs/captions.md.
#
#   bash benches/compare/captions.sh [TRANSCRIPT.json…]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cargo build --release --quiet --bin stenod --example captions
built="${CARGO_TARGET_DIR:-target}/release"
if [ "$#" -eq 0 ]; then
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    for recording in examples/recordings/*.{flac,mp3,wav,m4a,opus,ogg}; do
        cp "$recording" "$scratch/"
    done
    "$built/stenod" --state-dir "$scratch/state" -q run "$scratch" --provider local -f json >&2
    set -- "$scratch"/*.json
fi
"$built/examples/captions" "$@"
