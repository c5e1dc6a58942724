"""AIOpsLab's own API: an orchestrator that asks an agent for actions and plays them, on the environments of this library.

Code written against AIOpsLab's ``Orchestrator`` runs unchanged. ``strict=True`` takes over its grammar, its answer keys and its way of
counting, quirks included; without it the quirks that make right agents lose are mended. What neither does is to run the agent's text
on this machine, to lose results to an exception, or to need a cluster in order to be imported.
"""

from aiopslab.orchestrator.orchestrator import Orchestrator

__all__ = ["Orchestrator"]
