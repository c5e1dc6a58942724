#!/bin/bash
# A real Kubernetes on this machine: what the simulator is compared with and live episodes are tested on. See README.md.
#
#   cluster.sh build [all]     compile Kubernetes, etcd and CoreDNS from their Go modules; all: what `observe` needs too
#   cluster.sh up [N]          start a cluster of N nodes (default 3); does nothing when it already runs
#   cluster.sh observe [PART]  add metrics-server, prometheus and jaeger, or only some of them
#   cluster.sh images DIR...   serve image-layout directories to the nodes, from now on
#   cluster.sh load TAR...     import image archives on every node
#   cluster.sh node stop N     kill the node's kubelet and containerd; its containers go on
#   cluster.sh node start N    start them again
#   cluster.sh node cut N      drop all traffic of the node
#   cluster.sh node join N     let it through again
#   cluster.sh status [--json] say what runs; exit 0 when every node is Ready
#   cluster.sh freeze          pause kubelets, controllers and scheduler, so that no object changes
#   cluster.sh thaw            let them go on
#   cluster.sh down            stop everything and remove what `up` made
#
# State lives under $AIOPSLAB_CLUSTER_ROOT (default ~/.cache/aiopslab/cluster): bin/ is what `build` made and stays,
# run/ is one running cluster and goes with `down`. Exit codes: 0 done, 1 not (fully) up, 2 usage, 3 cannot.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/lib/common.sh"
. "$here/lib/build.sh"
. "$here/lib/control_plane.sh"
. "$here/lib/mirror.sh"
. "$here/lib/node.sh"
. "$here/lib/telemetry.sh"
. "$here/lib/lifecycle.sh"

command=${1:-help}
[ $# -eq 0 ] || shift
case $command in
  status | guard | help | -h | --help) ;;
  *) lock ;;
esac
case $command in
  build) build_cluster; if [ "${1:-}" = all ]; then for part in "${telemetry_parts[@]}"; do build_telemetry "$part"; done; fi ;;
  up) cluster_up "${1:-3}" ;;
  observe) cluster_observe "$@" ;;
  images) cluster_images "$@" ;;
  load) cluster_load "$@" ;;
  node) node_command "$@" ;;
  status) cluster_status "$@" ;;
  freeze) cluster_signal STOP ;;
  thaw) cluster_signal CONT ;;
  down) cluster_down ;;
  guard) cluster_guard "$1" ;;
  help | -h | --help) sed -n '2,20s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" ;;
  *) fail_usage "unknown command \"$command\"; see cluster.sh --help" ;;
esac
