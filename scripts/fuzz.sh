#!/usr/bin/env bash
# Runs the fuzz targets under libFuzzer, with stable Rust. See --help.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: scripts/fuzz.sh [SECONDS] [TARGET...]

Runs each fuzz target, or those named, for so many seconds (60), guided by the code that its inputs
reach, from the inputs in fuzz/corpus. Needs a C++ compiler. What fails is left in fuzz/artifacts, and
is run again by: scripts/fuzz.sh --run TARGET FILE. What is found and worth to be kept goes into
fuzz/corpus by hand; the tests run what is there.
TEXT
}

cd "$(dirname "${BASH_SOURCE[0]}")/../fuzz"
case ${1-} in -h | --help) usage; exit 0 ;; esac
single=
if [[ ${1-} == --run ]]; then
  [[ $# -eq 3 ]] || { usage >&2; exit 2; }
  single=$3
  shift
  set -- 0 "$1"
fi
seconds=${1-60}
[[ $seconds =~ ^[0-9]+$ ]] || { usage >&2; exit 2; }
shift || true
targets=("$@")
[[ ${#targets[@]} -gt 0 ]] || targets=(cursor query publish transcript)

# What cargo-fuzz passes, but for the sanitizers, which only a nightly compiler has. For one platform by
# name, so that build scripts and macros are left alone.
platform=$(rustc -vV | sed -n 's/^host: //p')
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
  -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing"
RUSTFLAGS=${RUSTFLAGS//$'\n'/ }
cargo build --locked --release --target "$platform" --bins
built=$(cargo metadata --locked --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/$platform/release

found=$(mktemp -d)
trap 'rm -rf "$found"' EXIT
export TMPDIR=$found
for target in "${targets[@]}"; do
  printf '\n==> %s\n' "$target"
  mkdir -p "artifacts/$target" "$found/$target"
  if [[ -n $single ]]; then
    "$built/$target" "$single"
  else
    # Inputs that reach something new go into the first folder; an input may take a tenth of a second.
    "$built/$target" -max_total_time="$seconds" -timeout=10 -report_slow_units=1 -max_len=8192 -print_final_stats=1 \
      -artifact_prefix="artifacts/$target/" "$found/$target" "corpus/$target"
  fi
done
