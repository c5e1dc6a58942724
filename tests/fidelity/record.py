#!/usr/bin/env python3
"""Record what a real Kubernetes and its kubectl answer.

    record.py [SCENARIO ...]            play scenarios/*.toml, write recordings/<scenario>.json
    record.py --objects [SET ...]       freeze objects/*.toml's states, write objects/<set>.json and objects/<set>.expect.json
    record.py --all                     both

The cluster of tests/cluster is started when it is not up. README.md says what the files hold and how they are compared.
"""

import argparse
import json
import os
import pathlib
import re
import shlex
import shutil
import string
import subprocess
import sys
import tempfile
import time
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
CLUSTER = HERE.parent / "cluster" / "cluster.sh"
ROOT = pathlib.Path(os.environ.get("AIOPSLAB_CLUSTER_ROOT") or pathlib.Path.home() / ".cache/aiopslab/cluster")
NODES = 3
COMMAND_TIMEOUT_S = 180
SYSTEM_NAMESPACES = {"default", "kube-node-lease", "kube-public", "kube-system"}
FILE_SIZE_MAX = 900 * 1024
FREEZE_ATTEMPTS = 3
SAME_SECOND_ATTEMPTS = 5

# Lists left out of object sets: large, the same on every cluster, and read by no recorded command. (events.k8s.io shows the
# core events again.)
SKIPPED_RESOURCES = {
    "apiservices", "clusterrolebindings", "clusterroles", "flowschemas", "prioritylevelconfigurations", "componentstatuses",
    "ipaddresses", "podtemplates", "servicecidrs", "validatingadmissionpolicies", "validatingadmissionpolicybindings",
}


class RecordingError(Exception):
    """What went wrong, in one line."""


class Machine:
    """A clean place to type kubectl commands from: a directory with the app's manifests and a scenario's files."""

    def __init__(self, files: dict[str, str]):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="fidelity-"))
        self.variables: dict[str, str] = {}
        shutil.copytree(HERE / "app" / "manifests", self.directory / "app")
        for name, content in files.items():
            (self.directory / name).write_text(content)
        home = self.directory / ".home"
        home.mkdir()
        self.environment = {
            "HOME": str(home), "KUBECONFIG": str(ROOT / "run/admin.kubeconfig"), "LANG": "C.UTF-8",
            "PATH": f"{ROOT / 'bin'}:/usr/bin:/bin", "TZ": "UTC",
        }

    def close(self) -> None:
        shutil.rmtree(self.directory)

    def expand(self, text: str) -> str:
        return re.sub(r"\$\{([A-Z0-9_]+)\}", lambda m: self.variables[m[1]], text)

    def run(self, template: str, stdin: str | None = None) -> dict:
        """Run one command and tell everything about it."""
        command = self.expand(template)
        started = time.time_ns()
        done = subprocess.run(
            shlex.split(command), cwd=self.directory, env=self.environment, input=(stdin or "").encode(), capture_output=True,
            timeout=COMMAND_TIMEOUT_S, check=False,
        )
        entry = {"command": command}
        if template != command:
            entry["template"] = template
        if stdin is not None:
            entry["stdin"] = stdin
        entry |= {
            "stdout": done.stdout.decode(), "stderr": done.stderr.decode(), "exit_code": done.returncode,
            "now_before_ns": started, "now_after_ns": time.time_ns(),
        }
        for text in (entry["stdout"], entry["stderr"]):
            for secret in (str(self.directory), str(ROOT), str(pathlib.Path.home()) + "/"):
                if secret in text:
                    raise RecordingError(f"`{command}` shows a path of this machine: {secret}")
        return entry

    def output(self, template: str, stdin: str | None = None) -> str:
        """The standard output of a command that must succeed."""
        entry = self.run(template, stdin)
        if entry["exit_code"]:
            raise RecordingError(f"`{entry['command']}` failed: {entry['stderr'].strip()}")
        return entry["stdout"]

    def wait(self, condition: dict) -> None:
        """`{seconds}`, or `{until, matches, timeout_s}`: until the output of a command matches a regular expression."""
        if "seconds" in condition:
            time.sleep(condition["seconds"])
            return
        limit = condition.get("timeout_s", 60)
        end, entry = time.monotonic() + limit, {"stdout": ""}
        while time.monotonic() < end:
            entry = self.run(condition["until"])
            if re.search(condition["matches"], entry["stdout"] + entry["stderr"]):
                return
            time.sleep(0.3)
        raise RecordingError(f"after {limit} s `{condition['until']}` does not match {condition['matches']!r}: {entry['stdout']!r}")

    def step(self, step: dict) -> dict | None:
        """Take one step of a scenario; the entry to record, if there is one."""
        if "run" in step:
            return self.run(step["run"], step.get("stdin"))
        if "quiet" in step:
            self.output(step["quiet"], step.get("stdin"))
        elif "wait" in step:
            self.wait(step["wait"])
        elif "let" in step:
            for name, command in step["let"].items():
                self.variables[name] = self.output(command).strip()
        else:
            raise RecordingError(f"step without run, quiet, wait or let: {step}")
        return None

    def make_namespaces(self, names: list[str]) -> None:
        for name in names:
            self.output(f"kubectl create namespace {name}")
            self.wait({"until": f"kubectl -n {name} get serviceaccount/default configmap/kube-root-ca.crt -o name", "matches": "configmap"})

    def clean(self, data: dict) -> None:
        """Remove what a scenario made. Namespaces first: volumes and the like are held by what is in them."""
        if data.get("namespaces"):
            self.output(f"kubectl delete namespace --ignore-not-found {' '.join(data['namespaces'])}")
        for command in data.get("cleanup", []):
            self.run(command)   # may fail: there may be nothing to remove


