"""The test split as a budget: who looked at it before, and answers that survive many looks.

Each look at test labels lets the next choice be fitted to them. The ledger says how often they were
looked at. Thresholdout goes further: while validation and test agree it answers with the validation
value and tells nothing about the test; where they part it answers with the test value plus noise,
and spends one unit of its budget (Dwork et al., The reusable holdout, Science 2015; the algorithm
is Figure 1 of Generalization in adaptive data analysis and holdout reuse, NeurIPS 2015).
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class HoldoutAnswer:
    """What may be told of one value."""

    value: float | None
    """None where the budget is spent."""
    source: Literal["validation", "test", "refused"]
    remaining: int
    """How often validation and test may still be found apart."""


@dataclass(frozen=True)
class Thresholdout:
    """A reusable holdout for values in 0 .. 1, such as accuracy.

    It holds no values and no generator: `asked` and `spent` are all that must be kept between
    questions. Equal states give equal answers. Noise protects only while nobody subtracts it: the
    seed belongs with the test labels and not into a report.
    """

    threshold: float
    """How far validation and test may lie apart before the test is consulted."""
    noise: float
    """Scale sigma of the noise: more of it protects better and answers worse."""
    budget: int
    seed: int
    asked: int = 0
    spent: int = 0

    def __post_init__(self) -> None:
        if self.threshold <= 0 or self.noise <= 0 or self.budget < 1:
            raise ValueError(
                f"a holdout with threshold {self.threshold:g}, noise {self.noise:g} and budget "
                f"{self.budget} protects nothing: all three must be above 0. Change them."
            )

    @property
    def remaining(self) -> int:
        """How often validation and test may still be found apart."""
        return self.budget - self.spent

    def answer(self, validation: float, test: float) -> tuple[HoldoutAnswer, "Thresholdout"]:
        """Answer one question and return the state for the next.

        With Lap(b) Laplace noise of scale b and gamma ~ Lap(2 sigma), drawn anew whenever the
        budget is charged, and eta ~ Lap(4 sigma), xi ~ Lap(sigma), drawn for each question:

            |test - validation| > threshold + gamma + eta:  test + xi, at the cost of one unit,
                                                            cut to 0 .. 1
            otherwise:                                      validation, free

        Raises:
            ValueError: a value is outside 0 .. 1.
        """
        if not (0 <= validation <= 1 and 0 <= test <= 1):
            raise ValueError(
                f"the holdout answers values in 0 .. 1, not {validation:g} and {test:g}; usually a "
                "log loss was asked for. Ask for accuracy or AUROC."
            )
        if self.remaining < 1:
            return HoldoutAnswer(None, "refused", 0), self
        gamma = np.random.default_rng([self.seed, 0, self.spent]).laplace(scale=2 * self.noise)
        eta, xi = np.random.default_rng([self.seed, 1, self.asked]).laplace(
            scale=[4 * self.noise, self.noise]
        )
        if abs(test - validation) > self.threshold + gamma + eta:
            after = replace(self, asked=self.asked + 1, spent=self.spent + 1)
            return HoldoutAnswer(float(np.clip(test + xi, 0, 1)), "test", after.remaining), after
        after = replace(self, asked=self.asked + 1)
        return HoldoutAnswer(validation, "validation", after.remaining), after
