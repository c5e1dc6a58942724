"""A cluster that is unreachable, slow, out of quota, read-only or of another version: a clear error in bounded time."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import aiopslab
from conftest import kubectl, make

PROBLEM = "misconfig_app_hotel_res-mitigation-1"


def write_kubeconfig(path: Path, server: str, user: dict[str, Any] | None = None, cluster: dict[str, Any] | None = None) -> Path:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {"server": server, **(cluster or {})}}],
        "users": [{"name": "test", "user": user or {}}],
    }
    path.write_text(json.dumps(config), encoding="utf-8")
    return path


def reset_fails(kind: type[Exception], match: str, within_s: float, suffix: str = "bounds", **live: Any) -> str:
    begun = time.monotonic()
    with make(PROBLEM, suffix, live=live) as env:
        with pytest.raises(kind, match=match) as caught:
            env.reset(seed=0)
        took = time.monotonic() - begun
        assert took < within_s, f"it took {took:.1f} s"
    return str(caught.value)


def test_no_kubeconfig(tmp_path: Path) -> None:
    missing = tmp_path / "none"
    text = reset_fails(aiopslab.ClusterUnavailable, "cannot read the kubeconfig", 5, kubeconfig=missing)
    assert str(missing) in text
    assert "aiopslab cluster up" in text


def test_a_malformed_kubeconfig_and_an_unknown_context(tmp_path: Path) -> None:
    malformed = tmp_path / "malformed"
    malformed.write_text("clusters: [", encoding="utf-8")
    reset_fails(aiopslab.ClusterUnavailable, "cannot read the kubeconfig", 5, kubeconfig=malformed)
    known = write_kubeconfig(tmp_path / "known", "http://127.0.0.1:1")
    reset_fails(aiopslab.ClusterUnavailable, "nope", 5, kubeconfig=known, context="nope")


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    kubeconfig = write_kubeconfig(tmp_path / "k", f"http://127.0.0.1:{port}")
    reset_fails(
        aiopslab.ClusterUnavailable, f"127.0.0.1:{port}.* does not answer within 3 s", 8, kubeconfig=kubeconfig, request_timeout_s=3
    )


def test_somebody_listens_and_says_nothing(tmp_path: Path) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        kubeconfig = write_kubeconfig(tmp_path / "k", f"http://127.0.0.1:{mute.getsockname()[1]}")
        reset_fails(aiopslab.ClusterUnavailable, "does not answer within 3 s: no answer", 8, kubeconfig=kubeconfig, request_timeout_s=3)


Answer = Callable[[BaseHTTPRequestHandler], tuple[int, dict[str, Any]]]


@pytest.fixture
def api_server() -> Iterator[Callable[[Answer], str]]:
    """Starts API servers that answer what a function says."""
    servers: list[ThreadingHTTPServer] = []

    def start(answer: Answer) -> str:
        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, body = answer(self)
                text = json.dumps(body).encode()
                # A client may have given up by now.
                with contextlib.suppress(ConnectionError):
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(text)))
                    self.end_headers()
                    self.wfile.write(text)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def version(minor: int) -> dict[str, Any]:
    return {"major": "1", "minor": str(minor), "gitVersion": f"v1.{minor}.0"}


@pytest.mark.parametrize("minor", [21, 29, 99])
def test_another_version(minor: int, tmp_path: Path, api_server: Callable[[Answer], str]) -> None:
    kubeconfig = write_kubeconfig(tmp_path / "k", api_server(lambda _: (200, version(minor))))
    text = reset_fails(aiopslab.ClusterUnavailable, rf"runs Kubernetes v1\.{minor}\.0", 5, kubeconfig=kubeconfig)
    assert "any_version=True" in text


def test_a_refusal_and_something_else(tmp_path: Path, api_server: Callable[[Answer], str]) -> None:
    refusing = api_server(lambda _: (401, {"kind": "Status", "code": 401, "message": "Unauthorized"}))
    reset_fails(aiopslab.ClusterUnavailable, "refuses the kubeconfig's user", 5, kubeconfig=write_kubeconfig(tmp_path / "a", refusing))
    other = api_server(lambda _: (200, {"hello": "world"}))
    reset_fails(aiopslab.ClusterUnavailable, "is not Kubernetes", 5, kubeconfig=write_kubeconfig(tmp_path / "b", other))


def test_a_server_that_becomes_slow(tmp_path: Path, api_server: Callable[[Answer], str]) -> None:
    def answer(request: BaseHTTPRequestHandler) -> tuple[int, dict[str, Any]]:
        if request.path != "/version":
            time.sleep(60)
        return 200, version(34)

    kubeconfig = write_kubeconfig(tmp_path / "k", api_server(answer))
    reset_fails(aiopslab.ClusterUnavailable, "no answer within 2 s", 15, kubeconfig=kubeconfig, request_timeout_s=2)


def test_a_server_that_is_overloaded(tmp_path: Path, api_server: Callable[[Answer], str]) -> None:
    def answer(request: BaseHTTPRequestHandler) -> tuple[int, dict[str, Any]]:
        if request.path == "/version":
            return 200, version(34)
        return 503, {"kind": "Status", "code": 503, "reason": "ServiceUnavailable", "message": "the server is overloaded"}

    kubeconfig = write_kubeconfig(tmp_path / "k", api_server(answer))
    reset_fails(aiopslab.ClusterUnavailable, "overloaded", 20, kubeconfig=kubeconfig, request_timeout_s=2)


def test_a_read_only_user(tmp_path: Path, kubeconfig: Path) -> None:
    kubectl("create", "serviceaccount", "looker", "-n", "default", check=False)
    try:
        kubectl("create", "clusterrolebinding", "looker", "--clusterrole=view", "--serviceaccount=default:looker", check=False)
        token = kubectl("create", "token", "looker", "-n", "default").strip()
        cluster = json.loads(kubectl("config", "view", "--raw", "-o", "json", f"--kubeconfig={kubeconfig}"))["clusters"][0]["cluster"]
        server = cluster.pop("server")
        looking = write_kubeconfig(tmp_path / "k", server, {"token": token}, cluster)
        text = reset_fails(aiopslab.MissingRights, "lacks rights that an environment needs", 30, kubeconfig=looking)
        assert "create namespaces in the whole cluster" in text
    finally:
        kubectl("delete", "clusterrolebinding", "looker", check=False)
        kubectl("delete", "serviceaccount", "looker", "-n", "default", check=False)


def reset_puts_right(suffix: str) -> None:
    """In a namespace that bears our label, what the record does not know is removed before anything is deployed."""
    with make(PROBLEM, suffix) as env:
        env.reset(seed=0)


def test_a_namespace_out_of_quota() -> None:
    namespace = "test-hotel-reservation-quota"
    label = f"aiopslab.dev/environment={namespace}"
    kubectl("create", "namespace", namespace)
    try:
        kubectl("label", "namespace", namespace, label)
        kubectl("create", "quota", "small", "--hard=pods=3", "-n", namespace)
        reset_puts_right("quota")
    finally:
        kubectl("delete", "namespace", namespace, f"{namespace}-operations", "--wait=false")
        kubectl("delete", "pv", "-l", label)
        kubectl("delete", "clusterrole,clusterrolebinding", "-l", label)


def test_somebody_elses_namespace_is_not_touched() -> None:
    namespace = "test-hotel-reservation-foreign"
    kubectl("create", "namespace", namespace)
    try:
        text = reset_fails(aiopslab.ResetFailed, "is not touched", 30, suffix="foreign")
        assert namespace in text
        labels = json.loads(kubectl("get", "namespace", namespace, "-o", "json"))["metadata"]["labels"]
        assert list(labels) == ["kubernetes.io/metadata.name"]
    finally:
        kubectl("delete", "namespace", namespace, f"{namespace}-operations", "--wait=false", check=False)


def test_limits_that_let_nothing_run() -> None:
    suffix, namespace = "huge", "test-hotel-reservation-huge"
    label = f"aiopslab.dev/environment={namespace}"
    kubectl("create", "namespace", namespace)
    try:
        kubectl("label", "namespace", namespace, label)
        limits = {
            "apiVersion": "v1",
            "kind": "LimitRange",
            "metadata": {"name": "huge", "namespace": namespace},
            "spec": {"limits": [{"type": "Container", "defaultRequest": {"memory": "900Gi"}, "default": {"memory": "900Gi"}}]},
        }
        import subprocess

        subprocess.run(["kubectl", "apply", "-f", "-"], input=json.dumps(limits), text=True, check=True, capture_output=True)
        reset_puts_right(suffix)
    finally:
        kubectl("delete", "namespace", namespace, f"{namespace}-operations", "--wait=false")
        kubectl("delete", "pv", "-l", label)
        kubectl("delete", "clusterrole,clusterrolebinding", "-l", label)