def load(path: pathlib.Path) -> dict:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise RecordingError(f"no such file: {path.relative_to(HERE)}") from None
    except tomllib.TOMLDecodeError as error:
        raise RecordingError(f"{path.name}: {error}") from None


def write(path: pathlib.Path, text: str) -> None:
    if len(text.encode()) > FILE_SIZE_MAX:
        raise RecordingError(f"{path.name} would be {len(text.encode()) // 1024} KiB; the limit is {FILE_SIZE_MAX // 1024} KiB")
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def lines_of(entries: list[dict]) -> str:
    """JSON with one entry a line, so that a change of one command is a change of one line."""
    return "[\n" + ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries) + "\n]\n"


def record_scenario(name: str) -> int:
    """Play a scenario; the number of commands recorded."""
    data = load(HERE / "scenarios" / f"{name}.toml")
    machine = Machine(data.get("files", {}))
    entries = []
    try:
        machine.clean(data)
        machine.make_namespaces(data.get("namespaces", []))
        for number, step in enumerate(data["step"]):
            entry = machine.step(step)
            if entry:
                entries.append({"step": number} | entry)
        write(HERE / "recordings" / f"{name}.json", lines_of(entries))
    except RecordingError as error:
        raise RecordingError(f"{name}: {error}") from None
    finally:
        machine.clean(data)
        machine.close()
    return len(entries)


def listable(machine: Machine) -> list[tuple[str, str, bool]]:
    """(path of the group version, resource, namespaced) of everything that can be listed, preferred versions only."""
    versions = ["/api/v1"]
    for group in json.loads(machine.output("kubectl get --raw /apis"))["groups"]:
        versions.append(f"/apis/{group['preferredVersion']['groupVersion']}")
    found = []
    for version in versions:
        if version == "/apis/events.k8s.io/v1":
            continue
        for resource in json.loads(machine.output(f"kubectl get --raw {version}"))["resources"]:
            if "list" in resource["verbs"] and resource["name"] not in SKIPPED_RESOURCES:
                found.append((version, resource["name"], resource["namespaced"]))
    return found


def dump(machine: Machine, resources: list[tuple[str, str, bool]], namespaces: list[str], everywhere: list[str]) -> dict[str, dict]:
    """Every list of `namespaces` and of the cluster, by request path; `everywhere` names resources listed over all namespaces."""
    paths = []
    for version, resource, namespaced in resources:
        if not namespaced or resource in everywhere:
            paths.append(f"{version}/{resource}")
        elif resource != "leases":
            paths += [f"{version}/namespaces/{namespace}/{resource}" for namespace in namespaces]
    paths.append("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases")
    lists = {path: json.loads(machine.output(f"kubectl get --raw {path}")) for path in paths}
    for content in lists.values():
        content["metadata"].pop("resourceVersion", None)   # that of the store, not of the objects
    return lists


