"""Settings of other datasets, on which heads are measured as they are."""

from typing import Self

from pydantic import BaseModel, Field, model_validator

from curette.schemas.settings.evaluate import Answer
from curette.schemas.settings.ingest import DatasetSpec, SplitSpec


class ExternalSpec(BaseModel, frozen=True, extra="forbid"):
    """A dataset that nothing is trained on or chosen by: all of its images are test images."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]{0,31}$",
        description="lower-case letters, digits and dashes; it names the dataset's stages and "
        "numbers",
    )
    dataset: DatasetSpec = Field(
        description="its images; `labels` says which of its labels is which class of the study"
    )
    pretraining_covers: Answer = Field(
        default="unknown", description="whether the encoder was pretrained on these images"
    )

    @model_validator(mode="after")
    def _is_all_test(self) -> Self:
        if self.dataset.split_column or self.dataset.splits != SplitSpec(
            seed=self.dataset.splits.seed
        ):
            raise ValueError(
                "all images of an external dataset are test images; leave `split_column` and the "
                "shares of `splits` out"
            )
        if self.dataset.classes:
            raise ValueError(
                "the classes are those of the study; leave `classes` out, and say under `labels` "
                "which of its labels is which of them"
            )
        return self
