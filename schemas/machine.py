"""Where a study runs: what changes a result by rounding at most is no part of a cache key."""

from typing import Literal, Self

from pydantic import BaseModel, Field, model_validator


class Machine(BaseModel, frozen=True, extra="forbid"):
    """The machine's settings: they decide how fast a run is, not what it finds."""

    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="where the encoder runs; auto takes CUDA where there is any"
    )
    batch_size: int | None = Field(
        default=None,
        gt=0,
        description="images encoded at once, halved where memory runs out; empty: 32 on a CPU, "
        "256 on CUDA",
    )
    workers: int | None = Field(
        default=None, ge=0, description="threads that decode images; empty: as many as `threads`"
    )
    threads: int | None = Field(
        default=None,
        gt=0,
        description="threads that compute, in every stage; empty: OMP_NUM_THREADS where it is set, "
        "else one for each core that this process may use",
    )
    engine: Literal["local", "ray"] = Field(
        default="local",
        description="what encodes images and trains heads on draws: this process, or a Ray cluster",
    )
    ray_address: str | None = Field(
        default=None,
        description="a Ray cluster that this machine is part of, such as head:6379 or auto; "
        "empty: one is started on this machine and stopped afterwards",
    )

    @model_validator(mode="after")
    def _address_has_a_use(self) -> Self:
        if self.ray_address is not None and self.engine != "ray":
            raise ValueError("`ray_address` has a use only with `engine: ray`")
        return self
