#!/bin/bash
# Prove that the cluster leaves nothing behind: after `down`, after a kill -9 of `up` at any moment, and after one of `down`.
#
#   check_leftovers.sh [KILLS]    how often `up` is killed (default 6)
#
# It uses a cluster of its own beside any other (AIOPSLAB_CLUSTER_NUMBER, default 9), with the programs that `build` made.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
kills=${1:-6}
built=${AIOPSLAB_CLUSTER_ROOT:-$HOME/.cache/aiopslab/cluster}/bin
export AIOPSLAB_CLUSTER_NUMBER=${AIOPSLAB_CLUSTER_NUMBER:-9}
own=aiopslab$AIOPSLAB_CLUSTER_NUMBER
others='aiopslab[0-9]'   # other clusters may change while this runs
[ "$(id -u)" = 0 ] || { echo "check_leftovers.sh needs root" >&2; exit 3; }
[ -x "$built/kubelet" ] || { echo "check_leftovers.sh: run cluster.sh build first" >&2; exit 3; }

scratch=$(mktemp -d)
export AIOPSLAB_CLUSTER_ROOT=$scratch/root TMPDIR=$scratch/tmp
mkdir -p "$AIOPSLAB_CLUSTER_ROOT" "$TMPDIR"
ln -s "$built" "$AIOPSLAB_CLUSTER_ROOT/bin"
trap '"$here/cluster.sh" down; rm -rf "$scratch"' EXIT

# Everything that a cluster makes, by name, but for what other clusters have.
machine() {
  {
    ip -o link show | awk -F': ' '{print "link", $2}'
    ip route show | sed 's/^/route /'
    ip netns list | sed 's/^/netns /'
    nft list ruleset | sed 's/^/nft /'
    awk '{print "mount", $5}' /proc/self/mountinfo
    find /sys/fs/cgroup -type d 2>/dev/null | sed 's/^/cgroup /'
    find /run /etc /opt /var/lib /var/log -maxdepth 1 2>/dev/null | sed 's/^/file /'
    { find /run/containerd /var/lib/{cni,containerd,kubelet} /var/log/{containers,pods} -maxdepth 2 2>/dev/null || true; } | sed 's/^/file /'
    find "$AIOPSLAB_CLUSTER_ROOT" "$TMPDIR" | sed 's/^/file /'
  } | { grep -vE "$others" || true; } | sort -u
  {
    ip -o link show; ip netns list; find /sys/fs/cgroup -type d
  } 2>/dev/null | { grep "$own" || true; } | sed 's/^/own /'
  { grep -lsE "$AIOPSLAB_CLUSTER_ROOT|$here/cluster.sh" /proc/[0-9]*/cmdline; grep -ls "/$own/" /proc/[0-9]*/cgroup; } | sed 's/^/process /' || true
}

# expect_clean WHAT: what the machine has now is what it had, at once or within a few seconds
expect_clean() {
  for _ in $(seq 60); do
    machine >"$scratch/after" || true
    if diff "$scratch/before" "$scratch/after" >"$scratch/diff"; then echo "nothing left behind: $1"; return; fi
    sleep 0.5
  done
  echo "left behind: $1" >&2
  cat "$scratch/diff" >&2
  exit 1
}

milliseconds() { date +%s%3N; }
up() { "$here/cluster.sh" up 1 >"$scratch/up.log" 2>&1 || { cat "$scratch/up.log" >&2; exit 1; }; }

machine >"$scratch/before"
begin=$(milliseconds)
up
took=$(($(milliseconds) - begin))
"$here/cluster.sh" down
expect_clean "down after an up of $took ms"

for i in $(seq "$kills"); do
  moment=$((took * (2 * i - 1) / (2 * kills)))
  "$here/cluster.sh" up 1 >/dev/null 2>&1 &
  victim=$!
  sleep "$(printf '%d.%03d' $((moment / 1000)) $((moment % 1000)))"
  kill -KILL "$victim" 2>/dev/null || echo "up had ended before $moment ms"
  wait "$victim" 2>/dev/null || true
  [ ! -f "$AIOPSLAB_CLUSTER_ROOT/run/complete" ] || "$here/cluster.sh" down
  expect_clean "up killed after $moment ms"
done

up
"$here/cluster.sh" down &
victim=$!
sleep 0.3
kill -KILL "$victim" 2>/dev/null || true
wait "$victim" 2>/dev/null || true
up   # a half-dead cluster is rebuilt
"$here/cluster.sh" status >/dev/null
"$here/cluster.sh" down
expect_clean "down killed, then up and down"
