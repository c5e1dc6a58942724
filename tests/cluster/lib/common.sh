# Settings and small helpers shared by all parts.

kubernetes_version=1.34.4
root=${AIOPSLAB_CLUSTER_ROOT:-$HOME/.cache/aiopslab/cluster}
bin=$root/bin
run=$root/run
pki=$run/pki
logs=$run/logs

# The addresses that kind and kubeadm use, so that recordings look like theirs. Nodes are <node_net>.2, .3, ...
node_net=172.18.0
pod_net=10.244
service_net=10.96
gateway=$node_net.1
dns_ip=$service_net.0.10
api_port=6443
api_url=https://$gateway:$api_port
etcd_port=12379
bridge=aiopslab0
cgroup=aiopslab

fail() { echo "cluster.sh: $*" >&2; exit 1; }

need_programs() {
  local program missing=()
  for program in "$@"; do command -v "$program" >/dev/null || missing+=("$program"); done
  [ ${#missing[@]} -eq 0 ] || fail "missing programs: ${missing[*]}; on Debian: apt-get install containerd runc containernetworking-plugins nftables iproute2 openssl gcc"
}

# start NAME COMMAND...: run in the background, output to logs/NAME.log, process id to NAME.pid
start() {
  local name=$1; shift
  setsid nohup "$@" >"$logs/$name.log" 2>&1 </dev/null &
  echo $! >"$run/$name.pid"
}

# until_true SECONDS WHAT COMMAND...: retry four times a second
until_true() {
  local seconds=$1 what=$2; shift 2
  for _ in $(seq $((seconds * 4))); do
    if "$@" >/dev/null 2>&1; then return 0; fi
    sleep 0.25
  done
  fail "$what did not come up in $seconds s; see $logs"
}

admin_kubectl() { "$bin/kubectl" --kubeconfig "$run/admin.kubeconfig" "$@"; }
node_ip() { echo "$node_net.$(($1 + 1))"; }
node_namespace() { echo "aiopslab-node-$1"; }
node_socket() { echo "$run/node-$1/run/containerd.sock"; }
running_nodes() { local d; for d in "$run"/node-*/; do [ ! -d "$d" ] || basename "$d" | sed 's/node-//'; done; }

# certificate NAME SUBJECT SAN: a key pair signed by the cluster's authority, and a kubeconfig that carries it inline
certificate() {
  local name=$1 subject=$2 san=$3
  openssl req -newkey rsa:2048 -nodes -keyout "$pki/$name.key" -out "$pki/$name.csr" -subj "$subject" 2>/dev/null
  openssl x509 -req -in "$pki/$name.csr" -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -CAcreateserial -days 365 \
    -out "$pki/$name.crt" -extfile <(printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n' "$san") 2>/dev/null
  cat >"$run/$name.kubeconfig" <<EOF
apiVersion: v1
kind: Config
clusters:
- name: kubernetes
  cluster:
    server: $api_url
    certificate-authority-data: $(base64 -w0 "$pki/ca.crt")
users:
- name: kubernetes-$name
  user:
    client-certificate-data: $(base64 -w0 "$pki/$name.crt")
    client-key-data: $(base64 -w0 "$pki/$name.key")
contexts:
- name: kubernetes-$name@kubernetes
  context: {cluster: kubernetes, user: kubernetes-$name}
current-context: kubernetes-$name@kubernetes
EOF
}
