"""The runbook: an honest, rule-based troubleshooter.

It sees only what any agent sees and knows no problem by name. Like an operator with a checklist it looks at workloads, pods,
events, Services and their endpoints, at what was rolled out lately, and, when all of that looks well, at where requests get stuck;
forms a finding about one workload; repairs it by the rule for that kind of finding; checks the result; and submits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any

import gymnasium

from aiopslab.agents import traffic
from aiopslab.agents.prompt import namespace_of
from aiopslab.agents.tables import parse_table

__all__ = ["Finding", "RunbookAgent"]

#: Pod states that are trouble by themselves. A pod that has no place explains the crashes of those that need it, so it comes first.
_BAD_STATES = (
    "Pending",
    "CrashLoopBackOff",
    "Error",
    "OOMKilled",
    "RunContainerError",
    "CreateContainerConfigError",
    "CreateContainerError",
    "ImagePullBackOff",
    "ErrImagePull",
    "InvalidImageName",
    "ContainerStatusUnknown",
)
_IMAGE_STATES = ("ImagePullBackOff", "ErrImagePull", "InvalidImageName")

Plan = Generator[str, str, None]


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with a workload.

    Attributes:
        workload: Name of the Deployment or Service.
        kind: ``scaled-to-zero``, ``crash``, ``denied``, ``unknown-user``, ``image``, ``unscheduled``, ``unbound``, ``no-endpoints``,
            ``unready``, ``port``, ``tls``, ``command``, ``changed``, ``late`` or ``silent``.
        evidence: What was seen.
        replicas: Replicas it had before, where that is known.
        volumes: Volumes that are bound to claims which are gone.
        patch: A JSON patch that puts it right.
        clients: Deployments that wait for it.
    """

    workload: str
    kind: str
    evidence: str
    replicas: int = 1
    volumes: tuple[str, ...] = ()
    patch: str = ""
    clients: tuple[str, ...] = ()


class RunbookAgent:
    """Follows a troubleshooting checklist.

    Args:
        env: Environment to play; nothing is read from it but observations.
    """

    def __init__(self, env: gymnasium.Env[Any, Any] | None = None) -> None:
        self._plan: Plan | None = None
        self._begun = False

    def reset(self, observation: str, info: dict[str, Any]) -> None:
        """Begins an episode."""
        self._plan = _work(namespace_of(observation), info["task"])
        self._begun = False

    def act(self, observation: str, info: dict[str, Any]) -> str:
        """The next action after an observation."""
        if self._plan is None:
            raise RuntimeError("the agent has no episode; call reset first")
        if not self._begun:
            self._begun = True
            return next(self._plan)
        return self._plan.send(observation)

    def __repr__(self) -> str:
        return "RunbookAgent()"


def _shell(command: str) -> str:
    escaped = command.replace("\\", "\\\\").replace('"', '\\"')
    return f'exec_shell("{escaped}")'


def _work(namespace: str, task: str) -> Plan:
    """The whole checklist: look, and then answer or repair."""
    finding = yield from _diagnose(namespace)
    if task == "mitigation":
        for _ in range(3):
            if finding is None:
                break
            yield from _repair(namespace, finding)
            yield from _verify(namespace, finding)
            if finding.kind == "unbound":
                # What crashed for want of it comes back by itself when its back-off is over.
                break
            finding = yield from _diagnose(namespace, again=True)
    yield _answer(task, finding)
    while True:  # the environment refused the answer's form
        yield _answer(task, finding)


