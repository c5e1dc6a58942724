# A node is a network namespace plus a mount namespace, in which containerd, kubelet and kube-proxy run. The network
# namespace has no default route: pods reach each other and Services, and nothing else.

# start_node I COUNT
start_node() {
  local i=$1 count=$2 dir ip ns
  dir=$run/node-$i; ip=$(node_ip "$i"); ns=$(node_namespace "$i")
  mkdir -p "$dir"/{cni,kubelet,log-links,plugins,pod-logs,results,run}
  connect_node "$i" "$count" "$ip" "$ns"
  certificate "node-$i" "/O=system:nodes/CN=system:node:node-$i" "DNS:node-$i,IP:$ip"
  prepare_cgroups "$i"
  printf 'nameserver %s\n' "$dns_ip" >"$dir/resolv.conf"
  write_containerd_config "$i" "$dir"
  write_kubelet_config "$i" "$dir"

  make_mount_points
  start "mounts-$i" unshare --mount --propagation private sh -c "$(mounts_of_node "$dir") && touch '$dir/mounted' && exec sleep infinity"
  until_true 10 "mount namespace of node-$i" test -f "$dir/mounted"
  start_containerd "$i"
  local image
  for image in "$run"/images/*.tar; do import_image "$i" "$image"; done
  start_kubelet "$i"
  start_in_node "$i" proxy "$bin/kube-proxy" --kubeconfig="$run/proxy.kubeconfig" --hostname-override="node-$i" \
    --cluster-cidr=$pod_net.0.0/16 --proxy-mode=nftables --conntrack-max-per-core=0
  until_true 60 "node-$i" admin_kubectl get node "node-$i"
  admin_kubectl patch node "node-$i" --type=merge -p "{\"spec\":{\"podCIDR\":\"$pod_net.$i.0/24\",\"podCIDRs\":[\"$pod_net.$i.0/24\"]}}" >/dev/null
}

# Inside its mount namespace a node has its own /run/containerd (cAdvisor looks there), device plugins, records of the CNI and
# links to containers' logs, pod network handles on a tmpfs, and the cluster's DNS: nothing of the machine shows through, and
# nothing of the node stays behind. Folders that volumes name under /data are the same on all nodes, and go with the cluster.
mounts_of_node() {
  local dir=$1
  echo "mount --bind '$dir/run' /run/containerd && mount -t tmpfs tmpfs /run/netns && mount --bind '$dir/plugins' /var/lib/kubelet &&
    mount --bind '$dir/results' /var/lib/cni && mount --bind '$dir/log-links' /var/log/containers &&
    mount --bind '$dir/resolv.conf' /etc/resolv.conf && mount --bind '$run/data' /data"
}

# What of /run, /var was not there before is noted, so that `down` removes it.
make_mount_points() {
  local directory
  mkdir -p "$run/data"
  for directory in /run/containerd /run/netns /var/lib/kubelet /var/lib/cni /var/log/containers /data; do
    [ -d "$directory" ] || { echo "$directory" >>"$run/made"; mkdir -p "$directory"; }
  done
}

start_containerd() {
  start_in_node "$1" containerd containerd -c "$run/node-$1/containerd.toml"
  until_true 30 "containerd of node-$1" ctr -a "$(node_socket "$1")" version
}

start_kubelet() {
  local i=$1 dir=$run/node-$1
  start_in_node "$i" kubelet "$bin/kubelet" --config="$dir/kubelet.yaml" --kubeconfig="$run/node-$i.kubeconfig" \
    --hostname-override="node-$i" --node-ip="$(node_ip "$i")" --root-dir="$dir/kubelet"
}

# node_command VERB N: break a node as the world breaks them, and bring it back
node_command() {
  local verb=${1:-} i=${2:-}
  [ -n "$(running_nodes)" ] || fail "the cluster is down"
  [[ $i =~ ^[1-9]$ ]] && [ -d "$run/node-$i" ] || fail_usage "no node \"$i\"; there are: $(running_nodes | xargs)"
  case $verb in
    stop) kill_started "kubelet-$i"; kill_started "containerd-$i"; touch "$run/node-$i/stopped" ;;
    cut) cut_node "$i"; touch "$run/node-$i/cut" ;;
    start)
      is_alive "containerd-$i" || start_containerd "$i"
      is_alive "kubelet-$i" || start_kubelet "$i"
      rm -f "$run/node-$i/stopped"
      ;;
    join) nft_in_node "$i" delete table inet aiopslab_cut 2>/dev/null || true; rm -f "$run/node-$i/cut" ;;
    *) fail_usage "node stop|cut|start|join N, not \"$verb\"" ;;
  esac
}

nft_in_node() { local i=$1; shift; nsenter --net="/run/netns/$(node_namespace "$i")" nft "$@"; }

# Everything that enters or leaves the node is dropped; what its pods say to each other is not.
cut_node() {
  nft_in_node "$1" -f - <<EOF
table inet aiopslab_cut
delete table inet aiopslab_cut
table inet aiopslab_cut {
  chain entering { type filter hook prerouting priority -400; iifname "eth0" drop; }
  chain leaving { type filter hook postrouting priority 400; oifname "eth0" drop; }
}
EOF
}

# Entering a mount namespace resets the working directory, by which `down` knows our programs; so it is set again inside.
start_in_node() {
  local i=$1 program=$2 holder; shift 2
  holder=$(cat "$run/mounts-$i.pid")
  start "$program-$i" nsenter --net="/run/netns/$(node_namespace "$i")" --mount="/proc/$holder/ns/mnt" \
    sh -c 'cd "$0" && exec "$@"' "$work" "$@"
}

connect_node() {
  local i=$1 count=$2 ip=$3 ns=$4 other
  note_netns_mount
  ip netns add "$ns"
  ip link add "$bridge-n$i" type veth peer name eth0 netns "$ns"
  ip link set "$bridge-n$i" master "$bridge" up
  ip -n "$ns" addr add "$ip/24" dev eth0
  ip -n "$ns" link set eth0 up
  ip -n "$ns" link set lo up
  ip -n "$ns" route add "$service_net.0.0/16" dev eth0   # what kube-proxy does not translate dies on this link
  for other in $(seq "$count"); do
    [ "$other" = "$i" ] || ip -n "$ns" route add "$pod_net.$other.0/24" via "$(node_ip "$other")"
  done
  nsenter --net="/run/netns/$ns" sh -c "echo 1 >/proc/sys/net/ipv4/ip_forward"
  ip route add "$pod_net.$i.0/24" via "$ip"
}

# `ip netns add` mounts /run/netns on itself the first time; `down` undoes that if it was us.
note_netns_mount() {
  [ -d /run/netns ] || echo /run/netns >>"$run/made"
  mountpoint -q /run/netns || touch "$run/mounted-netns"
}

prepare_cgroups() {
  local i=$1 controller file level
  [ -f /sys/fs/cgroup/cgroup.controllers ] && { prepare_unified_cgroup "$i"; return; }
  for controller in cpu cpuacct cpuset memory pids freezer blkio devices systemd; do
    [ ! -d "/sys/fs/cgroup/$controller" ] || mkdir -p "/sys/fs/cgroup/$controller/$cgroup/node-$i"
  done
  for level in "$cgroup" "$cgroup/node-$i"; do   # a new cpuset group is empty and takes no process
    for file in cpuset.cpus cpuset.mems; do
      cat "/sys/fs/cgroup/cpuset/$file" >"/sys/fs/cgroup/cpuset/$level/$file"
    done
  done
}

# cgroup v2 is one tree, and a group has only the controllers that all its parents hand down. A container's own root group
# hands down none while processes sit in it, so they move aside as they do in every Kubernetes-in-a-container.
prepare_unified_cgroup() {
  local tree=/sys/fs/cgroup controllers level
  mkdir -p "$tree/$cgroup/node-$1"
  controllers=$(sed 's/[^ ][^ ]*/+&/g' "$tree/cgroup.controllers")
  if ! echo "$controllers" 2>/dev/null >"$tree/cgroup.subtree_control"; then
    mkdir -p "$tree/aiopslab-rest"
    move_processes "$tree" "$tree/aiopslab-rest"
    echo "$controllers" >"$tree/cgroup.subtree_control" || fail "cgroup v2: cannot enable $controllers in $tree"
  fi
  for level in "$cgroup" "$cgroup/node-$1"; do echo "$controllers" >"$tree/$level/cgroup.subtree_control"; done
}

