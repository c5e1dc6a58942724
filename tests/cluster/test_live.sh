#!/bin/bash
# What `make test-live` runs: the tests that need a real cluster. On $KUBECONFIG if it is set, else on a cluster of three nodes
# that is started here, with everything that observes it, and taken down again unless it was up before. Says at the end what
# was skipped and why; fails when the cluster cannot be had.
#
# Tests find in AIOPSLAB_TEST_CLUSTER the cluster.sh by which they may break nodes; it is unset on a cluster of somebody else's.
#
# The caller sets PY (a Python with the package and pytest) and CARGO_TARGET_DIR.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."
images=$CARGO_TARGET_DIR/testbed-images
skipped=()
skip() { skipped+=("$1"); echo "test-live: skipped $1"; }
step() { echo "test-live: $1 (after $SECONDS s)"; }

prepare_own_cluster() {
  step "building the cluster's programs"
  "$here/cluster.sh" build all
  if "$here/cluster.sh" status >/dev/null; then
    skip "the checks of tests/cluster: a cluster is up already, and is used as it is"
  else
    step "checking that a cluster leaves nothing behind"
    "$here/check_leftovers.sh"
    step "checking that nodes break and come back"
    "$here/check_nodes.sh"
    trap '"$here/cluster.sh" down' EXIT
  fi
  step "starting the cluster"
  eval "$("$here/cluster.sh" up 3)"
  "$here/cluster.sh" observe
  export AIOPSLAB_TEST_CLUSTER=$here/cluster.sh
  kubectl top nodes
}

if [ -n "${KUBECONFIG:-}" ]; then
  unset AIOPSLAB_TEST_CLUSTER
  skip "tests/cluster and the testbed's images: KUBECONFIG names a cluster, which pulls its own"
else
  prepare_own_cluster
  step "packing the testbed's images"
  make testbed
  "$here/cluster.sh" images "$images"
fi

if grep -qs 'name = "live"' Cargo.toml || [ -e tests/live.rs ] || [ -e tests/live/main.rs ]; then
  step "cargo test --test live"
  # The tests wait more than they work.
  AIOPSLAB_LIVE=required cargo test --release --features bash,live --test live -- --test-threads=4
else
  skip "cargo test --test live: there is no such test"
fi
if compgen -G 'tests/live/test_*.py' >/dev/null; then
  step "pytest tests/live"
  "$PY" -m pytest tests/live
else
  skip "pytest tests/live: there is no such test"
fi

echo "test-live: done in $SECONDS s on ${KUBECONFIG}, ${#skipped[@]} skipped"
[ ${#skipped[@]} -eq 0 ] || printf 'test-live: skipped %s\n' "${skipped[@]}"