def _diagnose(namespace: str, *, again: bool = False) -> Generator[str, str, Finding | None]:
    """Looks from the obvious to the hidden, and stops at the first finding."""
    deployments = yield _shell(f"kubectl get deployments -n {namespace}")
    pods = yield _shell(f"kubectl get pods -n {namespace}")
    events = yield _shell(f"kubectl get events -n {namespace} --sort-by=.lastTimestamp")
    finding = _idle_workload(deployments, events) or _bad_pod(pods, deployments, events)
    if finding is not None:
        return (yield from _confirm(namespace, finding))
    endpoints = yield _shell(f"kubectl get endpoints -n {namespace}")
    finding = _no_endpoints(endpoints)
    if finding is not None:
        return finding
    commands = yield _shell(f"kubectl get deployments -n {namespace} -o custom-columns={_COMMANDS}")
    services = yield _shell(f"kubectl get services -n {namespace} -o custom-columns={_TARGETS}")
    finding = _strange_command(commands) or _wrong_port(services, commands)
    if finding is not None or again:
        return finding
    errors = yield _shell(_LAST_ERRORS.format(namespace=namespace))
    finding = _closed_store(errors)
    if finding is not None:
        return finding
    replicasets = yield _shell(f"kubectl get replicasets -n {namespace} --sort-by=.metadata.creationTimestamp")
    finding = _recent_change(replicasets, deployments)
    return finding or (yield from _stuck_requests(namespace, deployments))


#: Requests that a silent service would have had by now before it is looked at again, and before it is held to be cut off.
_SUSPICIOUS, _CERTAIN = 2.5, 8.0


def _stuck_requests(namespace: str, deployments: str) -> Generator[str, str, Finding | None]:
    """A service whose answers come late, or whose requests do not reach it any more."""
    exported = yield f'get_traces("{namespace}", 5)'
    path = exported.rsplit(" ", 1)[-1].strip()
    slow = yield _shell(f"awk -F, '$7 > {traffic.SLOW_US}' {path}")
    if (call := traffic.deepest_call(slow)) is not None:
        same = yield _shell(f"grep -F ',{call},' {path} | tail -20")
        service = traffic.server_of(same, call)
        if service is not None:
            return Finding(service, "late", f"calls of {call} take more than a second, and {service} is not what takes it")
    owners = [row["NAME"] for row in parse_table(deployments)]
    for _ in range(5):
        exported = yield f'get_metrics("{namespace}", 8)'
        folder = exported.split("directory: ", 1)[-1].split("\n", 1)[0].strip()
        counts = yield _shell(f"cat {folder}/application/kpi_requests_total.csv")
        pod, missed = traffic.most_silent(counts)
        if missed < _SUSPICIOUS:
            return None
        if missed >= _CERTAIN:
            return Finding(_owner(pod, owners), "silent", f"pod {pod} has had no request, and would have had {missed:.0f}")
        yield _shell("sleep 25")
    return None


def _idle_workload(deployments: str, events: str) -> Finding | None:
    """A Deployment that asks for no pods."""
    for row in parse_table(deployments):
        if row.get("READY", "").endswith("/0"):
            name = row["NAME"]
            before = [int(n) for n in re.findall(rf"Scaled down replica set {re.escape(name)}-\w+ from (\d+) to 0", events)]
            return Finding(name, "scaled-to-zero", f"deployment {name} wants 0 replicas", max(before, default=1))
    return None


def _bad_pod(pods: str, deployments: str, events: str) -> Finding | None:
    """The pod in the worst state, or the one that restarted most recently."""
    rows = [row for row in parse_table(pods) if row.get("NAME")]
    owners = [row["NAME"] for row in parse_table(deployments)]
    for state in _BAD_STATES:
        for row in rows:
            if state in row["STATUS"].split(":") or row["STATUS"] == state:
                return Finding(_owner(row["NAME"], owners), _kind_of(state), f"pod {row['NAME']} is {row['STATUS']}")
    restarted = [(age, row) for row in rows if (age := _seconds_since_restart(row["RESTARTS"])) is not None and age < 600]
    if restarted:
        _, row = min(restarted, key=lambda pair: pair[0])
        return Finding(_owner(row["NAME"], owners), "crash", f"pod {row['NAME']} restarted {row['RESTARTS']}")
    for row in rows:
        ready, _, wanted = row["READY"].partition("/")
        if ready != wanted and row["STATUS"] == "Running":
            return Finding(_owner(row["NAME"], owners), "unready", f"pod {row['NAME']} is {row['READY']} ready")
    return None


