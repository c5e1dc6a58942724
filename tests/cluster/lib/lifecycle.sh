# The commands of cluster.sh.

cluster_up() {
  local count=$1 i
  [[ $count =~ ^[1-9]$ ]] || fail "the number of nodes must be 1 to 9, not \"$count\""
  [ "$(id -u)" = 0 ] || fail "up needs root: it makes network and mount namespaces"
  if cluster_is_up "$count"; then announce; return; fi
  need_programs containerd ctr runc nft ip openssl nsenter unshare python3
  [ -x /usr/lib/cni/bridge ] || fail "missing /usr/lib/cni/bridge; on Debian: apt-get install containernetworking-plugins"
  is_built || build_all
  [ ! -d "$run" ] || cluster_down
  local net
  for net in "$node_net.0/24" "$service_net.0.0/16"; do
    [ -z "$(ip route show "$net")" ] || fail "network $net is in use on this machine (another cluster?)"
  done
  start_control_plane
  pack_own_images
  for i in $(seq "$count"); do start_node "$i" "$count"; done
  ip route add "$service_net.0.0/16" via "$(node_ip 1)"   # the machine reaches Services through the first node
  admin_kubectl wait --for=condition=Ready nodes --all --timeout=60s >/dev/null || fail "nodes are not Ready; see $logs"
  sed "s/DNS_IP/$dns_ip/" "$here/manifests/coredns.yaml" | admin_kubectl apply -f - >/dev/null
  admin_kubectl -n kube-system rollout status deployment/coredns --timeout=60s >/dev/null || fail "CoreDNS did not start; see $logs"
  announce
}

announce() { echo "export KUBECONFIG=$run/admin.kubeconfig PATH=$bin:\$PATH"; }

cluster_is_up() {
  [ -f "$run/admin.kubeconfig" ] && [ "$(running_nodes | wc -l)" = "$1" ] && cluster_status >/dev/null 2>&1
}

cluster_status() {
  [ -f "$run/admin.kubeconfig" ] || { echo "down"; return 1; }
  local ready
  ready=$(admin_kubectl --request-timeout=5s get nodes --no-headers 2>/dev/null | awk '$2 ~ /^Ready/' | wc -l)
  echo "up: $ready of $(running_nodes | wc -l) nodes Ready; KUBECONFIG=$run/admin.kubeconfig"
  [ "$ready" = "$(running_nodes | wc -l)" ]
}

cluster_load() {
  [ $# -gt 0 ] || fail "load needs an image archive"
  [ -n "$(running_nodes)" ] || fail "the cluster is down"
  local archive i
  for archive in "$@"; do
    [ -f "$archive" ] || fail "no such file: $archive"
    cp "$archive" "$run/images/"
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

# All state is thrown away, so nothing needs to end in good order: kill what was started, the containers by their cgroups and
# containerd's shims by their working directory, and what lived in the nodes' namespaces is gone with its last process.
cluster_down() {
  [ -d "$run" ] || return 0
  local file name tree directory
  for file in "$run"/*.pid; do
    [ ! -f "$file" ] || kill -KILL "$(cat "$file")" 2>/dev/null || true
  done
  for _ in $(seq 20); do
    leftover_processes | xargs -r kill -KILL 2>/dev/null || true
    [ -n "$(leftover_processes)" ] || break
    sleep 0.25
  done
  for name in $(ip netns list | awk '/^aiopslab-node-/ {print $1}'); do ip netns del "$name"; done
  ip link del "$bridge" 2>/dev/null || true   # its routes go with it
  for tree in /sys/fs/cgroup/"$cgroup" /sys/fs/cgroup/*/"$cgroup"; do
    [ ! -d "$tree" ] || find "$tree" -depth -type d -exec rmdir {} \; 2>/dev/null || true
  done
  rm -rf "$run"
  [ -n "$(ip netns list)" ] || umount /run/netns 2>/dev/null || true   # which `ip netns add` mounts on itself
  for directory in /run/containerd /run/netns; do
    # never while it is a mount point of some other namespace: rmdir would take the mount away there
    grep -qs " $directory " /proc/[0-9]*/mountinfo || rmdir "$directory" 2>/dev/null || true
  done
}

# Processes that still sit in one of the cluster's cgroups (containers) or work in its state (containerd's shims).
leftover_processes() {
  local tree process
  for tree in /sys/fs/cgroup/pids/"$cgroup" /sys/fs/cgroup/"$cgroup"; do
    [ ! -d "$tree" ] || find "$tree" -name cgroup.procs -exec cat {} + 2>/dev/null || true
  done
  for process in /proc/[0-9]*; do
    case $(readlink "$process/cwd" 2>/dev/null || true) in "$run"/node-*) echo "${process#/proc/}" ;; esac
  done
}
