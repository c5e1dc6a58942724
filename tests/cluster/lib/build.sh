# Compile every program of the cluster. Each tool is a Go module of its own, because their dependencies disagree.

build_all() {
  need_programs go gcc
  mkdir -p "$bin"
  local commands=(kubectl kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy) minor=${kubernetes_version#1.}
  local version=k8s.io/component-base/version
  go_build kubernetes "$bin/" "-X $version.gitVersion=v$kubernetes_version -X $version.gitMajor=1 -X $version.gitMinor=${minor%%.*}" \
    "${commands[@]/#/k8s.io/kubernetes/cmd/}"
  go_build etcd "$bin/etcd" "" go.etcd.io/etcd/server/v3
  go_build coredns "$bin/coredns" "" github.com/coredns/coredns
  gcc -static -Os -o "$bin/pause" "$here/pause.c"
}

# go_build MODULE OUTPUT LDFLAGS PACKAGE...
go_build() {
  local module=$1 output=$2 flags=$3; shift 3
  (cd "$here/tools/$module" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w $flags" -o "$output" "$@") || fail "building $module failed"
}

is_built() {
  local program
  for program in kubectl kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy etcd coredns pause; do
    [ -x "$bin/$program" ] || return 1
  done
}