move_processes() {
  local process
  for process in $(cat "$1/cgroup.procs"); do
    echo "$process" 2>/dev/null >"$2/cgroup.procs" || true   # it may have ended; the kernel's own cannot be moved
  done
}

restore_unified_cgroup() {
  local tree=/sys/fs/cgroup
  [ -d "$tree/aiopslab-rest" ] || return 0
  sed 's/[^ ][^ ]*/-&/g' "$tree/cgroup.subtree_control" >"$tree/cgroup.subtree_control" || true
  move_processes "$tree/aiopslab-rest" "$tree"
  rmdir "$tree/aiopslab-rest" || true
}

write_containerd_config() {
  local i=$1 dir=$2
  cat >"$dir/containerd.toml" <<EOF
version = 2
root = "$dir/containerd"
state = "$dir/state"
[plugins."io.containerd.internal.v1.opt"]
  path = "$dir/opt"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "registry.k8s.io/pause:3.10"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "$run/registries"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$dir/cni"
EOF
  cat >"$dir/cni/10-pods.conflist" <<EOF
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$dir/ipam", "ranges": [[{"subnet": "$pod_net.$i.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
EOF
}

write_kubelet_config() {
  local i=$1 dir=$2
  cat >"$dir/kubelet.yaml" <<EOF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: "$pki/ca.crt"}}
authorization: {mode: Webhook}
tlsCertFile: $pki/node-$i.crt
tlsPrivateKeyFile: $pki/node-$i.key
clusterDNS: [$dns_ip]
clusterDomain: cluster.local
cgroupDriver: cgroupfs
cgroupRoot: /$cgroup/node-$i
podLogsDir: $dir/pod-logs
failSwapOn: false
enforceNodeAllocatable: []
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
EOF
}

import_image() { ctr -a "$(node_socket "$1")" -n k8s.io images import "$2" >/dev/null 9<&-; }
