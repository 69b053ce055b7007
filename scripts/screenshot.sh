#!/usr/bin/env bash
# Renews the README's picture, docs/viewer.png: the sample debate on the page of a real server. Two minutes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/install-test-tools.sh
(cd tests/browser && npm ci --ignore-scripts --no-audit --no-fund)
cargo build --locked --bin clearside-sse
mkdir -p docs
node tests/browser/screenshot.mjs docs/viewer.png
