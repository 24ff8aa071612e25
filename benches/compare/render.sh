#!/usr/bin/env bash
# Outputs written again by `stenod render`, from so many stored recordings of four minutes each (600 words with
# times, two speakers), in four formats: the first time (every file is new), again (every file is read and left)
# and after a glossary has come to the folder (every file is replaced). Seconds of wall time and of processor
# time, the most memory resident, and milliseconds a recording: a curve that bends shows in the last column.
#
#   bash benches/compare/render.sh [COUNT…]
#
# Needs GNU time. What is written is synced to the disk: absolute numbers are the disk's, too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

counts=("$@")
[ "${#counts[@]}" -gt 0 ] || counts=(1000 5000 10000)
cargo build --release --quiet --bin stenod --example stored
built="${CARGO_TARGET_DIR:-target}/release"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

turn() {
    local count=$1 what=$2
    /usr/bin/time -f '%e %U %S %M' -o "$scratch/measured" "$built/stenod" -c "$scratch/config.toml" --json render \
        >"$scratch/report.json"
    local files
    files=$(python3 -c 'import json, sys
report = json.load(open(sys.argv[1]))
assert not report["failed"] and not report["left"], report["failed"][:3] + report["left"][:3]
print(len(report["written"]), report["unchanged"])' "$scratch/report.json")
    awk -v count="$count" -v what="$what" -v files="$files" '{
        split(files, number, " ")
        printf "%6d  %-9s  %6d written  %6d left  %7.2f s  %7.2f s CPU  %6.1f MB  %6.2f ms each\n",
            count, what, number[1], number[2], $1, $2 + $3, $4 / 1000, 1000 * $1 / count }' "$scratch/measured"
}

for count in "${counts[@]}"; do
    rm -rf "$scratch/state" "$scratch/in"
    mkdir "$scratch/in"
    printf 'state_dir = "%s"\n[transcribe]\nformats = ["txt", "json", "srt", "vtt"]\n' "$scratch/state" \
        >"$scratch/config.toml"
    "$built/examples/stored" "$count" "$scratch/state" "$scratch/in"
    # The formats of the speakers come with the reply: five files each.
    turn "$count" new
    turn "$count" again
    printf 'foolishness = "folly"\n' >"$scratch/in/glossary.toml"
    turn "$count" replaced
done
