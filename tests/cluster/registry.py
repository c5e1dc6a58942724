#!/usr/bin/env python3
"""A small read-only image registry: it serves OCI image-layout directories to the cluster's nodes.

    registry.py serve ADDRESS PORT LIST    LIST is a file of directories, one a line, read anew with every request
    registry.py list DIR...                print each image's full name and digest

An image's name is the annotation `org.opencontainers.image.ref.name` in `index.json`, written in full
(`docker.io/library/mongo:4.4.6`). containerd asks with `?ns=HOST` and takes a 404 as "ask the real registry", so an image
that no layout has fails exactly as it would without this server.
"""

import http.server
import json
import pathlib
import re
import sys
import urllib.parse
from collections.abc import Iterator

REF_NAME = "org.opencontainers.image.ref.name"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
REQUEST = re.compile(r"/v2/(?P<name>[a-z0-9._/-]+)/(?P<kind>manifests|blobs)/(?P<reference>[A-Za-z0-9._:-]+)")
CHUNK = 1 << 20


def full_name(reference: str) -> tuple[str, str, str]:
    """The host, repository and tag that a reference means, by the rules of container runtimes."""
    host, slash, rest = reference.partition("/")
    if not slash or not ("." in host or ":" in host or host == "localhost"):
        host, rest = "docker.io", reference
    if host == "docker.io" and "/" not in rest:
        rest = f"library/{rest}"
    repository, _, tag = rest.partition(":")
    return host, repository, tag or "latest"


def images(layout: pathlib.Path) -> Iterator[tuple[tuple[str, str, str], dict]]:
    """Every named image of a layout with its descriptor."""
    index = json.loads((layout / "index.json").read_text())
    for descriptor in index["manifests"]:
        reference = descriptor.get("annotations", {}).get(REF_NAME)
        if reference:
            yield full_name(reference), descriptor


class Layouts:
    """The directories that are served now."""

    def __init__(self, listing: pathlib.Path):
        self.listing = listing

    def directories(self) -> list[pathlib.Path]:
        """Newest first, so that an image added again replaces the older one."""
        try:
            return [pathlib.Path(line) for line in reversed(self.listing.read_text().splitlines()) if line]
        except FileNotFoundError:
            return []

    def named(self, host: str, name: str) -> Iterator[tuple[pathlib.Path, str, dict]]:
        """Every image of a repository: where it is, its tag, its descriptor."""
        for layout in self.directories():
            try:
                found = [(tag, descriptor) for (h, n, tag), descriptor in images(layout) if (h, n) == (host, name)]
            except (OSError, ValueError, KeyError):  # a layout that was removed or is being written has no images now
                continue
            for tag, descriptor in found:
                yield layout, tag, descriptor

    def manifest(self, host: str, name: str, reference: str) -> tuple[pathlib.Path, str, str] | None:
        """File, digest and media type of a manifest by tag or digest."""
        for layout, tag, descriptor in self.named(host, name):
            if DIGEST.fullmatch(reference):
                path = blob_path(layout, reference)
                if path.is_file():
                    return path, reference, media_type(path)
            elif tag == reference:
                path = blob_path(layout, descriptor["digest"])
                if path.is_file():
                    return path, descriptor["digest"], descriptor.get("mediaType", MANIFEST_TYPE)
        return None

    def blob(self, host: str, name: str, digest: str) -> pathlib.Path | None:
        """The file of a layer or configuration."""
        if DIGEST.fullmatch(digest):
            for layout, _, _ in self.named(host, name):
                path = blob_path(layout, digest)
                if path.is_file():
                    return path
        return None


def blob_path(layout: pathlib.Path, digest: str) -> pathlib.Path:
    algorithm, _, value = digest.partition(":")
    return layout / "blobs" / algorithm / value


def media_type(path: pathlib.Path) -> str:
    try:
        return json.loads(path.read_bytes()).get("mediaType", MANIFEST_TYPE)
    except (ValueError, AttributeError):
        return MANIFEST_TYPE


class Handler(http.server.BaseHTTPRequestHandler):
    """The pull half of the OCI distribution API."""

    protocol_version = "HTTP/1.1"
    layouts: Layouts

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, *, with_body: bool) -> None:
        url = urllib.parse.urlsplit(self.path)
        if url.path in ("/v2", "/v2/"):
            self.send_bytes(200, b"{}", with_body)
            return
        request = REQUEST.fullmatch(url.path)
        host = urllib.parse.parse_qs(url.query).get("ns", ["docker.io"])[0]
        if request and request["kind"] == "manifests":
            found = self.layouts.manifest(host, request["name"], request["reference"])
            if found:
                self.send_file(*found, with_body)
                return
        elif request:
            path = self.layouts.blob(host, request["name"], request["reference"])
            if path:
                self.send_file(path, request["reference"], "application/octet-stream", with_body)
                return
        self.send_bytes(404, b'{"errors":[{"code":"NAME_UNKNOWN","message":"no layout has it"}]}', with_body)

    def send_bytes(self, status: int, body: bytes, with_body: bool) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def send_file(self, path: pathlib.Path, digest: str, kind: str, with_body: bool) -> None:
        with path.open("rb") as file:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(path.stat().st_size))
            self.send_header("Docker-Content-Digest", digest)
            self.end_headers()
            while with_body and (chunk := file.read(CHUNK)):
                self.wfile.write(chunk)


def main() -> None:
    match sys.argv[1:]:
        case ["serve", address, port, listing]:
            Handler.layouts = Layouts(pathlib.Path(listing))
            http.server.ThreadingHTTPServer((address, int(port)), Handler).serve_forever()
        case ["list", *directories]:
            for directory in directories:
                for (host, name, tag), descriptor in images(pathlib.Path(directory)):
                    print(f"{host}/{name}:{tag} {descriptor['digest']}")
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
