"""Where a study runs: what changes a result by rounding at most is no part of a cache key."""

from typing import Literal

from pydantic import BaseModel, Field


class Machine(BaseModel, frozen=True, extra="forbid"):
    """The machine's settings: they decide how fast a run is, not what it finds."""

    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="where the encoder runs; auto takes CUDA where there is any"
    )
    batch_size: int | None = Field(
        default=None, gt=0, description="images encoded at once; empty: found by itself"
    )
    workers: int | None = Field(
        default=None, ge=0, description="threads that decode images; empty: one per core"
    )
    threads: int | None = Field(
        default=None, gt=0, description="threads of torch and FAISS; empty: one per core"
    )
