#!/bin/sh
# Installs what the tests and benchmarks drive the mesh with, below .tools (ignored by git):
#   .tools/bin   grpcurl, grpc-health-probe, ghz, protoc-gen-openapiv3, openapiv3-merge: built from go.mod, whose sums are
#                in go.sum
#   .tools/node  Node's own gRPC client, and two generators of TypeScript clients, from package-lock.json, whose every
#                package has its hash
#   .tools/python  the other generators of clients, with a Java runtime for one of them, from generators.txt: hashes too
# All come through the ordinary clients, from wherever those are configured to fetch. Does nothing when all is there.
#
# h2load, which `make bench` prefers, is no part of this: it comes with the system (Debian and Ubuntu: nghttp2-client).
# The benchmark looks for it on PATH, and takes .tools/bin/ghz when it is not there.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tools=$(cd "$here/../.." && pwd)/.tools

missing() {
    echo "tools: $1 is not installed. $2" >&2
    exit 1
}

# stamp FILE…: names a state of the files that say what to install.
stamp() {
    cat "$@" | cksum
}

command -v go >/dev/null || missing Go "Install Go 1.26 or newer, then run 'make tools' again."
command -v npm >/dev/null || missing Node "Install Node 20 or newer with npm, then run 'make tools' again."
mkdir -p "$tools/bin" "$tools/node"

wanted=$(stamp "$here/go.mod" "$here/go.sum")
if [ "$wanted" != "$(cat "$tools/go.stamp" 2>/dev/null)" ]; then
    echo "tools: building grpcurl, grpc-health-probe, ghz and the OpenAPI generator (some minutes the first time)"
    (cd "$here" && GOBIN="$tools/bin" GOFLAGS="${GOFLAGS:-} -mod=readonly -trimpath" go install tool)
    echo "$wanted" >"$tools/go.stamp"
fi

wanted=$(stamp "$here/package.json" "$here/package-lock.json")
if [ "$wanted" != "$(cat "$tools/node.stamp" 2>/dev/null)" ]; then
    echo "tools: installing Node's gRPC client and the generators of TypeScript clients"
    cp "$here/package.json" "$here/package-lock.json" "$tools/node/"
    (cd "$tools/node" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
    echo "$wanted" >"$tools/node.stamp"
fi

wanted=$(stamp "$here/generators.txt")
if [ "$wanted" != "$(cat "$tools/python.stamp" 2>/dev/null)" ]; then
    echo "tools: installing the generators of Python and Go clients (about 100 MB)"
    "${PYTHON:-python3}" -m venv --clear "$tools/python"
    "$tools/python/bin/python" -m pip install --disable-pip-version-check --no-input --quiet --require-hashes \
        -r "$here/generators.txt"
    echo "$wanted" >"$tools/python.stamp"
fi
