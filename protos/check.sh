#!/bin/sh
# Checks the contract: form, style, and that nothing a consumer relies on has changed. Needs no network: buf reads images
# that protoc makes from the protos and from those that the googleapis-common-protos package ships.
# `buf` and `python` are the environment's: `make proto-check` puts it on PATH.
set -eu
cd "$(dirname "$0")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
status=0

# attempt WHAT TO-DO COMMAND…: runs a check and goes on when it fails, so that one run shows everything.
attempt() {
    what=$1 remedy=$2
    shift 2
    "$@" || { echo "protos: $what: $remedy" >&2; status=1; }
}

python protos/generate.py --image "$scratch/mesh.binpb" protos
python protos/generate.py --image "$scratch/example.binpb" tests/example/protos

# --path limits the rules to our files; google's have rules of their own.
attempt style "rules and their exceptions are in protos/buf.yaml" \
    buf lint "$scratch/mesh.binpb" --path tenantmesh --config protos/buf.yaml
attempt style "rules and their exceptions are in protos/buf.yaml" \
    buf lint "$scratch/example.binpb" --path notes --config protos/buf.yaml
attempt compatibility "keep the old element beside the new one, or release a new package version" \
    buf breaking "$scratch/mesh.binpb" --path tenantmesh --config protos/buf.yaml --against protos/baseline.binpb
# As people without Python compile the protos: from their folder alone.
attempt build "run 'make gen'" buf build protos -o "$scratch/alone.binpb"
attempt form "run 'make fmt gen'" buf format --diff --exit-code protos --path protos/tenantmesh
attempt form "run 'make fmt gen'" buf format --diff --exit-code tests/example/protos
exit "$status"
