"""How many requests are under way at a time: as many as a server bears without a time-out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

SLOW: Final = 0.5
"""An answer that takes this share of the time-out says that there are too many."""
QUICK: Final = 0.25
"""One that takes less says that there may be more."""


@dataclass
class Pace:
    """The places for requests, fewer after slow answers and more after quick ones.

    A server that answers one request after the other makes each wait for all before it: of eight
    that are sent together the last would time out. After the first answer, for which nothing else
    waited, no more are sent than could wait for each other; additive increase and multiplicative
    decrease do the rest (Chiu and Jain, Computer Networks 17, 1989).
    """

    most: int
    timeout_s: float
    at_a_time: float
    under_way: int = 0
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[int]:
        """Wait for a place, and yield how many are taken with it."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.under_way < max(1, int(self.at_a_time)))
            self.under_way += 1
            taken = self.under_way
        try:
            yield taken
        finally:
            async with self._changed:
                self.under_way -= 1
                self._changed.notify_all()

    def begin(self, seconds: float) -> None:
        """Decide by the first answer, for which nothing else waited."""
        bearable = SLOW * self.timeout_s / max(seconds, 1e-3)
        self.at_a_time = max(1.0, min(self.most, float(int(bearable))))

    def heed(self, seconds: float) -> None:
        """Adapt to an answer that took so long."""
        if seconds > SLOW * self.timeout_s:
            self.at_a_time = max(1.0, self.at_a_time - 1 / self.at_a_time)
        elif seconds < QUICK * self.timeout_s:
            self.at_a_time = min(float(self.most), self.at_a_time + 1 / self.at_a_time)

    def timed_out(self) -> None:
        """Adapt to an answer that did not come in time."""
        self.at_a_time = max(1.0, min(self.at_a_time, self.under_way) / 2)
