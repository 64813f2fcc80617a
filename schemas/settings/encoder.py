"""Settings of the encoder, which the stages `embed`, `embed_texts` and `locate` are given."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, model_validator


def _folders_are_paths(value: object) -> object:
    """Tell folders from names, so that a folder's content counts in the stage's key."""
    local = isinstance(value, str) and value.startswith(("/", "./", "../"))
    return Path(str(value)) if local else value


_Model = Annotated[Path | str, BeforeValidator(_folders_are_paths)]
_Precision = Annotated[
    Literal["float32", "bfloat16", "auto"],
    Field(
        description="changes numbers, so what is used is part of the encoder's identity; auto: "
        "bfloat16 on GPUs and CPUs that multiply it (CUDA's from Ampere on; AVX512-BF16, AMX), "
        "else float32",
    ),
]
_TextTemplate = Annotated[
    str,
    Field(
        pattern=r"^[^{}]*\{concept\}[^{}]*$",
        description="the sentence a concept is put into before it is encoded",
    ),
]
_ClassTemplate = Annotated[
    str,
    Field(
        pattern=r"^[^{}]*\{class\}[^{}]*$",
        description="the sentence a class's name is put into for zero-shot answers",
    ),
]

_Reference = Annotated[
    str,
    Field(
        pattern=r"^[^{}]*$",
        exclude_if=lambda reference: not reference,
        description="a sentence that says what every image is, such as `This is dermatoscopy`: a "
        "concept's score is then how much nearer an image is to the concept than to it. It is put "
        "into no template; empty: there is none",
    ),
]


class OpenClipEncoder(BaseModel, frozen=True, extra="forbid"):
    """A CLIP loaded through open_clip: the demo's, a hub's, or one in a local folder."""

    kind: Literal["open_clip"] = "open_clip"
    model: _Model = Field(
        default="demo",
        description="`demo` (embedded), an open_clip name such as ViT-B-32, `hf-hub:user/model`, "
        "or a local folder that starts with / or ./ and has open_clip_config.json and weights",
    )
    pretrained: str | None = Field(
        default=None, description="open_clip's tag of the weights, for names such as ViT-B-32"
    )
    precision: _Precision = "float32"
    text_template: _TextTemplate = "{concept}"
    class_template: _ClassTemplate = "{class}"
    reference: _Reference = ""

    @model_validator(mode="after")
    def _weights_named_once(self) -> Self:
        whole = (
            isinstance(self.model, Path) or self.model == "demo" or self.model.startswith("hf-hub:")
        )
        if whole and self.pretrained is not None:
            raise ValueError(
                f"`{self.model}` brings its own weights; `pretrained` is only for open_clip's "
                "names, such as ViT-B-32"
            )
        return self


class TransformersEncoder(BaseModel, frozen=True, extra="forbid"):
    """A CLIP or SigLIP in the layout of the package transformers, as most of the hub's are.

    MONET, PLIP, PubMedCLIP and MedSigLIP are published so. Weights are read from safetensors alone.
    Needs the extra `curette[transformers]`.
    """

    kind: Literal["transformers"]
    model: _Model = Field(
        description="a local folder that starts with / or ./ and has config.json, "
        "preprocessor_config.json, a tokenizer and model.safetensors; or the hub's user/model"
    )
    precision: _Precision = "float32"
    text_template: _TextTemplate = "{concept}"
    class_template: _ClassTemplate = "{class}"
    reference: _Reference = ""


class ImageOnlyEncoder(BaseModel, frozen=True, extra="forbid"):
    """A model that knows images and no texts: timm's, or a DINO in the layout of transformers.

    Concepts are then what true/false columns of the data say (`dataset.attributes`, `propose` with
    the source `columns`): each is a direction that is learned from the training images.
    """

    kind: Literal["image_only"]
    model: _Model = Field(
        description="a local folder that starts with / or ./ and has config.json and "
        "model.safetensors, as timm or transformers publish them; or the hub's user/model"
    )
    precision: _Precision = "float32"


class PrecomputedEncoder(BaseModel, frozen=True, extra="forbid"):
    """Ready-made vectors from an .npz file: ids to vectors, texts to vectors.

    Keys: `image_ids`, `image_embeddings` (image, dim), `text_prompts`, `text_embeddings`
    (text, dim). A text that is not in the file is an error that names it.
    """

    kind: Literal["precomputed"]
    path: Path = Field(description="the .npz file; relative paths start at the study file")
    name: str = Field(default="", description="which encoder made the vectors, for the report")
    class_template: _ClassTemplate = "{class}"
    reference: _Reference = ""


def class_prompt(spec: "ReadingEncoder | PrecomputedEncoder", name: str) -> str:
    """Return the text that stands for a class where its name is compared with images."""
    return spec.class_template.replace("{class}", name)


ReadingEncoder = OpenClipEncoder | TransformersEncoder
"""What embeds texts here."""
LoadedEncoder = ReadingEncoder | ImageOnlyEncoder
"""What runs here; `precomputed` vectors were made elsewhere."""

EncoderSpec = Annotated[
    OpenClipEncoder | TransformersEncoder | ImageOnlyEncoder | PrecomputedEncoder,
    Field(discriminator="kind"),
]
