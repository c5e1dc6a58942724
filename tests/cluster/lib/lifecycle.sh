# The commands of cluster.sh.

cluster_up() {
  local count=$1
  [[ $count =~ ^[1-9]$ ]] || fail_usage "the number of nodes must be 1 to 9, not \"$count\""
  [ "$(id -u)" = 0 ] || fail "up needs root: it makes network and mount namespaces"
  if cluster_is_up "$count"; then announce; return; fi
  need_programs containerd ctr runc nft ip openssl nsenter unshare python3
  [ -x /usr/lib/cni/bridge ] || fail "missing /usr/lib/cni/bridge; on Debian: apt-get install containernetworking-plugins"
  [ ! -d "$run" ] || cluster_down
  guard_this_up
  is_built "${kubernetes_programs[@]}" || build_cluster
  local net
  for net in "$node_net.0/24" "$service_net.0.0/16"; do
    [ -z "$(ip route show "$net")" ] || fail "network $net is in use on this machine (another cluster?)"
  done
  start_cluster "$count"
  announce
}

# An `up` that is killed or interrupted cannot clean up behind itself, so a process outside its session waits for its end.
# One that fails by itself leaves the logs to look at; the next `up` or `down` removes them.
guard_this_up() {
  mkdir -p "$run"
  echo $$ >"$run/owner"
  export AIOPSLAB_CLUSTER_UP=$$   # by which the guard finds a compiler that goes on
  trap 'touch "$run/ended"' EXIT
  trap 'trap - EXIT; exit 130' INT TERM
  (cd / && exec setsid nohup bash "$here/cluster.sh" guard $$ >/dev/null 2>&1 </dev/null 9<&-) &
}

cluster_guard() {
  local up=$1
  tail --pid="$up" -s 0.2 -f /dev/null
  [ "$(cat "$run/owner" 2>/dev/null)" = "$up" ] && [ ! -f "$run/ended" ] || return 0
  grep -lsz "^AIOPSLAB_CLUSTER_UP=$up\$" /proc/[0-9]*/environ | grep -o '[0-9]*' | grep -vx "$$" | xargs -r kill -KILL 2>/dev/null || true
  lock
  [ "$(cat "$run/owner" 2>/dev/null)" = "$up" ] && [ ! -f "$run/ended" ] || return 0
  cluster_down
}

start_cluster() {
  local count=$1 i
  mkdir -p "$work"
  cd "$work"   # whatever this starts, and would leave behind if it were killed, is found by `down`
  start_control_plane
  write_registry_config
  pack_own_images
  for i in $(seq "$count"); do start_node "$i" "$count"; done
  ip route add "$service_net.0.0/16" via "$(node_ip 1)"   # the machine reaches Services through the first node
  admin_kubectl wait --for=condition=Ready nodes --all --timeout=90s >/dev/null || fail "nodes are not Ready; see $logs"
  sed "s/DNS_IP/$dns_ip/" "$here/manifests/coredns.yaml" | admin_kubectl apply -f - >/dev/null
  admin_kubectl -n kube-system rollout status deployment/coredns --timeout=90s >/dev/null || fail "CoreDNS did not start; see $logs"
  echo "$count" >"$run/complete"
}

announce() { echo "export KUBECONFIG=$run/admin.kubeconfig PATH=$bin:\$PATH"; }

# A busy machine may answer late, so a cluster counts as dead only when a program of it is gone or it does not recover in time.
cluster_is_up() {
  [ "$(cat "$run/complete" 2>/dev/null)" = "$1" ] || return 1
  local name i
  for name in etcd apiserver controller-manager scheduler mirror; do is_alive "$name" || return 1; done
  for i in $(running_nodes); do
    for name in mounts containerd kubelet proxy; do is_alive "$name-$i" || return 1; done
    [ ! -f "$run/node-$i/cut" ] || return 1
  done
  admin_kubectl wait --for=condition=Ready nodes --all --timeout=60s >/dev/null 2>&1
}

