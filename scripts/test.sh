#!/usr/bin/env bash
# Runs every check and every test, on any Debian machine with Rust and Node. See --help.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: scripts/test.sh [--full] [--deny]

Needs Rust with rustfmt and clippy, and Node 20.19 or later. Installs by apt what is missing of curl, git,
Chromium, nginx, strace, eatmydata, a C compiler and the Liberation fonts (as root, or by sudo), and by npm
what the tests in TypeScript use.

Then runs formatting, clippy, the documentation, the Rust tests, the tests of the TypeScript client and of
the viewer, and the browser tests. One failure does not stop the rest. The last line counts the tests that
ran; a check that fails, and a suite that breaks off, counts as one failed.

  --full   also Artillery for the 60 seconds of the specification, and the Rust tests marked `ignored`,
           but for those that need root or a machine at rest (docs/reliability.md has their commands)
  --deny   also licences, banned versions, sources and advisories of the dependencies (scripts/deny.sh)
TEXT
}

full= deny=
for argument in "$@"; do
  case $argument in
    --full) full=1 ;;
    --deny) deny=1 ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec </dev/null

# Everything temporary in one folder of our own; every suite in a process group of its own.
work=$(mktemp -d)
export TMPDIR=$work/tmp CARGO_TERM_COLOR=never CARGO_TERM_PROGRESS_WHEN=never NO_COLOR=1
mkdir "$TMPDIR"
group=

end_group() {
  [[ -n $group ]] || return 0
  local left
  for left in {1..50}; do
    kill -TERM -- "-$group" 2>/dev/null || break
    sleep 0.1
  done
  kill -KILL -- "-$group" 2>/dev/null || true
  group=
}
clean_up() {
  end_group
  rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

passed=0 failed=0 ignored=0
failures=()

# run NAME COMMAND…: announces it, runs it, keeps what it prints in $log, and says how long it took.
log=
run() {
  local name=$1 started=$SECONDS status=0
  shift
  log=$work/output
  : >"$log"
  printf '\n==> %s\n' "$name"
  set -m # the job gets a process group, so that nothing of it can be left behind
  "$@" >"$log" 2>&1 &
  group=$!
  set +m
  tail --lines=+1 --follow --sleep-interval=0.2 --pid="$group" "$log" &
  local shown=$!
  wait "$group" || status=$?
  wait "$shown" || true
  end_group
  if [[ $status -eq 0 ]]; then
    printf '    ok, %d s\n' $((SECONDS - started))
  else
    printf '    FAILED (exit %d), %d s\n' "$status" $((SECONDS - started))
    failures+=("$name")
  fi
  return "$status"
}

# A check passes or fails as a whole, and is no test.
check() { run "$@" || failed=$((failed + 1)); }

# tally NAME STATUS PASSED FAILED: adds a suite up; one that says nothing, or less than its exit code, has failed.
tally() {
  local name=$1 status=$2 p=$3 f=$4
  if [[ $status -ne 0 && $f -eq 0 ]]; then f=1; fi
  if [[ $((p + f)) -eq 0 ]]; then
    echo "    FAILED: not one test ran"
    failures+=("$name: no tests")
    f=1
  fi
  passed=$((passed + p)) failed=$((failed + f))
}

cargo_suite() {
  local name=$1 status=0 p f i
  run "$@" || status=$?
  read -r p f i < <(awk '/^test result:/ { p += $4; f += $6; i += $8 } END { print p + 0, f + 0, i + 0 }' "$log")
  ignored=$((ignored + i))
  tally "$name" "$status" "$p" "$f"
}

node_suite() {
  local name=$1 status=0 p f s
  shift
  export NODE_TAP=$work/node.tap
  : >"$NODE_TAP"
  run "$name" node --test --test-timeout=600000 --test-reporter=spec --test-reporter-destination=stdout \
    --test-reporter=tap --test-reporter-destination="$NODE_TAP" "$@" || status=$?
  read -r p f s < <(awk '
    /^# pass / { p = $3 } /^# (fail|cancelled) / { f += $3 } /^# (skipped|todo) / { s += $3 }
    END { print p + 0, f + 0, s + 0 }' "$NODE_TAP")
  if [[ $s -gt 0 ]]; then
    echo "    FAILED: $s tests were skipped"
    failures+=("$name: skipped tests")
    f=$((f + s))
  fi
  tally "$name" "$status" "$p" "$f"
}

# The TypeScript client's tests. Vitest counts in a format of its own.
vitest_suite() {
  local name=$1 folder=$2 status=0 p f s
  export VITEST_JSON=$work/vitest.json
  rm -f "$VITEST_JSON"
  run "$name" env -C "$folder" node_modules/.bin/vitest run || status=$?
  read -r p f s < <(node -p '
    const { numPassedTests, numFailedTests, numPendingTests, numTodoTests } = JSON.parse(require("fs").readFileSync(process.env.VITEST_JSON));
    [numPassedTests, numFailedTests, numPendingTests + numTodoTests].join(" ")' 2>/dev/null || echo 0 0 0)
  if [[ $s -gt 0 ]]; then
    echo "    FAILED: $s tests were skipped"
    failures+=("$name: skipped tests")
    f=$((f + s))
  fi
  tally "$name" "$status" "$p" "$f"
}

install_packages() { # npm writes that file last
  [[ node_modules/.package-lock.json -nt package-lock.json ]] || npm ci --ignore-scripts --no-audit --no-fund
}

# Power cuts, a network that drops packets, and figures of latency and of storms at full size.
by_hand=(power:: vanished::peers vanished::http2 isolation:: storm::fifteen)

run 'Tools' scripts/install-test-tools.sh || { echo '0 passed, 1 failed'; exit 1; }

check 'Formatting' cargo fmt --check
check 'Clippy' cargo clippy --locked --all-targets -- -D warnings
check 'Clippy, the library alone' cargo clippy --locked --no-default-features --lib -- -D warnings
if [[ -n $deny ]]; then check 'Dependencies' scripts/deny.sh; fi
check 'Documentation' env RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps

check 'Packages of the TypeScript client' env -C clients/typescript bash -c "$(declare -f install_packages); install_packages"
vitest_suite 'The TypeScript client' clients/typescript

cargo_suite 'Rust tests' cargo test --locked --no-fail-fast ${full:+-- --include-ignored "${by_hand[@]/#/--skip=}"}
check 'Packages of the viewer' env -C viewer bash -c "$(declare -f install_packages); install_packages"
check 'The viewer: types' viewer/node_modules/.bin/tsc --project viewer
node_suite 'The viewer' viewer/test/*.test.mjs

check 'The server' cargo build --locked --bin clearside-sse
target=$(cargo metadata --locked --format-version 1 --no-deps | node -p 'JSON.parse(require("fs").readFileSync(0)).target_directory') || target=target
export CLEARSIDE_BIN=$target/debug/clearside-sse
if [[ -n $full ]]; then export ARTILLERY_SECONDS=60; fi
check 'Packages of the browser tests' env -C tests/browser bash -c "$(declare -f install_packages); install_packages"
node_suite 'Browser tests' tests/browser/*.test.mjs

printf '\n%d s in all\n' "$SECONDS"
if [[ $ignored -gt 0 ]]; then echo "$ignored Rust tests are marked as ignored and did not run (see --help)"; fi
for failure in ${failures[@]+"${failures[@]}"}; do echo "failed: $failure"; done
echo "$passed passed, $failed failed"
[[ $failed -eq 0 ]]
