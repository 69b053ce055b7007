#!/usr/bin/env bash
# Installs what the tests use besides Rust and Node, on Debian and its relatives. Fails when it can't.
set -euo pipefail

PATH=$PATH:/usr/sbin # where Debian puts nginx, out of sight of all but root

# command:package
needed=(curl:curl git:git chromium:chromium nginx:nginx strace:strace eatmydata:eatmydata)
draws() { fc-match --format '%{family}' 'Liberation Serif' 2>/dev/null | grep -q Liberation; } # the kept pictures of the page are in these letters
compiles() { cc -x c -o /dev/null - <<<'int main(void) { return 0; }' 2>/dev/null; } # Rust links, and SQLite is C

fail() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

for tool in cargo node npm; do
  command -v "$tool" >/dev/null || fail "$tool is missing: install Rust (rustup) and Node 20.19 or later first"
done
node -e '
  const [major, minor] = process.versions.node.split(".").map(Number);
  process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1);
' || fail "Node $(node --version) is too old: 20.19 or later is needed"
for component in fmt clippy; do
  cargo "$component" --version >/dev/null 2>&1 || fail "cargo $component is missing: rustup component add rustfmt clippy"
done

packages=()
for entry in "${needed[@]}"; do
  command -v "${entry%%:*}" >/dev/null || packages+=("${entry#*:}")
done
draws || packages+=(fonts-liberation fontconfig)
compiles || packages+=(gcc libc6-dev)
[[ ${#packages[@]} -eq 0 ]] && exit 0

command -v apt-get >/dev/null || fail "there is no apt-get here; install these by hand: ${packages[*]}"
as_root=()
if [[ $(id -u) -ne 0 ]]; then
  command -v sudo >/dev/null || fail "neither root nor sudo; install these by hand: ${packages[*]}"
  as_root=(sudo)
fi

# Debian starts a service as soon as it is installed. The tests' nginx is their own, with no service.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
  trap '"${as_root[@]}" rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod 755 "$policy"
fi

echo "installing ${packages[*]}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
if [[ " ${packages[*]} " == *' nginx '* ]] && command -v systemctl >/dev/null; then
  "${as_root[@]}" systemctl disable --quiet nginx || true
fi
for entry in "${needed[@]}"; do
  command -v "${entry%%:*}" >/dev/null || fail "${entry%%:*} is still missing after apt-get install ${entry#*:}"
done
draws || fail 'the Liberation fonts are still missing'
compiles || fail 'there is still no C compiler that works'
