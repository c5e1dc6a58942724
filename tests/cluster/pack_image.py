#!/usr/bin/env python3
"""Pack files into a one-layer image: an archive that `ctr images import` takes, or an OCI image-layout directory.

    pack_image.py OUT.tar|DIRECTORY NAME:TAG [--entrypoint WORD]... [--dir PATH]... FILE=/path/in/image | @/target=/path/in/image ...

`@/target=/path` makes a symbolic link. The image depends on the files' bytes only, so packing twice gives the same image id.
An image added to a layout replaces one of the same name.
"""

import argparse
import hashlib
import io
import json
import pathlib
import tarfile

REF_NAME = "org.opencontainers.image.ref.name"
SEARCH_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def entry(path: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(path.strip("/"))
    info.type, info.mode = kind, mode
    return info


def layer(contents: list[tuple[str, str]], directories: list[str]) -> bytes:
    """The tar of `contents`, pairs of source and place, with every parent directory before what it holds."""
    buffer = io.BytesIO()
    made: set[str] = set()
    with tarfile.open(fileobj=buffer, mode="w") as tar:

        def make(directory: pathlib.PurePosixPath) -> None:
            for place in [*reversed(directory.parents), directory]:
                name = str(place).strip("/")
                if name and name not in made:
                    made.add(name)
                    tar.addfile(entry(name, tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755))

        for directory in ["/dev", "/etc", "/proc", "/sys", "/tmp", *directories]:
            make(pathlib.PurePosixPath(directory))
        for source, place in contents:
            make(pathlib.PurePosixPath(place).parent)
            if source.startswith("@"):
                info = entry(place, tarfile.SYMTYPE, 0o777)
                info.linkname = source[1:]
                tar.addfile(info)
            else:
                data = pathlib.Path(source).read_bytes()
                info = entry(place, tarfile.REGTYPE, 0o755)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def write_archive(out: str, name: str, config: bytes, data: bytes) -> None:
    digest = hashlib.sha256(data).hexdigest()
    config_name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": [f"{digest}/layer.tar"]}]).encode()
    with tarfile.open(out, "w") as archive:
        for file, content in [(config_name, config), (f"{digest}/layer.tar", data), ("manifest.json", manifest)]:
            info = tarfile.TarInfo(file)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def write_layout(layout: pathlib.Path, name: str, config: bytes, data: bytes) -> None:
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)

    def blob(media_type: str, content: bytes) -> dict:
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"mediaType": f"application/vnd.oci.image.{media_type}", "digest": f"sha256:{digest}", "size": len(content)}

    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob("config.v1+json", config),
        "layers": [blob("layer.v1.tar", data)],
    }
    descriptor = blob("manifest.v1+json", json.dumps(manifest).encode()) | {"annotations": {REF_NAME: name}}
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    index = layout / "index.json"
    others = json.loads(index.read_text())["manifests"] if index.exists() else []
    kept = [other for other in others if other["annotations"][REF_NAME] != name]
    index.write_text(json.dumps({"schemaVersion": 2, "manifests": [*kept, descriptor]}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("name")
    parser.add_argument("--entrypoint", action="append", default=[])
    parser.add_argument("--dir", action="append", default=[])
    parser.add_argument("contents", nargs="*", metavar="FILE=/path")
    options = parser.parse_intermixed_args()

    pairs = []
    for item in options.contents:
        source, separator, place = item.partition("=")
        if not separator:
            parser.error(f"expected FILE=/path, got {item!r}")
        pairs.append((source, place))
    data = layer(pairs, options.dir)
    digest = hashlib.sha256(data).hexdigest()
    config = json.dumps({
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": options.entrypoint, "Env": [SEARCH_PATH]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        "history": [{"created_by": "pack_image.py"}],
    }).encode()
    if options.out.endswith(".tar"):
        write_archive(options.out, options.name, config, data)
    else:
        write_layout(pathlib.Path(options.out), options.name, config, data)


if __name__ == "__main__":
    main()
