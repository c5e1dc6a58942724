# Compile every program of the cluster. Each tool is a Go module of its own, because their dependencies disagree.

kubernetes_programs=(kubectl kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy etcd coredns pause)

build_cluster() {
  need_programs go gcc
  mkdir -p "$bin"
  say "compiling Kubernetes $kubernetes_version, etcd and CoreDNS (the first time about six minutes on two cores)"
  local commands=(kubectl kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy) minor=${kubernetes_version#1.}
  local version=k8s.io/component-base/version
  go_build kubernetes "$bin/" "-X $version.gitVersion=v$kubernetes_version -X $version.gitMajor=1 -X $version.gitMinor=${minor%%.*}" \
    "${commands[@]/#/k8s.io/kubernetes/cmd/}"
  go_build etcd "$bin/etcd" "" go.etcd.io/etcd/server/v3
  go_build coredns "$bin/coredns" "" github.com/coredns/coredns
  gcc -static -Os -o "$bin/pause" "$here/pause.c"
}

# build_telemetry NAME: one of the programs of lib/telemetry.sh
build_telemetry() {
  mkdir -p "$bin"
  say "making $1 (the first time up to three minutes on two cores)"
  case $1 in
    metrics-server) need_programs go; go_build metrics-server "$bin/metrics-server" "" sigs.k8s.io/metrics-server/cmd/metrics-server ;;
    jaeger) need_programs go; go_build jaeger "$bin/jaeger" "" github.com/jaegertracing/jaeger/cmd/all-in-one ;;
    prometheus) is_built prometheus || take_prometheus ;;
  esac
}

# Prometheus is Debian's. The package is unpacked, not installed: nothing of it is wanted on the machine but the program.
take_prometheus() {
  local installed directory
  installed=$(command -v prometheus || true)
  if [ -n "$installed" ]; then cp "$installed" "$bin/prometheus"; return; fi
  need_programs apt-get dpkg
  directory=$root/building/prometheus
  mkdir -p "$directory"
  (cd "$directory" && { apt-get download -q prometheus >/dev/null 2>&1 || { apt-get update -q && apt-get download -q prometheus; } >&2; } &&
    dpkg -x prometheus_*.deb .) || fail "cannot download Debian's package prometheus"
  mv "$directory/usr/bin/prometheus" "$bin/prometheus"
  rm -rf "$root/building"
}

# go_build MODULE OUTPUT LDFLAGS PACKAGE...
go_build() {
  local module=$1 output=$2 flags=$3; shift 3
  mkdir -p "$root/building"   # the compiler's own leftovers, when it is killed
  (export GOTMPDIR="$root/building"; cd "$here/tools/$module" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w $flags" -o "$output" "$@" 9<&-) || fail "building $module failed"
  rm -rf "$root/building"
}

is_built() {
  local program
  for program in "$@"; do
    [ -x "$bin/$program" ] || return 1
  done
}
