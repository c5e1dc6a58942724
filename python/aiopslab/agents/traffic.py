"""Reading the files of ``get_traces`` and ``get_metrics``: where requests get stuck."""

from __future__ import annotations

import csv
import itertools
from collections import Counter
from collections.abc import Iterable

__all__ = ["SLOW_US", "deepest_call", "most_silent", "server_of"]

#: Microseconds from which on a span is slow. Healthy ones take a few thousand.
SLOW_US = 1_000_000

#: Slow calls that are needed to speak of one.
_AT_LEAST = 2


def _rows(text: str, width: int) -> Iterable[list[str]]:
    return (row for row in csv.reader(text.splitlines()) if len(row) == width)


def deepest_call(slow: str) -> str | None:
    r"""The call in which most slow requests wait: the one without a slow span within it.

    Args:
        slow: Lines of a traces file, those of slow spans.

    Example:
        >>> lines = ["t,1,ROOT,frontend,HTTP POST /user,0,9000000,False,200", "t,2,1,frontend,/user.User/CheckUser,0,8999999,False,Unknown"]
        >>> deepest_call("\n".join(lines + lines))
        '/user.User/CheckUser'
        >>> deepest_call("") is None
        True
    """
    spans = list(_rows(slow, 9))
    parents = {span[2] for span in spans}
    ends = Counter(span[4] for span in spans if span[1] not in parents and span[4].startswith("/"))
    if not ends:
        return None
    call, count = ends.most_common(1)[0]
    return call if count >= _AT_LEAST else None


def server_of(spans: str, call: str) -> str | None:
    r"""The service that answers a call: spans of the same call within those of its callers are the server's.

    Example:
        >>> spans = "t,2,1,frontend,/user.User/CheckUser,0,9,False,-\nt,3,2,user,/user.User/CheckUser,4,1,False,-"
        >>> server_of(spans, "/user.User/CheckUser")
        'user'
    """
    found = [span for span in _rows(spans, 9) if span[4] == call]
    callers = {span[1] for span in found}
    servers = Counter(span[3] for span in found if span[2] in callers)
    return servers.most_common(1)[0][0] if servers else None


def most_silent(counts: str) -> tuple[str, float]:
    r"""The pod whose requests stopped most conspicuously, and how many it would have had since at its earlier rate.

    Args:
        counts: A metrics file of ``requests_total``.

    Example:
        >>> rows = [f"{15 * at},10.0.0.1:80.geo-1-x,requests_total.Nearby.OK,{min(at, 4) * 15}" for at in range(7)]
        >>> most_silent("\n".join(rows))
        ('geo-1-x', 30.0)
        >>> most_silent("")
        ('', 0.0)
    """
    totals: dict[str, dict[int, float]] = {}
    for stamp, owner, _, value in _rows(counts, 4):
        if stamp.isdigit():
            pod = owner.split(":", 1)[-1].split(".", 1)[-1]
            samples = totals.setdefault(pod, {})
            samples[int(stamp)] = samples.get(int(stamp), 0.0) + float(value)
    best = ("", 0.0)
    for pod, samples in sorted(totals.items()):
        times = sorted(samples)
        last = max((now for before, now in itertools.pairwise(times) if samples[now] > samples[before]), default=times[0])
        if last > times[0]:
            rate = (samples[last] - samples[times[0]]) / (last - times[0])
            best = max(best, (pod, rate * (times[-1] - last)), key=lambda pair: pair[1])
    return best
