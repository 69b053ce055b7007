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
fetched=0
said=$(LC_ALL=C "$deny" fetch db 2>&1) || fetched=$?
[[ -z $said ]] || printf '%s\n' "$said" >&2
# What git says, and the resolver, where there is no way to the server. Anything else is a failure.
no_way='[Cc]ould not resolve (host|proxy)|[Cc]ould not connect|[Ff]ailed to connect|Connection (refused|reset|timed out)|Operation timed out|Network is unreachable|No route to host|Temporary failure in name resolution'
if ((fetched == 0)); then
  "$deny" check --disable-fetch advisories || status=1
elif grep -qE "$no_way" <<<"$said"; then
  echo "NOT CHECKED: advisories; their database cannot be reached"
else
  echo "NOT CHECKED: advisories; fetching their database failed, and not for want of a connection" >&2
  status=1
fi
exit "$status"
