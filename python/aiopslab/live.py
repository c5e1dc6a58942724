"""Which live cluster an environment runs on, and what may be done to it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from aiopslab.errors import InvalidConfig

__all__ = ["LiveCluster"]


@dataclass(frozen=True)
class LiveCluster:
    """A cluster that a kubeconfig reaches, as ``make(..., cluster=LiveCluster(...))``; ``cluster="live"`` is one with these defaults.

    An environment makes two namespaces, the application's and ``<application's>-operations``, with the label
    ``aiopslab.dev/environment``, and touches nothing without that label. It holds a lease while it is open; a second environment of the
    same application gets a suffix of its own.

    Attributes:
        kubeconfig: Path of a kubeconfig; ``None`` looks where kubectl does.
        context: Context of the kubeconfig; ``None`` for its current one.
        suffix: Ends the names of namespaces and cluster-scoped objects, at most 20 lower-case letters and digits; ``None`` takes the first
            that nobody holds: none, ``2``, ``3`` ...
        on_close: ``"keep"`` puts the application back as it was and leaves it for the next environment; ``"delete"`` deletes all of it.
        cpu_scale: Factor on the containers' CPU requests, above 0, at most 1.
        image: Image of the pod that makes load, probes and the agent's ``curl``; ``None`` for this version's.
        request_timeout_s: Longest wait for one request to the API server, in seconds, 1 to 300.
        ready_timeout_s: Longest wait for the application to become ready, in seconds, 10 to 3600.
        grade_patience_s: Upper bound on the wait for a repaired application to converge, in seconds, 1 to 330.
        any_version: Take a Kubernetes that this library was never tried on.
        shell: Where the agent's shell runs; ``"builtin"``, in this process over files of its own, is the only kind.
    """

    kubeconfig: str | Path | None = None
    context: str | None = None
    suffix: str | None = None
    on_close: Literal["keep", "delete"] = "keep"
    cpu_scale: float = 1.0
    image: str | None = None
    request_timeout_s: float = 30.0
    ready_timeout_s: float = 300.0
    grade_patience_s: int = 330
    any_version: bool = False
    shell: Literal["builtin"] = "builtin"

    def to_options(self) -> dict[str, Any]:
        """As the core reads it: without what is left to its defaults."""
        if self.shell != "builtin":
            raise InvalidConfig(f"shell={self.shell!r} would give the agent this machine and is not built; built is: 'builtin'")
        options = {name: value for name, value in asdict(self).items() if value is not None}
        if self.kubeconfig is not None:
            options["kubeconfig"] = str(self.kubeconfig)
        return options

    @classmethod
    def parse(cls, cluster: object) -> LiveCluster | None:
        """The live cluster that an argument ``cluster=`` names; ``None`` for the simulated one.

        Raises:
            InvalidConfig: It names neither.
        """
        if cluster == "sim":
            return None
        if cluster == "live":
            return cls()
        if isinstance(cluster, cls):
            return cluster
        known = ", ".join(field.name for field in fields(cls))
        raise InvalidConfig(f"cluster={cluster!r} is not built; built are: 'sim', 'live', or a LiveCluster({known})")
