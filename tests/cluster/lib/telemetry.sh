# What observes the cluster, each part optional: metrics-server in kube-system as usual, Prometheus and Jaeger in the namespace
# `observe`. All run on the first node, where CoreDNS is too, so that breaking another node leaves the view on it.

telemetry_parts=(metrics-server prometheus jaeger)
telemetry_layout=$run/telemetry-images

# cluster_observe PART...: start these parts (default: all) and wait until they answer
cluster_observe() {
  [ $# -gt 0 ] || set -- "${telemetry_parts[@]}"
  [ -n "$(running_nodes)" ] || fail "the cluster is down"
  local part
  for part in "$@"; do
    [ -f "$here/manifests/$part.yaml" ] && [[ " ${telemetry_parts[*]} " = *" $part "* ]] || fail_usage "unknown part \"$part\"; there are: ${telemetry_parts[*]}"
  done
  for part in "$@"; do
    is_built "$part" || build_telemetry "$part"
    pack_telemetry "$part"
  done
  cluster_images "$telemetry_layout"
  is_alive discovery || start discovery python3 "$here/discovery.py" "$gateway" "$discovery_port" "$bin/kubectl" "$run/admin.kubeconfig"
  for part in "$@"; do
    sed "s/DISCOVERY/$gateway:$discovery_port/" "$here/manifests/$part.yaml" | admin_kubectl apply -f - >/dev/null
  done
  for part in "$@"; do
    admin_kubectl -n "$(telemetry_namespace "$part")" rollout status "deployment/$part" --timeout=120s >/dev/null || fail "$part did not start; see $logs"
  done
  [[ " $* " != *" metrics-server "* ]] || until_true 120 "the metrics API" every_node_has_metrics
}

every_node_has_metrics() { [ "$(admin_kubectl top nodes --no-headers | grep -c '%')" -ge "$(running_nodes | wc -l)" ]; }

telemetry_namespace() { if [ "$1" = metrics-server ]; then echo kube-system; else echo observe; fi; }

pack_telemetry() {
  local part=$1 name libraries=()
  case $part in
    metrics-server) name=registry.k8s.io/metrics-server/metrics-server:v0.8.0 ;;
    jaeger) name=docker.io/aiopslab/jaeger:1.76.0 ;;
    prometheus)
      name=docker.io/aiopslab/prometheus:debian
      mapfile -t libraries < <(ldd "$bin/prometheus" 2>/dev/null | grep -o '/[^ ]*' | sed 's/.*/&=&/')
      ;;
  esac
  python3 "$here/pack_image.py" "$telemetry_layout" "$name" --entrypoint "/$part" "$bin/$part=/$part" "${libraries[@]}"
}
