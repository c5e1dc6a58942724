#!/bin/bash
# Prove on a cluster of two nodes (beside any other) that a stopped and a cut-off node become NotReady, come back, and that
# a stopped node's containers went on.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
built=${AIOPSLAB_CLUSTER_ROOT:-$HOME/.cache/aiopslab/cluster}/bin
export AIOPSLAB_CLUSTER_NUMBER=${AIOPSLAB_CLUSTER_NUMBER:-8}
scratch=$(mktemp -d)
export AIOPSLAB_CLUSTER_ROOT=$scratch
ln -s "$built" "$scratch/bin"
trap '"$here/cluster.sh" down; rm -rf "$scratch"' EXIT
kubectl() { "$built/kubectl" --kubeconfig "$scratch/run/admin.kubeconfig" "$@"; }
fail() { echo "check_nodes.sh: $*" >&2; kubectl get nodes,pods -A -o wide >&2; exit 1; }

"$here/cluster.sh" up 2 >/dev/null
python3 "$here/pack_image.py" "$scratch/images" docker.io/check/nodes:1 --entrypoint /pause "$built/pause=/pause"
"$here/cluster.sh" images "$scratch/images"
kubectl run lasting --image=check/nodes:1 --image-pull-policy=Always \
  --overrides='{"spec": {"nodeName": "node-2", "tolerations": [{"operator": "Exists"}]}}' >/dev/null
kubectl wait --for=condition=Ready pod/lasting --timeout=30s >/dev/null || fail "an image of the mirror did not start"

# resolve NAME: the address that the cluster's DNS gives, asked from this machine, or its return code
resolve() {
  python3 - "$(kubectl -n kube-system get service kube-dns -o 'jsonpath={.spec.clusterIP}')" "$1" <<'EOF'
import socket, sys
server, name = sys.argv[1:]
labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.settimeout(5)
    client.sendto(b"\0\1\1\0\0\1\0\0\0\0\0\0" + labels + b"\0\0\1\0\1", (server, 53))
    answer = client.recv(4096)
print(".".join(map(str, answer[-4:])) if answer[7] else f"code {answer[3] & 15}")
EOF
}
service=$(kubectl get service kubernetes -o 'jsonpath={.spec.clusterIP}')
[ "$(resolve kubernetes.default.svc.cluster.local)" = "$service" ] || fail "DNS says $(resolve kubernetes.default.svc.cluster.local), not $service"
[ "$(resolve registry.invalid)" = "code 3" ] || fail "DNS knows a name outside: $(resolve registry.invalid)"
echo "DNS resolves Services, and nothing outside"

container() { kubectl get pod lasting -o 'jsonpath={.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}'; }
before=$(container)

# breaks_and_comes_back BREAK MEND
breaks_and_comes_back() {
  local begin
  "$here/cluster.sh" node "$1" 2
  begin=$SECONDS
  kubectl wait --for=condition=Ready=Unknown node/node-2 --timeout=90s >/dev/null || fail "node $1: still Ready after 90 s"
  echo "node $1: NotReady after $((SECONDS - begin)) s"
  ! "$here/cluster.sh" status >/dev/null || fail "node $1: status does not tell"
  "$here/cluster.sh" node "$2" 2
  begin=$SECONDS
  kubectl wait --for=condition=Ready node/node-2 --timeout=60s >/dev/null || fail "node $2: not Ready after 60 s"
  kubectl wait --for=condition=Ready pod/lasting --timeout=60s >/dev/null || fail "node $2: its pod is not Ready"
  echo "node $2: Ready after $((SECONDS - begin)) s"
  [ "$(container)" = "$before" ] || fail "node $1: the container changed from $before to $(container)"
}
breaks_and_comes_back stop start
breaks_and_comes_back cut join

kubectl run absent --image=registry.invalid/check/absent:1 >/dev/null
for _ in $(seq 120); do
  why=$(kubectl get events --field-selector involvedObject.name=absent,reason=Failed -o 'jsonpath={.items[*].message}')
  [ -z "$why" ] || break
  sleep 0.5
done
[[ $why == *"failed to do request: Head \"https://registry.invalid/v2/check/absent/manifests/1\": dial tcp: lookup "*" no such host"* ]] ||
  fail "a pull of an absent image says: $why"
echo "an absent image fails at the look-up of its registry"
