#!/bin/sh
# Makes deploy/requirements.lock of deploy/requirements.in: every package with its version and hashes.
# Versions that are locked stay; --upgrade takes the newest that fit. The index is the one that pip uses.
set -eu
cd "$(dirname "$0")"
index=$(python3 -m pip config get global.index-url 2>/dev/null || true)
if [ -n "${PIP_INDEX_URL:-$index}" ]; then
    export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-${PIP_INDEX_URL:-$index}}"
fi
exec uv pip compile --quiet --generate-hashes --python-version 3.11 --python-platform linux \
    --no-emit-index-url --custom-compile-command deploy/lock.sh \
    --output-file requirements.lock "$@" requirements.in
