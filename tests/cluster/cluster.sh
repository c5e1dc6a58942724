#!/bin/bash
# A real Kubernetes on this machine, to compare the simulator with. See README.md.
#
#   cluster.sh build        compile Kubernetes, etcd and CoreDNS from their Go modules
#   cluster.sh up [N]       start a cluster of N nodes (default 3); does nothing when it already runs
#   cluster.sh load TAR...  import image archives on every node
#   cluster.sh status       say what runs; exit 0 when every node is Ready
#   cluster.sh freeze       pause kubelets, controllers and scheduler, so that no object changes
#   cluster.sh thaw         let them go on
#   cluster.sh down         stop everything and remove what `up` made
#
# State lives under $AIOPSLAB_CLUSTER_ROOT (default ~/.cache/aiopslab/cluster): bin/ is what `build` made and stays,
# run/ is one running cluster and goes with `down`.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/lib/common.sh"
. "$here/lib/build.sh"
. "$here/lib/control_plane.sh"
. "$here/lib/node.sh"
. "$here/lib/lifecycle.sh"

command=${1:-help}
[ $# -eq 0 ] || shift
case $command in
  build) build_all ;;
  up) cluster_up "${1:-3}" ;;
  load) cluster_load "$@" ;;
  status) cluster_status ;;
  freeze) cluster_signal STOP ;;
  thaw) cluster_signal CONT ;;
  down) cluster_down ;;
  help | -h | --help) sed -n '2,14s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" ;;
  *) fail "unknown command \"$command\"; see cluster.sh --help" ;;
esac