# cluster_status [--json]: exit code 1 when not everything is as it should be
cluster_status() {
  local state=up ready=0 i nodes="" broken="" text
  if [ ! -d "$run" ]; then state=down; elif [ ! -f "$run/complete" ]; then state=incomplete; fi
  if [ $state = up ]; then
    ready=$(admin_kubectl --request-timeout=10s get nodes --no-headers 2>/dev/null | awk '$2 ~ /^Ready/ {print $1}')
    for i in $(running_nodes); do
      nodes+="${nodes:+, }{\"name\": \"node-$i\", \"ready\": $(grep -qx "node-$i" <<<"$ready" && echo true || echo false)}"
      [ ! -f "$run/node-$i/stopped" ] || broken+="; node-$i is stopped"
      [ ! -f "$run/node-$i/cut" ] || broken+="; node-$i is cut off"
    done
    ready=$(grep -c . <<<"$ready" || true)
    [ "$ready$broken" = "$(running_nodes | wc -l)" ] || state=degraded
  fi
  case $state in
    down) text=down ;;
    incomplete) text="incomplete: \`up\` has not finished; see $logs" ;;
    *) text="up: $ready of $(running_nodes | wc -l) nodes Ready$broken; KUBECONFIG=$run/admin.kubeconfig" ;;
  esac
  if [ "${1:-}" = --json ]; then
    printf '{"state": "%s", "text": "%s", "nodes": [%s], "kubeconfig": "%s", "path": "%s"}\n' \
      "$state" "$text" "$nodes" "$run/admin.kubeconfig" "$bin"
  else
    echo "$text"
  fi
  [ $state = up ]
}

cluster_load() {
  [ $# -gt 0 ] || fail_usage "load needs an image archive"
  [ -n "$(running_nodes)" ] || fail "the cluster is down"
  local archive i
  for archive in "$@"; do
    [ -f "$archive" ] || fail_usage "no such file: $archive"
    for i in $(running_nodes); do import_image "$i" "$archive"; done
  done
}

# cluster_signal STOP|CONT: kubelets first on the way back, so that their heartbeats arrive before anybody judges them
cluster_signal() {
  [ -n "$(running_nodes)" ] || fail "the cluster is down"
  local i
  if [ "$1" = CONT ]; then
    for i in $(running_nodes); do kill -CONT "$(cat "$run/kubelet-$i.pid")"; done
    sleep 2
  fi
  kill "-$1" "$(cat "$run/controller-manager.pid")" "$(cat "$run/scheduler.pid")"
  if [ "$1" = STOP ]; then
    for i in $(running_nodes); do kill -STOP "$(cat "$run/kubelet-$i.pid")"; done
  fi
}

# All state is thrown away, so nothing needs to end in good order: kill everything, and what lived in the nodes' namespaces is
# gone with its last process. The state goes last: as long as it is there, `down` can be tried again.
cluster_down() {
  [ -d "$run" ] || return 0
  [ "$(id -u)" = 0 ] || fail "down needs root"
  local name tree
  for _ in $(seq 40); do
    leftover_processes | xargs -r kill -KILL 2>/dev/null || true
    [ -n "$(leftover_processes)" ] || break
    sleep 0.25
  done
  [ -z "$(leftover_processes)" ] || fail "cannot end processes $(leftover_processes | xargs)"
  for name in $(ip -o link show type veth | grep -o "$bridge-n[1-9]" || true); do ip link del "$name" 2>/dev/null || true; done
  for name in $(ip netns list | grep -o "^$bridge-node-[1-9]" || true); do ip netns del "$name"; done
  ip link del "$bridge" 2>/dev/null || true   # its routes go with it
  for tree in /sys/fs/cgroup/"$cgroup" /sys/fs/cgroup/*/"$cgroup"; do
    [ ! -d "$tree" ] || until_true 5 "end of cgroup $tree" remove_cgroups "$tree"
  done
  restore_unified_cgroup
  remove_mount_points
  rm -rf "$root/building" "$run"
}

remove_cgroups() { find "$1" -depth -type d -exec rmdir {} + 2>/dev/null; [ ! -d "$1" ]; }

remove_mount_points() {
  local directory
  if [ -f "$run/mounted-netns" ] && [ -z "$(ip netns list)" ]; then umount /run/netns 2>/dev/null || true; fi
  [ -f "$run/made" ] || return 0
  for directory in $(sort -u "$run/made"); do
    # never while it is a mount point of some other namespace: rmdir would take the mount away there
    grep -qs " $directory " /proc/[0-9]*/mountinfo || rmdir "$directory" 2>/dev/null || true
  done
}

# Programs started here work in $work, containerd's shims in the state of their containers, and containers are in our cgroups.
leftover_processes() {
  local tree
  for tree in /sys/fs/cgroup/pids/"$cgroup" /sys/fs/cgroup/"$cgroup"; do
    [ ! -d "$tree" ] || find "$tree" -name cgroup.procs -exec cat {} + 2>/dev/null || true
  done
  find /proc -maxdepth 2 -path '/proc/[0-9]*' -name cwd \( -lname "$work" -o -lname "$run/node-*/state/*" \) -printf '%h\n' 2>/dev/null |
    sed 's#/proc/##' | grep -vx "$$" || true
}
