# `just` alone lists what there is. Everything here is a short name for what CONTRIBUTING.md tells.

_:
    @just --list --unsorted

# Build for development (the recogniser is optimised all the same)
build:
    cargo build --workspace

# All tests: no key, no network beyond loopback
test *ARGUMENTS:
    cargo test --workspace {{ARGUMENTS}}

# Formatting and lints, with and without the recogniser
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo clippy --workspace --all-targets --no-default-features -- -D warnings

# Documentation, with every warning an error
doc:
    RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps

# Licences, duplicates and sources of the dependencies (needs cargo-deny)
deny:
    cargo deny --workspace check -D unmatched-skip licenses bans sources

# The same for known vulnerabilities; needs the network
advisories:
    cargo deny --workspace check advisories

# All that a change has to pass
ci:
    bash .ci/run

# Transcribe the example recordings and show what was said
example:
    cargo run --release -- run examples/recordings && head examples/recordings/*.txt

# Word errors, CPU time and memory of the recogniser on a folder of 16 kHz WAV files with a manifest.tsv
measure FOLDER THREADS='1' *MODEL:
    cargo run --release -p stenod-recogniser --features weights --example measure -- {{FOLDER}} {{THREADS}} {{MODEL}}

# The recogniser beside whisper.cpp with the same weights, on 16 kHz WAV files with a manifest.tsv; PYTHON has pywhispercpp
measure-beside SPEECH CHECKPOINT PYTHON='python3':
    {{PYTHON}} benches/compare/recogniser.py {{SPEECH}} {{CHECKPOINT}}

# Write 1,000, 5,000 and 10,000 stored recordings again in four formats, and tell how long that took
measure-render *COUNTS:
    bash benches/compare/render.sh {{COUNTS}}

# All that docs/performance.md tells, measured anew beside the tools that are there; takes hours. Less of it:
# the scripts by themselves, each says how when asked with --help
bench:
    #!/usr/bin/env bash
    set -euo pipefail
    cargo build --release --bin stenod --example bench
    for script in scan arrival small claim status idle size; do
        printf '\n== %s\n' "$script"
        python3 "benches/compare/$script.py"
    done
    printf '\n== polls\n'
    cargo test --lib ten_thousand_tickets -- --nocapture
    printf '\n== parts\n'
    cargo bench --bench parts
    printf '\n== upload\n'
    python3 benches/compare/upload.py
    printf '\n== shrink\n'
    python3 benches/compare/shrink.py
    printf '\n== render\n'
    bash benches/compare/render.sh

# Set our captions beside those of a greedy writer, on the same words of the example recordings
captions *TRANSCRIPTS:
    bash benches/compare/captions.sh {{TRANSCRIPTS}}

# Kill the program at random, so many times, and count what was paid twice
crash KILLS='200':
    STENOD_CRASHES={{KILLS}} cargo test --test crash random -- --nocapture

# Damage recordings at random, so many times: probe, decode, shrink and split have to give an answer
mutate MUTATIONS='20000':
    STENOD_MUTATIONS={{MUTATIONS}} cargo test --lib media::hostile::mutated

# Fuzz `probe`, `decode` or `cut` for so many seconds, guided by coverage, beginning with the recordings of the tests
fuzz TARGET='probe' SECONDS='60':
    mkdir -p fuzz/corpus/{{TARGET}}
    cd fuzz && cargo run --release --bin {{TARGET}} -- corpus/{{TARGET}} ../tests/fixtures/audio ../tests/fixtures/speech \
        -max_total_time={{SECONDS}} -rss_limit_mb=512

# Test the stand-in of the speech service that the other tests lean on
standin:
    cargo test --test standin

# Record a first session in a terminal: docs/first-run.cast and .svg (needs python3 with venv)
record *PROGRAM:
    bash docs/record/run {{PROGRAM}}

# Have every format read by a program that is not ours (needs python3 with venv)
readers:
    bash tests/readers/run

# Write the expected outputs of the renderers and the expected screens anew; read the difference before committing it
bless:
    STENOD_BLESS=1 cargo test --test render
    STENOD_BLESS=1 cargo test --test console

# What is asked of Azure, against Microsoft's emulator; needs Node.js
azurite:
    bash tests/azurite/run

# Two hours of arrivals, faults, reloads and restarts: does the daemon grow? Fewer: just soak 600
soak SECONDS='7200':
    cargo build --release --bin stenod
    STENOD_SOAK={{SECONDS}} STENOD_SOAK_PROGRAM="${CARGO_TARGET_DIR:-$PWD/target}/release/stenod" \
        cargo test --test soak -- --ignored --nocapture

# Storms of files beside the watcher, on every file system that can be mounted here; as root, some minutes
watch-storm:
    bash .ci/watch-storm

# The Debian package, in target/debian
deb:
    bash packaging/deb/build

# The package's whole life and the container's entry point on a clean Debian 12; as root
try-packages: deb
    bash packaging/deb/try target/debian/*.deb
    bash packaging/container/try target/dist/stenod
