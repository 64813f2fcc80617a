"""What was withdrawn: which images are left out from now on, without saying whose they were."""

from pydantic import BaseModel, Field


class Withdrawn(BaseModel, frozen=True):
    """What one study leaves out when it takes images in, and the splits that all others keep.

    It decides what is taken in, so it is part of the stage's key; but no recipe has it, since what
    is made is what would be made of data that never had these images.
    """

    images: tuple[str, ...] = Field(
        default=(), description="pseudonyms of images by their bytes; left out of every dataset"
    )
    subjects: tuple[str, ...] = Field(
        default=(), description="pseudonyms of patients, each of one source"
    )
    classes: tuple[str, ...] = Field(default=(), description="class keys of this study")
    splits: str = Field(default="", description="digest of the splits that images keep")


class WithdrawalList(BaseModel, frozen=True):
    """All that was withdrawn from a store.

    Pseudonyms are made with the store's key: who has the store can tell whether an image that lies
    before them was withdrawn, and nobody can read from the list which ones were.
    """

    images: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    classes: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="study -> class keys"
    )
    splits: dict[str, str] = Field(
        default_factory=dict, description="study -> digest of the splits that its images keep"
    )
    counts: dict[str, int] = Field(
        default_factory=dict, description="study -> how many of its images were withdrawn"
    )

    def of(self, study: str) -> Withdrawn | None:
        """Return what concerns a study; None where nothing was ever withdrawn."""
        if not (self.images or self.subjects or self.classes):
            return None
        return Withdrawn(
            images=self.images,
            subjects=self.subjects,
            classes=self.classes.get(study, ()),
            splits=self.splits.get(study, ""),
        )
