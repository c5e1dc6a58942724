# A node is a network namespace plus a mount namespace, in which containerd, kubelet and kube-proxy run. The network
# namespace has no default route: pods reach each other and Services, and nothing else.

# start_node I COUNT
start_node() {
  local i=$1 count=$2
  local ip dir=$run/node-$i ns
  ip=$(node_ip "$i"); ns=$(node_namespace "$i")
  mkdir -p "$dir"/{cni,kubelet,pod-logs,run}
  connect_node "$i" "$count" "$ip" "$ns"
  certificate "node-$i" "/O=system:nodes/CN=system:node:node-$i" "DNS:node-$i,IP:$ip"
  prepare_cgroups "$i"
  printf 'nameserver %s\n' "$dns_ip" >"$dir/resolv.conf"
  write_containerd_config "$i" "$dir"
  write_kubelet_config "$i" "$dir"

  # Inside the mount namespace /run/containerd is the node's own (cAdvisor looks there), pod network handles live on a
  # tmpfs, and names are resolved by the cluster's DNS, so that nothing of the machine shows through.
  mkdir -p /run/containerd /run/netns
  start "mounts-$i" unshare --mount --propagation private sh -c \
    "mount --bind '$dir/run' /run/containerd && mount -t tmpfs tmpfs /run/netns && mount --bind '$dir/resolv.conf' /etc/resolv.conf && touch '$dir/mounted' && exec sleep infinity"
  until_true 10 "mount namespace of node-$i" test -f "$dir/mounted"
  start_in_node "$i" containerd containerd -c "$dir/containerd.toml"
  until_true 20 "containerd of node-$i" ctr -a "$(node_socket "$i")" version
  local image
  for image in "$run"/images/*.tar; do import_image "$i" "$image"; done
  start_in_node "$i" kubelet "$bin/kubelet" --config="$dir/kubelet.yaml" --kubeconfig="$run/node-$i.kubeconfig" \
    --hostname-override="node-$i" --node-ip="$ip" --root-dir="$dir/kubelet"
  start_in_node "$i" proxy "$bin/kube-proxy" --kubeconfig="$run/proxy.kubeconfig" --hostname-override="node-$i" \
    --cluster-cidr=$pod_net.0.0/16 --proxy-mode=nftables --conntrack-max-per-core=0
  until_true 60 "node-$i" admin_kubectl get node "node-$i"
  admin_kubectl patch node "node-$i" --type=merge -p "{\"spec\":{\"podCIDR\":\"$pod_net.$i.0/24\",\"podCIDRs\":[\"$pod_net.$i.0/24\"]}}" >/dev/null
}

start_in_node() {
  local i=$1 program=$2 holder; shift 2
  holder=$(cat "$run/mounts-$i.pid")
  start "$program-$i" nsenter --net="/run/netns/$(node_namespace "$i")" --mount="/proc/$holder/ns/mnt" "$@"
}

connect_node() {
  local i=$1 count=$2 ip=$3 ns=$4 other
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
  nsenter --net="/run/netns/$ns" sysctl -q -w net.ipv4.ip_forward=1
  ip route add "$pod_net.$i.0/24" via "$ip"
}

prepare_cgroups() {
  local i=$1 controller file level
  for controller in cpu cpuacct cpuset memory pids freezer blkio devices systemd; do
    [ ! -d "/sys/fs/cgroup/$controller" ] || mkdir -p "/sys/fs/cgroup/$controller/$cgroup/node-$i"
  done
  [ -d /sys/fs/cgroup/cpuset ] || { mkdir -p "/sys/fs/cgroup/$cgroup/node-$i"; return 0; }   # cgroup v2: one tree
  for level in "$cgroup" "$cgroup/node-$i"; do   # a new cpuset group is empty and takes no process
    for file in cpuset.cpus cpuset.mems; do
      cat "/sys/fs/cgroup/cpuset/$file" >"/sys/fs/cgroup/cpuset/$level/$file"
    done
  done
}

write_containerd_config() {
  local i=$1 dir=$2
  cat >"$dir/containerd.toml" <<EOF
version = 2
root = "$dir/containerd"
state = "$dir/state"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "registry.k8s.io/pause:3.10"
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

import_image() { ctr -a "$(node_socket "$1")" -n k8s.io images import "$2" >/dev/null; }
