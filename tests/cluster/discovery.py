#!/usr/bin/env python3
"""Tells Prometheus what to scrape, because Debian's build of it cannot ask Kubernetes itself (`http_sd_configs` it can).

    discovery.py ADDRESS PORT KUBECTL KUBECONFIG

GET /nodes answers every node's kubelet; GET /pods every running pod that asks for it with the usual annotations
(prometheus.io/scrape, prometheus.io/port, prometheus.io/path, prometheus.io/scheme). Nothing but names and addresses is told.
"""

import http.server
import json
import subprocess
import sys
from collections.abc import Iterator

KUBELET_PORT = 10250
KUBECTL_TIMEOUT_S = 20
ANNOTATION = "prometheus.io/"
ENDED = ("Succeeded", "Failed")


def node_targets(nodes: list[dict]) -> Iterator[dict]:
    for node in nodes:
        for address in node["status"].get("addresses", []):
            if address["type"] == "InternalIP":
                yield {"targets": [f"{address['address']}:{KUBELET_PORT}"], "labels": {"node": node["metadata"]["name"]}}


def pod_targets(pods: list[dict]) -> Iterator[dict]:
    for pod in pods:
        metadata, spec, status = pod["metadata"], pod["spec"], pod["status"]
        asked = {
            name.removeprefix(ANNOTATION): value for name, value in metadata.get("annotations", {}).items() if name.startswith(ANNOTATION)
        }
        if asked.get("scrape") != "true" or status["phase"] in ENDED or "podIP" not in status:
            continue
        declared = [port["containerPort"] for container in spec["containers"] for port in container.get("ports", [])]
        ports = [asked["port"]] if "port" in asked else declared
        labels = {"namespace": metadata["namespace"], "pod": metadata["name"], "node": spec["nodeName"]}
        if "path" in asked:
            labels["__metrics_path__"] = asked["path"]
        if "scheme" in asked:
            labels["__scheme__"] = asked["scheme"]
        yield {"targets": [f"{status['podIP']}:{port}" for port in ports], "labels": labels}


SOURCES = {"/nodes": ("/api/v1/nodes", node_targets), "/pods": ("/api/v1/pods", pod_targets)}


class Handler(http.server.BaseHTTPRequestHandler):
    """Each request reads the API server anew; on a failure Prometheus keeps what it was told before."""

    kubectl: list[str]

    def do_GET(self) -> None:
        if self.path not in SOURCES:
            self.send_error(404)
            return
        source, targets = SOURCES[self.path]
        try:
            answer = subprocess.run([*self.kubectl, "get", "--raw", source], capture_output=True, check=True, timeout=KUBECTL_TIMEOUT_S)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            self.send_error(503)
            return
        body = json.dumps(list(targets(json.loads(answer.stdout)["items"]))).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    address, port, kubectl, kubeconfig = sys.argv[1:]
    Handler.kubectl = [kubectl, "--kubeconfig", kubeconfig]
    http.server.ThreadingHTTPServer((address, int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main()