def _kind_of(state: str) -> str:
    if state in _IMAGE_STATES:
        return "image"
    return "unscheduled" if state == "Pending" else "crash"


def _seconds_since_restart(restarts: str) -> float | None:
    found = re.search(r"\((.+) ago\)", restarts)
    if found is None:
        return None
    units = {"d": 86400, "h": 3600, "m": 60, "s": 1}
    return float(sum(int(count) * units[unit] for count, unit in re.findall(r"(\d+)([dhms])", found.group(1))))


def _owner(pod: str, owners: list[str]) -> str:
    """The Deployment whose pod this is: the longest name that the pod's begins with."""
    fitting = [name for name in owners if re.fullmatch(rf"{re.escape(name)}-[a-z0-9]+-[a-z0-9]+", pod)]
    return max(fitting, key=len, default=pod.rsplit("-", 2)[0])


def _no_endpoints(endpoints: str) -> Finding | None:
    for row in parse_table(endpoints):
        if row.get("ENDPOINTS") == "<none>":
            return Finding(row["NAME"], "no-endpoints", f"service {row['NAME']} has no endpoints")
    return None


def _recent_change(replicasets: str, deployments: str) -> Finding | None:
    """A Deployment with more than one ReplicaSet: something was rolled out after the first deploy."""
    owners = [row["NAME"] for row in parse_table(deployments)]
    names = [row["NAME"].rsplit("-", 1)[0] for row in parse_table(replicasets)]
    changed = [name for name in owners if names.count(name) > 1]
    return Finding(changed[-1], "changed", f"deployment {changed[-1]} was changed since it was deployed") if changed else None


#: The columns of a table of Deployments and what they run.
_CONTAINERS = ".spec.template.spec.containers"
_COMMANDS = f"NAME:.metadata.name,COMMAND:{_CONTAINERS}[0].command[0],PORTS:{_CONTAINERS}[*].ports[*].containerPort"
#: The columns of a table of Services and the ports of pods that they send to.
_TARGETS = "NAME:.metadata.name,PORTS:.spec.ports[*].port,TARGETS:.spec.ports[*].targetPort"
#: The last two errors in the log of every Deployment's pods, a line each.
_LAST_ERRORS = (
    "for each in $(kubectl get deployments -n {namespace} -o name); do "
    "echo $each $(kubectl logs -n {namespace} $each --tail=20 | grep -i error | tail -2); done"
)


def _wrong_port(services: str, deployments: str) -> Finding | None:
    """A Service that sends to a port which its pods do not name, though they name another one."""
    named = {row["NAME"]: row.get("PORTS", "").split(",") for row in parse_table(deployments)}
    for row in parse_table(services):
        ports = named.get(row["NAME"], [])
        for place, (port, target) in enumerate(zip(row.get("PORTS", "").split(","), row.get("TARGETS", "").split(","), strict=False)):
            if ports and target.isdigit() and all(one.isdigit() for one in ports) and target not in ports:
                right = port if port in ports else ports[0]
                patch = json.dumps([{"op": "replace", "path": f"/spec/ports/{place}/targetPort", "value": int(right)}])
                return Finding(
                    row["NAME"], "port", f"service {row['NAME']} sends to port {target}, pods have {', '.join(ports)}", patch=patch
                )
    return None


def _closed_store(errors: str) -> Finding | None:
    """A database that hangs up on its clients."""
    found = re.search(r"deployment.apps/(\S+) .*connection closed calling ismaster on '([^':]+):", errors)
    if found is None:
        return None
    client, store = found.groups()
    return Finding(store, "tls", f"{store} hangs up on {client}", clients=(client,))


