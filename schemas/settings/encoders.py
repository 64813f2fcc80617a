"""Settings of further encoders, which look at the study's images beside its own."""

from pydantic import BaseModel, Field

from curette.schemas.settings.encoder import EncoderSpec, PrecomputedEncoder

MOST = 5
"""Further encoders of a study, and heads of its own encoder that stand beside them."""


class FurtherEncoder(BaseModel, frozen=True, extra="forbid"):
    """An encoder that chooses nothing: heads on its vectors are asked where it says otherwise."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]{0,31}$",
        description="lower-case letters, digits and dashes; it names the encoder's stages and "
        "numbers",
    )
    encoder: EncoderSpec = Field(description="the same settings as those of the study's `encoder`")


def weights_named(spec: EncoderSpec) -> tuple[str, ...]:
    """Return what two encoders of the same weights, or of the same vectors, have in common.

    Templates and precision are no difference: the images would be seen alike.
    """
    if isinstance(spec, PrecomputedEncoder):
        return (spec.kind, str(spec.path))
    return (spec.kind, str(spec.model), str(getattr(spec, "pretrained", None)))
