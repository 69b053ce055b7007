#!/usr/bin/env bash
# Checks what the project depends on: licences, bans with the floors of versions, sources, advisories (deny.toml).
# Builds cargo-deny the first time, some five minutes. Advisories come from a server of their own: where that
# cannot be reached, they are left out, and the last line says so.
set -euo pipefail

version=0.20.2

cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=$(cargo metadata --locked --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
root=$target/tools/cargo-deny-$version
deny=$root/bin/cargo-deny
if [[ ! -x $deny ]]; then
  cargo install cargo-deny --version "$version" --locked --root "$root" --target-dir "$root/build"
  rm -rf "$root/build"
fi

status=0
"$deny" check licenses bans sources || status=1
if "$deny" fetch db; then
  "$deny" check --disable-fetch advisories || status=1
else
  echo "NOT CHECKED: advisories; their database cannot be reached"
fi
exit "$status"