def _strange_command(commands: str) -> Finding | None:
    """A Deployment that runs the program which another one is named after."""
    rows = {row["NAME"]: row["COMMAND"] for row in parse_table(commands)}
    for name, command in rows.items():
        program = command.rsplit("/", 1)[-1]
        if program != name and rows.get(program) == command:
            return Finding(name, "command", f"deployment {name} runs {program}, as deployment {program} does")
    return None


def _confirm(namespace: str, finding: Finding) -> Generator[str, str, Finding]:
    """Reads what the suspect itself says, which may tell more of its trouble."""
    if finding.kind == "unscheduled":
        claims = yield _shell(f"kubectl get persistentvolumeclaims -n {namespace}")
        if any(row["STATUS"] == "Pending" for row in parse_table(claims)):
            volumes = yield _shell("kubectl get persistentvolumes")
            released = [row["NAME"] for row in parse_table(volumes) if row["STATUS"] == "Released" and namespace in row["CLAIM"]]
            return replace(finding, kind="unbound", volumes=tuple(released))
    if finding.kind == "crash":
        log = yield _shell(f"kubectl logs deployment/{finding.workload} -n {namespace} --tail=25")
        if "not authorized on" in log:
            return replace(finding, kind="denied")
        if "Authentication failed" in log:
            return replace(finding, kind="unknown-user")
    if finding.kind in ("crash", "image", "unscheduled", "unready"):
        yield _shell(f"kubectl describe deployment {finding.workload} -n {namespace}")
        yield _shell(f"kubectl rollout history deployment/{finding.workload} -n {namespace}")
    return finding


def _repair(namespace: str, finding: Finding) -> Plan:
    """The rule for the finding's kind."""
    yield from _RULES.get(finding.kind, _roll_back)(namespace, finding)


def _scale_up(namespace: str, finding: Finding) -> Plan:
    yield _shell(f"kubectl scale deployment/{finding.workload} -n {namespace} --replicas={finding.replicas}")


def _free_volumes(namespace: str, finding: Finding) -> Plan:
    del namespace
    for volume in finding.volumes:
        yield _shell(f"kubectl patch persistentvolume {volume} -p '{_FREE}'")


def _own_command(namespace: str, finding: Finding) -> Plan:
    yield _shell(f"kubectl patch deployment/{finding.workload} -n {namespace} --type=json -p '{_command_patch(finding.workload)}'")


def _right_port(namespace: str, finding: Finding) -> Plan:
    yield _shell(f"kubectl patch service {finding.workload} -n {namespace} --type=json -p '{finding.patch}'")


def _open_store(namespace: str, finding: Finding) -> Plan:
    config = f"configmap {finding.workload} -n {namespace}"
    yield _shell(f"kubectl get {config} -o yaml | sed 's/requireTLS/disabled/' | kubectl apply -f -")
    for name in (finding.workload, *finding.clients):
        yield _shell(f"kubectl rollout restart deployment/{name} -n {namespace}")
        yield _shell(f"kubectl rollout status deployment/{name} -n {namespace} --timeout=30s")


def _new_network(namespace: str, finding: Finding) -> Plan:
    # What slows a pod's network down or cuts it off goes with the pod.
    yield _shell(f"kubectl rollout restart deployment/{finding.workload} -n {namespace}")


def _find_a_node(namespace: str, finding: Finding) -> Plan:
    target = f"deployment/{finding.workload} -n {namespace}"
    selector = yield _shell(f"kubectl get {target} -o jsonpath={{.spec.template.spec.nodeSelector}}")
    if selector.startswith("{"):
        yield _shell(f"kubectl patch {target} --type=json -p '{_ANYWHERE}'")
    else:
        yield from _roll_back(namespace, finding)


def _roll_back(namespace: str, finding: Finding) -> Plan:
    target = f"deployment/{finding.workload} -n {namespace}"
    undone = yield _shell(f"kubectl rollout undo {target}")
    if "rolled back" not in undone and "skipped rollback" not in undone:
        yield _shell(f"kubectl rollout restart {target}")


