#!/usr/bin/env bash
# Cuts followers off without a word (no FIN, no RST) and measures how long the server takes them for living.
# In a network namespace, whose packets nft drops; needs root, or user namespaces.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH=$PATH:/usr/sbin:/sbin
for tool in unshare nft ip; do
  command -v "$tool" >/dev/null || { echo "${0##*/}: $tool is missing: apt-get install util-linux nftables iproute2" >&2; exit 1; }
done

cargo test --locked --no-run --test reliability
exec unshare --map-root-user --net sh -ec '
  ip link set lo up
  exec cargo test --locked --offline --test reliability -- --ignored --nocapture vanished::
'