def commands_of(data: dict) -> list[str]:
    """The set's commands, with every `[[product]]` written out: each command once for each value of X."""
    commands = list(data.get("commands", []))
    for product in data.get("product", []):
        commands += [string.Template(command).safe_substitute(X=value) for value in product["values"] for command in product["commands"]]
    return commands


def run_within_a_second(machine: Machine, command: str) -> dict:
    """Ages are in whole seconds: repeat a command that ran across the edge of one."""
    for _ in range(SAME_SECOND_ATTEMPTS):
        entry = machine.run(command)
        if entry["now_before_ns"] // 10**9 == entry["now_after_ns"] // 10**9:
            break
    return entry


def record_objects(name: str) -> int:
    """Bring a state about, freeze the cluster, write all objects and what reading commands print of them."""
    data = load(HERE / "objects" / f"{name}.toml")
    machine = Machine(data.get("files", {}))
    try:
        machine.clean(data)
        machine.make_namespaces(data.get("namespaces", []))
        for step in data.get("step", []):
            machine.step(step)
        resources = listable(machine)
        namespaces = data.get("namespaces", []) + data.get("also", [])
        for _ in range(FREEZE_ATTEMPTS):
            subprocess.run([CLUSTER, "freeze"], check=True)
            try:
                time.sleep(1)
                before, moment = dump(machine, resources, namespaces, data.get("everywhere", [])), time.time_ns()
                entries = [run_within_a_second(machine, command) for command in commands_of(data)]
                if before == dump(machine, resources, namespaces, data.get("everywhere", [])):
                    break
            finally:
                subprocess.run([CLUSTER, "thaw"], check=True)
            time.sleep(5)
        else:
            raise RecordingError(f"objects changed in each of {FREEZE_ATTEMPTS} attempts")
        lists = ",\n".join(f"{json.dumps(path)}: {json.dumps(content, ensure_ascii=False)}" for path, content in before.items() if content["items"])
        empty = [path for path, content in before.items() if not content["items"]]
        write(HERE / "objects" / f"{name}.json",
              f'{{"recorded_unix_ns": {moment},\n"empty": {json.dumps(empty)},\n"lists": {{\n{lists}\n}}}}\n')
        write(HERE / "objects" / f"{name}.expect.json", lines_of(entries))
    except RecordingError as error:
        raise RecordingError(f"{name}: {error}") from None
    finally:
        machine.clean(data)
        machine.close()
    return len(entries)


def refuse_strangers() -> None:
    """What somebody else runs on the cluster would show up in recordings."""
    machine = Machine({})
    names = set(machine.output("kubectl get namespaces -o jsonpath='{.items[*].metadata.name}'").split()) - SYSTEM_NAMESPACES
    machine.close()
    if names:
        raise RecordingError(f"the cluster holds other namespaces, which recordings would show: {' '.join(sorted(names))} (see --shared)")


def prepare_cluster() -> None:
    if subprocess.run([CLUSTER, "up", str(NODES)], stdout=subprocess.DEVNULL, check=False).returncode:
        raise RecordingError("the cluster did not start")
    with tempfile.TemporaryDirectory() as directory:
        built = subprocess.run([HERE / "app/build_images.sh", directory], capture_output=True, text=True, check=False)
        if built.returncode:
            raise RecordingError(built.stderr.strip())
        subprocess.run([CLUSTER, "load", *built.stdout.split()], check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--objects", action="store_true", help="record object sets instead of scenarios")
    parser.add_argument("--shared", action="store_true", help="record although the cluster holds other namespaces")
    parser.add_argument("--all", action="store_true", help="record every scenario and every object set")
    options = parser.parse_args()
    jobs = []
    for wanted, directory, record in [(not options.objects, "scenarios", record_scenario), (options.objects, "objects", record_objects)]:
        if wanted or options.all:
            names = options.names or sorted(path.stem for path in (HERE / directory).glob("*.toml"))
            jobs += [(name, record) for name in names]
    failed = 0
    try:
        prepare_cluster()
        if not options.shared:
            refuse_strangers()
    except RecordingError as error:
        print(f"record.py: {error}", file=sys.stderr)
        return 1
    for name, record in jobs:
        started = time.monotonic()
        try:
            print(f"{name}: {record(name)} commands in {time.monotonic() - started:.0f} s", flush=True)
        except (RecordingError, subprocess.SubprocessError) as error:
            failed += 1
            print(f"record.py: {error}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
