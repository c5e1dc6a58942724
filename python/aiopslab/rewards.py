"""What an episode pays."""

from __future__ import annotations

from dataclasses import asdict, dataclass

__all__ = ["RewardConfig"]


@dataclass(frozen=True)
class RewardConfig:
    """Weights of the reward's terms, each at least 0; the grade's score, in [0, 1], is always paid at the end.

    ``reward="sparse"`` is ``RewardConfig()``, ``reward="shaped"`` is ``RewardConfig(progress=0.5)``.

    Attributes:
        progress: Weight of the potential, the share of the application's workloads that are ready. It counts from the start of
            the episode and is 0 at its end, so it changes no episode's sum (Ng, Harada, Russell, ICML 1999).
        step_cost: Cost of each step.
        invalid_cost: Cost of each step whose action was no valid call.
        minute_cost: Cost of each virtual minute.
        disruption_cost: Cost of each fall of the share of ready workloads, by how much it fell.

    Example:
        >>> import aiopslab
        >>> env = aiopslab.make("noop_detection_hotel_reservation-1", reward=RewardConfig(step_cost=0.01))
        >>> observation, info = env.reset(seed=0)
        >>> env.step('submit("No")')[1]
        0.99
    """

    progress: float = 0.0
    step_cost: float = 0.0
    invalid_cost: float = 0.0
    minute_cost: float = 0.0
    disruption_cost: float = 0.0

    def to_options(self) -> dict[str, float]:
        """As the core reads it."""
        return asdict(self)
