#!/usr/bin/env bash
# A 500 MB file into SeaweedFS: stenod's uploader beside what else is on the PATH (curl with a presigned PUT,
# rclone, aws, s5cmd). Prints seconds of wall time and the most memory resident, the median of three turns.
#
#   bash benches/compare/upload.sh [MEGABYTES]
#
# Needs GNU time. Everything is on loopback; absolute numbers are the disk's and the server's, ratios travel.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

megabytes=${1:-500}
scratch=$(mktemp -d)
trap 'if [ -n "${server:-}" ]; then kill -TERM "$server"; wait "$server" || true; fi; rm -rf "$scratch"' EXIT
weed=$(bash tests/seaweedfs/fetch.sh)
cargo build --release --quiet --example upload
upload="${CARGO_TARGET_DIR:-target}/release/examples/upload"

head -c "$((megabytes * 1000000))" /dev/urandom >"$scratch/file.bin"
export AWS_ACCESS_KEY_ID=stenod-bench AWS_SECRET_ACCESS_KEY=not-a-secret-but-long-enough AWS_REGION=us-east-1
printf '{"identities": [{"name": "bench", "credentials": [{"accessKey": "%s", "secretKey": "%s"}], "actions": ["Admin", "Read", "Write", "List"]}]}' \
    "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" >"$scratch/identities.json"
port=${PORT:-18333}
mkdir "$scratch/data"
"$weed" -logtostderr=true mini -dir="$scratch/data" -ip=127.0.0.1 -ip.bind=127.0.0.1 -master.telemetry=false \
    -webdav=false -s3.iam=false -s3.port.iceberg=0 -s3.port.lance=0 -s3.config="$scratch/identities.json" \
    -s3.port="$port" -s3.port.grpc="$((port + 1))" -master.port="$((port + 2))" -master.port.grpc="$((port + 3))" \
    -volume.port="$((port + 4))" -volume.port.grpc="$((port + 5))" -filer.port="$((port + 6))" \
    -filer.port.grpc="$((port + 7))" -admin.port="$((port + 8))" -admin.port.grpc="$((port + 9))" \
    >"$scratch/log" 2>&1 &
server=$!
endpoint="http://127.0.0.1:$port"
until curl -s -o "$scratch/answer" "$endpoint/"; do sleep 0.2; done
curl -s -f -X POST "http://127.0.0.1:$((port + 6))/buckets/bench/" >"$scratch/answer"

turn() {
    local name=$1; shift
    for _ in 1 2 3; do
        /usr/bin/time -f '%e %M' -o "$scratch/measured" "$@" >"$scratch/said" 2>&1 || { cat "$scratch/said" >&2; return; }
        cat "$scratch/measured"
    done | sort -n | sed -n 2p | awk -v name="$name" '{ printf "%-10s %7.2f s  %7.1f MB\n", name, $1, $2 / 1000 }'
}

turn stenod "$upload" s3://bench/stenod "$endpoint" "$scratch/file.bin"
if python3 -c 'import botocore' 2>/dev/null; then
    link=$(python3 -c '
import sys, botocore.session, botocore.config
config = botocore.config.Config(signature_version="s3v4", s3={"addressing_style": "path"})
client = botocore.session.get_session().create_client("s3", endpoint_url=sys.argv[1], config=config)
print(client.generate_presigned_url("put_object", Params={"Bucket": "bench", "Key": "curl.bin"}))' "$endpoint")
    turn curl curl -s -f -o /dev/null -T "$scratch/file.bin" "$link"
fi
if command -v rclone >/dev/null; then
    turn rclone rclone copyto --s3-provider=Other --s3-env-auth --s3-endpoint="$endpoint" --ignore-times \
        "$scratch/file.bin" :s3:bench/rclone.bin
fi
if command -v s5cmd >/dev/null; then
    turn s5cmd s5cmd --endpoint-url "$endpoint" cp "$scratch/file.bin" s3://bench/s5cmd.bin
fi
if command -v aws >/dev/null; then
    turn aws-cli aws --endpoint-url "$endpoint" s3 cp --quiet "$scratch/file.bin" s3://bench/aws.bin
fi