#: Pods that fit on any node.
_ANYWHERE = '[{"op":"remove","path":"/spec/template/spec/nodeSelector"}]'
#: A volume that is nobody's.
_FREE = '{"spec":{"claimRef":null}}'


def _command_patch(program: str) -> str:
    return json.dumps([{"op": "replace", "path": "/spec/template/spec/containers/0/command", "value": [program]}])


def _let_in(namespace: str, finding: Finding) -> Plan:
    """Gives a service's user of its database back what the script that once set the database up gave it."""
    script = yield _shell(f"kubectl get configmap mongo-{finding.workload}-script -n {namespace} -o yaml")
    set_up = dict(re.findall(r'(\w+)="([^"]*)"', script))
    names = ("ADMIN_USER", "ADMIN_PWD", "ROOT_USER", "ROOT_PWD", "TARGET_DB", "READ_WRITE_ROLE")
    if all(set_up.get(name) for name in names):
        admin, password, root, root_password, database, role = (set_up[name] for name in names)
        mongo = f"mongo admin -u {root} -p {root_password} --authenticationDatabase admin --quiet --eval"
        store = f"deployment/mongodb-{finding.workload}"
        create = f"db.createUser({{user: '{admin}', pwd: '{password}', roles: [{{role: 'userAdminAnyDatabase', db: 'admin'}}]}})"
        grant = f"db.grantRolesToUser('{admin}', [{{role: '{role}', db: '{database}'}}])"
        for script in ([create] if finding.kind == "unknown-user" else []) + [grant]:
            yield _shell(f'kubectl exec {store} -n {namespace} -- {mongo} "{script}"')
    yield _shell(f"kubectl rollout restart deployment/{finding.workload} -n {namespace}")


#: How each kind of finding is repaired; what is not here is rolled back.
_RULES: dict[str, Callable[[str, Finding], Plan]] = {
    "scaled-to-zero": _scale_up,
    "unbound": _free_volumes,
    "command": _own_command,
    "denied": _let_in,
    "unknown-user": _let_in,
    "late": _new_network,
    "silent": _new_network,
    "port": _right_port,
    "tls": _open_store,
    "unscheduled": _find_a_node,
}


def _verify(namespace: str, finding: Finding) -> Plan:
    """Waits for the rollout, and then long enough for a crash to show."""
    yield _shell(f"kubectl rollout status deployment/{finding.workload} -n {namespace} --timeout=25s")
    yield _shell("sleep 20")


def _answer(task: str, finding: Finding | None) -> str:
    if task == "detection":
        return f'submit("{"No" if finding is None else "Yes"}")'
    if task == "localization":
        return "submit([])" if finding is None else f'submit(["{finding.workload}"])'
    if task == "analysis":
        if finding is None:
            return "submit(None)"
        level, kind = _LABELS[finding.kind]
        return f'submit({{"system_level": "{level}", "fault_type": "{kind}"}})'
    return "submit()"


#: AIOpsLab's labels of what the checklist can tell apart.
_LABELS = {
    "scaled-to-zero": ("Virtualization", "Operation Error"),
    "crash": ("Application", "Misconfiguration"),
    "image": ("Virtualization", "Misconfiguration"),
    "unscheduled": ("Virtualization", "Dependency Problem"),
    "unbound": ("Virtualization", "Operation Error"),
    "denied": ("Application", "Authentication Issue"),
    "unknown-user": ("Application", "Authentication Issue"),
    "command": ("Application", "Misconfiguration"),
    "port": ("Virtualization", "Misconfiguration"),
    "tls": ("Application", "Misconfiguration"),
    "no-endpoints": ("Virtualization", "Misconfiguration"),
    "unready": ("Application", "Misconfiguration"),
    "changed": ("Application", "Misconfiguration"),
    "late": ("Virtualization", "Network/Storage Issue"),
    "silent": ("Virtualization", "Network/Storage Issue"),
}
