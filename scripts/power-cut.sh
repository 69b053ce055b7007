#!/usr/bin/env bash
# Cuts the power of a server under load, and looks at what is left. Needs root. See --help.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: scripts/power-cut.sh [CUTS] [--control off|normal] [--release]

Makes a file system in a file, runs the server with its database there, publishes and follows, and shuts the
file system down (EXT4_IOC_SHUTDOWN): what was not synced is gone. Then it mounts it again, restarts the
server, goes on, CUTS times (5), and in the end compares what publishers were told with what is there.

  --control off     the server never syncs (libeatmydata): has to be found out by each of CUTS cuts (2)
  --control normal  the server does not sync its log at a commit: has to be found out by one of them
  --release         a release build
TEXT
}

test=nothing_acknowledged_is_lost_to_power_cuts
release=
while [[ $# -gt 0 ]]; do
  case $1 in
    --control)
      case ${2-} in
        off) test=a_server_that_never_syncs_is_found_out_by_every_cut ;;
        normal) test=a_server_that_does_not_sync_its_log_is_found_out ;;
        *) usage >&2; exit 2 ;;
      esac
      shift 2
      ;;
    --release) release=1; shift ;;
    -h | --help) usage; exit 0 ;;
    [1-9]*) export POWER_CUTS=$1; shift ;;
    *) usage >&2; exit 2 ;;
  esac
done

fail() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

PATH=$PATH:/usr/sbin:/sbin
[[ $(id -u) -eq 0 ]] || fail 'only root can mount a file system'
for tool in mkfs.ext4 mount umount perl; do
  command -v "$tool" >/dev/null || fail "$tool is missing"
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec cargo test --locked ${release:+--release} --test reliability -- --ignored --nocapture --exact "power::$test"
