# The nodes' image registry: image-layout directories, served on the machine's address on the bridge (registry.py).

# containerd asks the mirror first and then the image's own registry, whatever its name.
write_registry_config() {
  mkdir -p "$run/registries/_default"
  cat >"$run/registries/_default/hosts.toml" <<EOF
[host."http://$gateway:$mirror_port"]
  capabilities = ["pull", "resolve"]
EOF
}

# cluster_images DIR...: served from now on; what nodes keep of the same name and other content is forgotten, so that the
# next container of that image gets the new one whatever its pull policy
cluster_images() {
  [ $# -gt 0 ] || fail_usage "images needs an image-layout directory"
  [ -n "$(running_nodes)" ] || fail "the cluster is down"
  local layout i
  for layout in "$@"; do
    [ -f "$layout/index.json" ] || fail_usage "not an image-layout directory: $layout"
  done
  for layout in "$@"; do
    layout=$(cd "$layout" && pwd)
    { grep -vxF "$layout" "$layouts" || true; echo "$layout"; } >"$layouts.new"
    mv "$layouts.new" "$layouts"
    for i in $(running_nodes); do forget_stale_images "$i" "$layout"; done
  done
}

forget_stale_images() {
  local i=$1 layout=$2
  ctr -a "$(node_socket "$i")" -n k8s.io images ls 2>/dev/null | awk 'NR > 1 {print $1, $3}' | sort >"$run/node-$i/images" || return 0
  python3 "$here/registry.py" list "$layout" | sort | join - "$run/node-$i/images" | awk '$2 != $3 {print $1}' |
    xargs -r ctr -a "$(node_socket "$i")" -n k8s.io images rm >/dev/null
}
