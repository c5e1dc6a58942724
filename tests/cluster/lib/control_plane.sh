# etcd, API server, controllers and scheduler: plain processes on the machine, reached by nodes over the bridge.

start_control_plane() {
  mkdir -p "$pki" "$logs" "$run/images"
  : >"$layouts"
  ip link add "$bridge" type bridge
  ip addr add "$gateway/24" dev "$bridge"
  ip link set "$bridge" up

  openssl genrsa -out "$pki/serviceaccounts.key" 2048 2>/dev/null
  openssl rsa -in "$pki/serviceaccounts.key" -pubout -out "$pki/serviceaccounts.pub" 2>/dev/null
  openssl req -x509 -newkey rsa:2048 -nodes -keyout "$pki/ca.key" -out "$pki/ca.crt" -days 365 -subj /CN=kubernetes 2>/dev/null
  openssl req -x509 -newkey rsa:2048 -nodes -keyout "$pki/front-proxy-ca.key" -out "$pki/front-proxy-ca.crt" -days 365 \
    -subj /CN=front-proxy-ca 2>/dev/null
  sign_key_pair front-proxy-client front-proxy-ca /CN=front-proxy-client DNS:front-proxy-client
  certificate apiserver /CN=kube-apiserver \
    "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:localhost,IP:127.0.0.1,IP:$gateway,IP:$service_net.0.1"
  certificate admin /O=system:masters/CN=kubernetes-admin DNS:admin
  certificate controller-manager /CN=system:kube-controller-manager DNS:controller-manager
  certificate scheduler /CN=system:kube-scheduler DNS:scheduler
  certificate proxy /CN=system:kube-proxy DNS:proxy

  local peer=http://127.0.0.1:$((etcd_port + 1)) client=http://127.0.0.1:$etcd_port
  start etcd "$bin/etcd" --data-dir "$run/etcd" --unsafe-no-fsync --log-level warn \
    --listen-client-urls "$client" --advertise-client-urls "$client" \
    --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "default=$peer"
  start apiserver "$bin/kube-apiserver" --etcd-servers="$client" --bind-address="$gateway" --advertise-address="$gateway" \
    --secure-port=$api_port --service-cluster-ip-range=$service_net.0.0/16 --authorization-mode=Node,RBAC --allow-privileged=true \
    --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" --client-ca-file="$pki/ca.crt" \
    --service-account-key-file="$pki/serviceaccounts.pub" --service-account-signing-key-file="$pki/serviceaccounts.key" \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local \
    --kubelet-client-certificate="$pki/admin.crt" --kubelet-client-key="$pki/admin.key" \
    --kubelet-preferred-address-types=InternalIP --enable-aggregator-routing=true \
    --requestheader-client-ca-file="$pki/front-proxy-ca.crt" --requestheader-allowed-names=front-proxy-client \
    --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
    --requestheader-extra-headers-prefix=X-Remote-Extra- \
    --proxy-client-cert-file="$pki/front-proxy-client.crt" --proxy-client-key-file="$pki/front-proxy-client.key"
  until_true 60 "API server" admin_kubectl get --raw /readyz
  start controller-manager "$bin/kube-controller-manager" --kubeconfig="$run/controller-manager.kubeconfig" --leader-elect=false \
    --secure-port=0 --use-service-account-credentials=true --root-ca-file="$pki/ca.crt" --allocate-node-cidrs=false \
    --service-account-private-key-file="$pki/serviceaccounts.key"
  start mirror python3 "$here/registry.py" serve "$gateway" "$mirror_port" "$layouts"
  start scheduler "$bin/kube-scheduler" --kubeconfig="$run/scheduler.kubeconfig" --leader-elect=false --secure-port=0
}

pack_own_images() {
  python3 "$here/pack_image.py" "$run/images/pause.tar" registry.k8s.io/pause:3.10 --entrypoint /pause "$bin/pause=/pause"
  python3 "$here/pack_image.py" "$run/images/coredns.tar" registry.k8s.io/coredns/coredns:v1.12.1 --entrypoint /coredns \
    "$bin/coredns=/coredns"
}
