# Settings and small helpers shared by all parts.

kubernetes_version=1.34.4
root=${AIOPSLAB_CLUSTER_ROOT:-$HOME/.cache/aiopslab/cluster}
bin=$root/bin
run=$root/run
pki=$run/pki
logs=$run/logs

layouts=$run/layouts         # image-layout directories that the mirror serves, one a line
work=$run/work               # every process that is started here works in this empty directory, so `down` finds it
number=${AIOPSLAB_CLUSTER_NUMBER:-0}   # clusters of different numbers can run side by side, each with a root of its own

# The addresses that kind and kubeadm use, so that recordings look like theirs. Nodes are <node_net>.2, .3, ...
node_net=172.$((18 + number)).0
pod_net=10.$((244 + number))
service_net=10.$((96 + number))
gateway=$node_net.1
dns_ip=$service_net.0.10
api_port=6443
mirror_port=5000
discovery_port=5001
api_url=https://$gateway:$api_port
etcd_port=$((12379 + 10 * number))
bridge=aiopslab$number
cgroup=aiopslab$number

fail() { echo "cluster.sh: $*" >&2; exit 3; }
say() { echo "cluster.sh: $*" >&2; }
fail_usage() { echo "cluster.sh: $*" >&2; exit 2; }

need_programs() {
  local program missing=()
  for program in "$@"; do command -v "$program" >/dev/null || missing+=("$program"); done
  [ ${#missing[@]} -eq 0 ] || fail "missing programs: ${missing[*]}; on Debian: apt-get install containerd runc containernetworking-plugins nftables iproute2 openssl gcc, and Go 1.26"
}

# One cluster.sh at a time changes anything. Programs that outlive it close descriptor 9, or they would hold the lock.
lock() {
  mkdir -p "$root"
  exec 9<"$root"
  flock -w 900 9 || fail "another cluster.sh is at work on $root"
}

# start NAME COMMAND...: run in the background, output to logs/NAME.log, process id to NAME.pid
start() {
  local name=$1; shift
  (cd "$work" && exec setsid nohup "$@" >>"$logs/$name.log" 2>&1 </dev/null 9<&-) &
  echo $! >"$run/$name.pid"
}

# is_alive NAME: the process that `start NAME` made still runs (and its number was not given to another since)
is_alive() { [ -f "$run/$1.pid" ] && [ "$(readlink "/proc/$(cat "$run/$1.pid")/cwd" 2>/dev/null)" = "$work" ]; }

kill_started() { is_alive "$1" && kill -KILL "$(cat "$run/$1.pid")" || true; }

# until_true SECONDS WHAT COMMAND...: retry four times a second
until_true() {
  local seconds=$1 what=$2; shift 2
  for _ in $(seq $((seconds * 4))); do
    if "$@" >/dev/null 2>&1 9<&-; then return 0; fi
    sleep 0.25
  done
  fail "$what did not come up in $seconds s; see $logs"
}

admin_kubectl() { "$bin/kubectl" --kubeconfig "$run/admin.kubeconfig" "$@" 9<&-; }
node_ip() { echo "$node_net.$(($1 + 1))"; }
node_namespace() { echo "$bridge-node-$1"; }
node_socket() { echo "$run/node-$1/run/containerd.sock"; }
running_nodes() { local d; for d in "$run"/node-*/; do [ ! -d "$d" ] || basename "$d" | sed 's/node-//'; done; }

# sign_key_pair NAME AUTHORITY SUBJECT SAN
sign_key_pair() {
  openssl req -newkey rsa:2048 -nodes -keyout "$pki/$1.key" -out "$pki/$1.csr" -subj "$3" 2>/dev/null
  openssl x509 -req -in "$pki/$1.csr" -CA "$pki/$2.crt" -CAkey "$pki/$2.key" -CAcreateserial -days 365 \
    -out "$pki/$1.crt" -extfile <(printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n' "$4") 2>/dev/null
}

# certificate NAME SUBJECT SAN: a key pair signed by the cluster's authority, and a kubeconfig that carries it inline
certificate() {
  local name=$1
  sign_key_pair "$name" ca "$2" "$3"
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
