#!/usr/bin/env python3
"""Pack static files into a one-layer image archive that `ctr images import` takes.

    pack_image.py OUT.tar NAME:TAG [--entrypoint WORD]... [--dir PATH]... FILE=/path/in/image | @/target=/path/in/image ...

`@/target=/path` makes a symbolic link. The archive depends on the files' bytes only, so packing twice gives the same image id.
"""

import argparse
import hashlib
import io
import json
import pathlib
import tarfile

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
    config_name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [options.name], "Layers": [f"{digest}/layer.tar"]}]).encode()
    with tarfile.open(options.out, "w") as archive:
        for name, content in [(config_name, config), (f"{digest}/layer.tar", data), ("manifest.json", manifest)]:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


if __name__ == "__main__":
    main()
