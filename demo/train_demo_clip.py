"""Train the small CLIP that embeds the synthetic dermoscopy of the demo.

    python -m demo.train_demo_clip             # rewrites the weights, about 20 minutes of one core
    python -m demo.train_demo_clip --evaluate  # prints the numbers of the model card

Every caption states predicates ("no streaks", "pink background") whose truth in every image is
known, so image-text pairs are scored by the sigmoid loss (Zhai et al., 2023, "Sigmoid loss for
language image pre-training") against the truth, not against "who came with whom": a caption that
also fits another image of the batch is a positive there too. The attributes of the training images
are independent of one another, so that none can be learnt by the company it keeps.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped, UInt8
from PIL import Image

from curette.tasks.ingest.synthetic import (
    ATTRIBUTE_PHRASES,
    ATTRIBUTES,
    CLASSES,
    SyntheticImage,
    class_posterior,
    draw_unconfounded_case,
    generate_images,
)
from curette.tasks.methods.encoder.open_clip_layout import DEMO as FOLDER

if TYPE_CHECKING:
    import torch


# The demo uses seed 0; what is trained on, and what is measured on, are other draws.
TRAIN_SEED: Final = 1000
EVALUATE_SEED: Final = 4000

CONFIG: Final[dict[str, Any]] = {
    "model_cfg": {
        "embed_dim": 128,
        "vision_cfg": {"image_size": 96, "layers": [1, 1, 1, 1], "width": 16, "head_width": 64},
        "text_cfg": {
            "context_length": 32,
            "vocab_size": 49408,
            "width": 48,
            "heads": 4,
            "layers": 2,
        },
    },
    "preprocess_cfg": {
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "interpolation": "bicubic",
        "resize_mode": "shortest",
    },
}


@dataclass(frozen=True)
class TrainingSpec:
    """What decides the weights, together with the code and the machine's arithmetic."""

    images: int = 12_000
    batch: int = 96
    prompts: int = 96
    steps: int = 1_800
    warmup_steps: int = 200
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    threads: int = 1
    seed: int = TRAIN_SEED


# --- what captions can say ----------------------------------------------------------------------


@dataclass(frozen=True)
class Predicate:
    """Something true or false of an image, the ways to say it, and to say the opposite.

    Any phrase can also be denied by one of `NEGATIONS`.
    """

    name: str
    phrases: tuple[str, ...]
    opposites: tuple[str, ...]


def _predicate(name: str, phrases: str, opposites: str = "") -> Predicate:
    return Predicate(name, *(tuple(t.split("; ")) if t else () for t in (phrases, opposites)))


PREDICATES: Final = (
    _predicate(
        "asymmetric_shape",
        "asymmetric shape; asymmetrical shape; asymmetry; asymmetric outline; asymmetric lesion; "
        "asymmetric in two axes; lopsided outline; one half unlike the other half; asymmetry of "
        "structure; marked asymmetry; non-symmetric contour; asymmetric contour; bean-shaped "
        "outline; lobed outline; uneven shape; shape asymmetry; halves do not mirror each other",
        "symmetric shape; symmetrical shape; symmetry; round shape; oval shape; symmetric "
        "outline; round or oval outline; symmetric lesion; regular shape; circular shape; "
        "symmetric contour; both halves match; balanced shape; ovoid outline",
    ),
    _predicate(
        "irregular_border",
        "irregular border; irregular, notched border; jagged border; ragged edge; uneven border; "
        "notched border; notched edge; scalloped border; irregular margin; border irregularity; "
        "irregular edges; jagged outline; ragged margin; notching; geographic border; spiky "
        "outline; irregular outline; irregular borders; notched margins; abrupt notches; "
        "indentations; moth-eaten border; indented margin",
        "smooth border; even border; regular border; smooth outline; regular margin; smooth edge; "
        "even edges; smooth contour; regular outline; even margin; regular borders; smooth "
        "margins",
    ),
    _predicate(
        "sharp_edge",
        "sharply demarcated edge; sharply demarcated; well-demarcated border; well-defined edge; "
        "sharp border; abrupt edge; abrupt cutoff of pigment; well-circumscribed lesion; sharp "
        "edge; stuck-on appearance; clearly defined margin; crisp edge; sharp cutoff at the "
        "periphery; well demarcated; well-defined borders; abrupt border cutoff; waxy stuck-on "
        "appearance; clear-cut border; sharp demarcation; well circumscribed; sharply defined "
        "border",
        "blurred edge; fading edge; ill-defined border; gradual fading at the edge; soft edge; "
        "poorly defined border; indistinct margin; diffuse edge; pigment that fades at the "
        "border; blurry border; poorly demarcated; gradually thinning margin",
    ),
    _predicate(
        "dark_brown",
        "dark brown colour; dark brown; dark brown pigmentation; deep brown colour; dark pigment; "
        "dark brown pigment; heavily pigmented; brown-black colour; chocolate brown; dark lesion; "
        "strong brown pigmentation; deeply pigmented; darkly pigmented; hyperpigmented; "
        "dark-brown areas",
        "pale lesion; lightly pigmented; little pigment; hypopigmented",
    ),
    _predicate(
        "pink",
        "pink background colour; pink colour; pink background; reddish background; pink lesion; "
        "erythematous background; flesh-pink surface; pinkish areas; pink to red colour; pearly "
        "pink surface; pink skin; pink areas; erythema; rosy colour; milky pink area; salmon "
        "pink; milky-red area; pearly surface; translucent pink; pink-red homogeneous background; "
        "skin-coloured to pink; red colour; reddish hue; red background",
    ),
    _predicate(
        "light_brown",
        "light brown colour; light brown; tan colour; tan; light brown pigmentation; pale brown; "
        "light tan lesion; beige-brown colour; light-brown background; yellowish brown colour",
    ),
    _predicate(
        "black_blotch",
        "black blotch; black colour; jet-black area; off-centre black blotch; dark blotch; "
        "irregular black blotch; black area; structureless black area; black patch; black "
        "pigment; eccentric black blotch; irregular blotch; black spot; blotches; eccentric "
        "hyperpigmentation; black zone; very dark blotch; focal black pigment; black "
        "structureless area",
    ),
    _predicate(
        "blue_white_veil",
        "blue-white veil; blue-whitish veil; bluish-white veil; blue-white haze; blue white film; "
        "blue-white structureless area; whitish-blue area; irregular bluish-white pigment; blue "
        "veil; ground-glass blue-white film; confluent blue pigment with white haze; bluish-white "
        "area; blue-whitish area; veil; hazy blue area; blue area; blue-white colour; blue-white "
        "structures; bluish haze; blue pigmentation with a whitish film",
    ),
    _predicate(
        "white_scar",
        "white scar-like area; scar-like depigmentation; regression; white area; white patch; "
        "white scar; regression structures; scar-like white area; depigmented area; white "
        "structureless area; whitish scar; pale regression area; scarring; white regression; "
        "bright white patch; white colour; white scar-like depigmentation; depigmentation; loss "
        "of pigment in a white patch; hypopigmented area; shiny white area; bone-white patch; "
        "shiny white structures",
    ),
    _predicate(
        "pigment_network",
        "pigment network; brown pigment network; reticular lines; brown network; reticular "
        "pattern; grid of brown lines; honeycomb pattern; mesh of brown lines; network; "
        "reticulation; reticulated pigment; net-like pattern; honeycomb-like network; typical "
        "pigment network; atypical pigment network; regular pigment network; web of brown lines; "
        "brown lines forming a grid; lattice of lines; reticular network; irregular pigment "
        "network; prominent network; fine brown mesh; delicate network; reticular brown "
        "pigmentation; pigmented network with holes; thick network lines",
        "non-reticular; loss of network",
    ),
    _predicate(
        "globules",
        "brown globules; globules; brown dots; dots and globules; round brown clumps; brown "
        "clods; cobblestone pattern; dark dots; globular pattern; small round brown structures; "
        "irregular dots and globules; clustered globules; brown round dots; pigmented globules; "
        "peripheral globules; dark brown dots; scattered brown dots; pigmented dots; regular "
        "globules; irregular globules; dots; small dark round spots; black dots; clusters of "
        "brown globules",
    ),
    _predicate(
        "streaks",
        "radial streaks; streaks; pseudopods; radial streaming; finger-like projections; radial "
        "projections at the edge; starburst pattern; radial lines at the periphery; spokes at the "
        "margin; streaks at the periphery; finger-like extensions; irregular streaks; peripheral "
        "streaks; radially arranged lines; bulbous projections; branched streaks; radiating lines "
        "at the border; linear extensions at the margin; starburst; spike-like projections",
    ),
    _predicate(
        "milia_like_cysts",
        "milia-like cysts; milia; white dots; small white cysts; bright round dots; keratin "
        "cysts; yellowish-white dots; whitish round cysts; horn cysts; horn pseudocysts; "
        "white-yellow cysts; milia like cysts; bright white dots; small bright cysts; pearly "
        "white dots; tiny white spheres; round white structures; multiple milia-like cysts; "
        "cysts; small whitish globules; starry white dots; keratin-filled cysts; keratin pearls; "
        "white spots; pearl-like white spots",
    ),
    _predicate(
        "fissures",
        "fissures and ridges; fissures; ridges; cerebriform pattern; brain-like surface; "
        "brain-like appearance; gyri and sulci; furrows; grooves; grooved surface; cerebriform "
        "surface; furrowed surface; sulci; curved furrows and ridges; ridged surface; wavy "
        "grooves; crevices; gyri; winding dark grooves; fissured surface; wrinkled surface; "
        "irregular crypts and fissures; verrucous surface; fat fingers; warty surface; thick "
        "curved lines; crypts; comedo-like openings; fingerprint-like ridges",
        "smooth surface",
    ),
    _predicate(
        "arborizing_vessels",
        "arborizing vessels; arborising vessels; branching vessels; tree-like vessels; "
        "telangiectasia; branching red vessels; arborizing telangiectasia; tree-like branching "
        "blood vessels; ramified vessels; red branching lines; blood vessels; vessels; dilated "
        "vessels; bright red branching vessels; thick branching vessels; prominent vessels; "
        "vascular branches; linear vessels; fine telangiectasias; red lines; serpentine vessels; "
        "linear branched vessels; superficial telangiectasia; sharply focused vessels; irregular "
        "vessels; bright red vessels",
    ),
    _predicate(
        "blue_grey_nests",
        "blue-grey ovoid nests; ovoid nests; blue-grey nests; blue-grey blobs; slate-grey nests; "
        "blue-grey globules; large blue-grey ovoid nests; blue-grey ovoid structures; grey-blue "
        "clods; bluish-grey nests; round blue-grey structures; slate blue ovals; multiple "
        "blue-grey globules; grey ovoid areas; blue clods; blue-grey clods; blue-grey round "
        "blobs; grey-blue nests; leaf-like areas; blue-grey structures; blue-grey ovals; oval "
        "blue-grey nests; spoke-wheel areas; leaf-like structures",
    ),
    _predicate(
        "ulceration",
        "ulceration; ulcer; ulcerated area; erosion; crust; central ulceration; crusting; eroded "
        "area; orange crust; ulcerated surface; yellow-orange crust; superficial erosion; "
        "haemorrhagic crust; open sore; small erosions; bleeding crust; orange-red area; eroded "
        "orange-red surface; focal ulceration; yellow-red crust; ulcer with crust; multiple "
        "erosions; serum crust; scab; dried blood; surface breakdown",
        "intact surface",
    ),
    _predicate(
        "red_lacunae",
        "red lacunae; lacunae; red lagoons; red-purple clods; lagoons; red clods; round red "
        "structures; red to purple lacunae; blood-filled spaces; purple lacunae; round red "
        "blood-filled spaces; red blobs; well-defined red lacunae; red globules; cherry-red "
        "lagoons; vascular spaces; red-purple lagoons; purple-red round areas; red round clods; "
        "dark red lacunae; red-blue lacunae; maroon lagoons; purple clods; violaceous lagoons; "
        "well-defined red-blue lagoons",
    ),
    _predicate(
        "many_colours",
        "many colours; multiple colours; several colours; variegated colour; varied colours; "
        "colour variegation; three or more colours; multicoloured lesion; more than two colours; "
        "heterogeneous colour; polychromatic; uneven colour; multiple shades; several shades of "
        "brown and black",
        "few colours; single colour; uniform colour; one colour; homogeneous colour; even colour; "
        "uniform pigmentation; monochromatic; consistent colour",
    ),
    _predicate(
        "structureless",
        "structureless; homogeneous pattern; structureless area; no structures; featureless "
        "lesion; homogeneous structureless pattern; uniform pattern; absence of structures",
        "structured lesion; many structures; several structures; multicomponent pattern",
    ),
    _predicate(
        "hair",
        "hair; dark hairs; hairs crossing the lesion; terminal hairs; hair over the lesion; "
        "strands of hair",
        "hairless; shaved skin",
    ),
    _predicate(
        "ruler",
        "ruler; ruler marks; scale bar; measuring scale; ruler at the edge of the image; tick "
        "marks",
    ),
    _predicate(
        "ink",
        "ink; ink mark; purple ink; pen mark; surgical marker; purple pen marking; skin marker",
    ),
    _predicate(
        "dark_skin",
        "dark skin; brown skin; skin of colour; Fitzpatrick type V skin; dark skin tone",
        "light skin; fair skin; pale skin; Fitzpatrick type II skin; light skin tone",
    ),
    _predicate(
        "nevus",
        "melanocytic nevus; nevus; mole; melanocytic naevus; benign nevus; common mole; nevi; "
        "benign mole; naevus",
    ),
    _predicate(
        "melanoma",
        "melanoma; malignant melanoma; cutaneous melanoma; melanoma skin cancer; invasive melanoma",
    ),
    _predicate(
        "seborrheic_keratosis",
        "seborrheic keratosis; seborrhoeic keratosis; keratosis; benign keratosis; seborrheic "
        "wart; seborrheic keratoses",
    ),
    _predicate(
        "basal_cell_carcinoma",
        "basal cell carcinoma; BCC; basal cell skin cancer; basal cell cancer; basalioma; nodular "
        "basal cell carcinoma",
    ),
    _predicate(
        "vascular",
        "vascular lesion; hemangioma; haemangioma; cherry angioma; angioma; vascular tumour; "
        "benign vascular lesion",
    ),
)

# Wordings that no caption uses, to measure whether new words for a concept are understood.
UNSEEN_WORDING: Final[Mapping[str, str]] = {
    "asymmetric_shape": "lesion is asymmetric along both axes",
    "irregular_border": "uneven and notched lesion margin",
    "sharp_edge": "clearly demarcated lesion with sharp margins",
    "dark_brown": "predominantly dark brown pigmentation of the lesion",
    "pink": "pearly pink lesion background",
    "black_blotch": "eccentric structureless blotch of black pigment",
    "blue_white_veil": "irregular blue area with an overlying whitish veil",
    "white_scar": "white depigmented regression zone",
    "pigment_network": "network of thin brown lines",
    "globules": "multiple round to oval brown globules",
    "streaks": "peripheral radial projections and pseudopods",
    "milia_like_cysts": "multiple small bright white milia cysts",
    "fissures": "cerebriform ridges and fissures on the surface",
    "arborizing_vessels": "bright red tree-like branching telangiectasia",
    "blue_grey_nests": "large ovoid blue-grey clods and nests",
    "ulceration": "focal erosion with an orange crust",
    "red_lacunae": "well-demarcated round red or purple lagoons",
}

UNKNOWN_ROW: Final = 1

TEMPLATES: Final = (
    "{}",
    "{}",
    "{}",
    "{} in the lesion",
    "{} on dermoscopy",
    "a lesion with {}",
    "dermoscopy showing {}",
    "a dermoscopic image of {}",
    "dermoscopic image with {}",
    "a photo of {}",
    "{} throughout the lesion",
    "presence of {}",
    "the lesion shows {}",
    "{} is visible",
    "prominent {}",
    "{} in part of the lesion",
    "{} within the lesion",
    "{} at the periphery",
    "{} in the centre",
    "a skin lesion showing {}",
    "an image of a {}",
    "scattered {}",
    "focal {}",
    "multiple {}",
    "{} over the lesion",
    "irregularly distributed {}",
    "clearly visible {}",
    "areas of {}",
    "{} across most of the surface",
)
NEGATIONS: Final = ("no {}", "no {}", "without {}", "absence of {}", "lack of {}", "not {}")
JOINTS: Final = (" and ", ", ", " with ", "; ", " plus ", ", with ")
AMERICAN: Final = (("colour", "color"), ("grey", "gray"), ("centre", "center"), ("haem", "hem"))


@dataclass(frozen=True)
class Caption:
    """A text, and the predicates it claims (`asserted`) or denies (`denied`), by index."""

    text: str
    asserted: tuple[int, ...]
    denied: tuple[int, ...]


def image_truth(image: SyntheticImage) -> Bool[np.ndarray, " predicate"]:
    """Return which of `PREDICATES` hold for an image."""
    attributes = image.attributes
    ground = ("dark_brown", "pink")
    outline = ("asymmetric_shape", "irregular_border", "sharp_edge")
    patches = ("black_blotch", "blue_white_veil", "white_scar", "blue_grey_nests", "red_lacunae")
    structures = set(ATTRIBUTES) - {*ground, *outline}
    facts = {
        **attributes,
        "light_brown": not any(attributes[name] for name in ground),
        "many_colours": sum(attributes[name] for name in (*ground, *patches)) > 2,
        "structureless": not any(attributes[name] for name in structures),
        "hair": image.hair,
        "ruler": image.ruler,
        "ink": image.ink,
        "dark_skin": image.skin_tone in {"V", "VI"},
        **{key: key == image.label for key, _ in CLASSES},
    }
    return np.array([facts[predicate.name] for predicate in PREDICATES])


def write_prompt(rng: np.random.Generator) -> Caption:
    """Return a caption that claims or denies one predicate, picked at random."""
    index = int(rng.integers(len(PREDICATES)))
    return _caption([(index, bool(rng.random() < 0.6))], rng)


def write_caption(truth: Bool[np.ndarray, " predicate"], rng: np.random.Generator) -> Caption:
    """Return a caption that says one to three true things, mostly about what is present."""
    size = int(rng.integers(1, 4))
    weight = np.where(truth, 1.0, 0.15)
    picked = rng.choice(len(truth), size, replace=False, p=weight / weight.sum())
    return _caption([(int(index), bool(truth[index])) for index in picked], rng)


def _caption(claims: Sequence[tuple[int, bool]], rng: np.random.Generator) -> Caption:
    phrases = []
    for index, holds in claims:
        predicate = PREDICATES[index]
        if holds:
            phrases.append(str(rng.choice(predicate.phrases)))
        elif predicate.opposites and rng.random() < 0.5:
            phrases.append(str(rng.choice(predicate.opposites)))
        else:
            denied = str(rng.choice(predicate.phrases))
            phrases.append(str(rng.choice(NEGATIONS)).format(denied))
    text = str(rng.choice(TEMPLATES)).format(str(rng.choice(JOINTS)).join(phrases))
    if rng.random() < 0.5:
        for british, american in AMERICAN:
            text = text.replace(british, american)
    return Caption(
        text,
        asserted=tuple(index for index, holds in claims if holds),
        denied=tuple(index for index, holds in claims if not holds),
    )


def captions_hold(
    captions: Sequence[Caption], truth: Bool[np.ndarray, "image predicate"]
) -> Bool[np.ndarray, "image caption"]:
    """Return which captions are true of which images: all they assert holds, nothing they deny."""
    return np.stack(
        [
            truth[:, list(c.asserted)].all(axis=1) & ~truth[:, list(c.denied)].any(axis=1)
            for c in captions
        ],
        axis=1,
    )


# --- training -----------------------------------------------------------------------------------


def train(spec: TrainingSpec, folder: Path) -> None:
    """Train on `spec.images` synthetic images and write config and weights to `folder`."""
    import open_clip
    import torch

    started = time.perf_counter()
    torch.set_num_threads(spec.threads)
    torch.manual_seed(spec.seed)
    rng = np.random.default_rng(spec.seed)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    vocabulary = _shrink_vocabulary(model, tokenizer)
    model.visual.to(memory_format=torch.channels_last)
    bias = torch.nn.Parameter(torch.zeros(()))
    with torch.no_grad():
        model.logit_scale.fill_(float(np.log(8.0)))

    pixels, truth = _load(generate_images(spec.images, spec.seed, draw_unconfounded_case))
    print(f"{len(pixels)} images drawn after {time.perf_counter() - started:.0f} s", flush=True)

    decayed = [p for p in model.parameters() if p.ndim >= 2]
    spared = [p for p in model.parameters() if p.ndim < 2] + [bias]
    optimizer = torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": spec.weight_decay},
            {"params": spared, "weight_decay": 0.0},
        ],
        lr=spec.learning_rate,
        betas=(0.9, 0.98),
    )
    model.train()
    smoothed = 0.0
    for step in range(spec.steps):
        for group in optimizer.param_groups:
            group["lr"] = spec.learning_rate * _learning_rate_share(step, spec)
        chosen = rng.choice(len(pixels), spec.batch, replace=False)
        captions = [write_caption(truth[i], rng) for i in chosen]
        captions += [write_prompt(rng) for _ in range(spec.prompts)]
        tokens = _hide_words(vocabulary.rows(tokenizer([c.text for c in captions])), rng)
        image_vectors = model.encode_image(_augment(pixels[chosen], rng), normalize=True)
        text_vectors = model.encode_text(tokens, normalize=True)
        logits = model.logit_scale.exp() * image_vectors @ text_vectors.T + bias
        holds = torch.from_numpy(captions_hold(captions, truth[chosen]))
        loss = balanced_sigmoid_loss(logits, holds)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=float(np.log(30.0)))
            model.token_embedding.weight[UNKNOWN_ROW] = 0
        smoothed += (loss.item() - smoothed) * (0.02 if step else 1.0)
        if step % 100 == 0 or step == spec.steps - 1:
            elapsed = time.perf_counter() - started
            scale = model.logit_scale.exp().item()
            print(f"step {step} loss {smoothed:.4f} scale {scale:.1f} {elapsed:.0f} s", flush=True)
        if step % 500 == 499 or step == spec.steps - 1:
            _save(model, vocabulary, folder)
    print(f"trained in {(time.perf_counter() - started) / 60:.1f} minutes", flush=True)


def balanced_sigmoid_loss(
    logits: Float[torch.Tensor, "image caption"], holds: Bool[torch.Tensor, "image caption"]
) -> Float[torch.Tensor, ""]:
    """Return the mean over captions of binary cross-entropy, half from each side.

    A rare attribute would otherwise be learnt as "absent": the images a caption is true of and
    those it is not true of weigh 1/2 each, however many they are.
    """
    import torch

    entropy = torch.nn.functional.softplus(torch.where(holds, -logits, logits))
    true_side = (entropy * holds).sum(0) / holds.sum(0).clamp(min=1)
    false_side = (entropy * ~holds).sum(0) / (~holds).sum(0).clamp(min=1)
    return (true_side + false_side).mean() / 2


def _learning_rate_share(step: int, spec: TrainingSpec) -> float:
    """Linear warm-up, then half a cosine down to zero."""
    if step < spec.warmup_steps:
        return (step + 1) / spec.warmup_steps
    progress = (step - spec.warmup_steps) / (spec.steps - spec.warmup_steps)
    return float(0.5 * (1 + np.cos(np.pi * progress)))


@dataclass(frozen=True)
class _Vocabulary:
    """The few hundred of the tokenizer's 49,408 tokens that captions use, in rising order.

    Row 0 pads, row 1 (`UNKNOWN_ROW`) stands for every other token and stays zero, and the last
    row ends a text, as open_clip's pooling (the highest token) needs.
    """

    tokens: Int[torch.Tensor, " row"]

    def rows(
        self, tokens: Int[torch.Tensor, "caption token"]
    ) -> Int[torch.Tensor, "caption token"]:
        import torch

        rows = torch.searchsorted(self.tokens, tokens)
        return torch.where(self.tokens[rows] == tokens, rows, UNKNOWN_ROW)


def _shrink_vocabulary(model: Any, tokenizer: Any) -> _Vocabulary:
    """Train only the token vectors that captions use; `_save` sets the others to zero.

    That makes words that were never trained silent instead of random.
    """
    import torch

    texts = [text for p in PREDICATES for text in (*p.phrases, *p.opposites)]
    texts += [*TEMPLATES, *NEGATIONS, *JOINTS]
    texts += [text.replace(*pair) for text in texts for pair in AMERICAN]
    used = torch.unique(tokenizer(texts))
    unknown = torch.tensor([int(used[0]) + 1])
    if unknown in used:
        raise ValueError(f"Token {int(unknown)} must be free to stand for unknown words.")
    tokens = torch.cat([used[:1], unknown, used[1:]])
    model.token_embedding = torch.nn.Embedding(len(tokens), model.token_embedding.embedding_dim)
    torch.nn.init.normal_(model.token_embedding.weight, std=0.1)
    return _Vocabulary(tokens)


def _hide_words(
    rows: Int[torch.Tensor, "caption token"], rng: np.random.Generator
) -> Int[torch.Tensor, "caption token"]:
    """Replace one word in twelve by the unknown one, so that new words do not derail a caption."""
    import torch

    word = (rows > 0) & (rows < rows.max() - 1)  # neither padding nor start and end of text
    hidden = word & torch.from_numpy(rng.random(tuple(rows.shape)) < 1 / 12)
    return torch.where(hidden, UNKNOWN_ROW, rows)


def _load(
    images: Iterable[SyntheticImage],
) -> tuple[UInt8[np.ndarray, "image height width 3"], Bool[np.ndarray, "image predicate"]]:
    pixels, truth = [], []
    for image in images:
        pixels.append(np.asarray(Image.open(BytesIO(image.png))))
        truth.append(image_truth(image))
    return np.stack(pixels), np.stack(truth)


def _augment(
    pixels: UInt8[np.ndarray, "image height width 3"], rng: np.random.Generator
) -> Float[torch.Tensor, "image 3 height width"]:
    """Flip, turn, shift by up to 6 px, relight, and normalise as the model's config says."""
    import torch

    turned = []
    for picture in pixels:
        view = np.rot90(picture, int(rng.integers(4)))
        view = view[:, ::-1] if rng.random() < 0.5 else view
        padded = np.pad(view, ((6, 6), (6, 6), (0, 0)), mode="edge")
        top, left = rng.integers(0, 13, 2)
        turned.append(padded[top : top + view.shape[0], left : left + view.shape[1]])
    batch = np.stack(turned).astype(np.float32) / 255
    light = rng.uniform(0.88, 1.12, (len(batch), 1, 1, 1))
    tint = rng.uniform(0.97, 1.03, (len(batch), 1, 1, 3))
    batch = np.clip(batch * light * tint, 0, 1).astype(np.float32)
    return torch.from_numpy(batch).permute(0, 3, 1, 2) * 2 - 1  # channels last in memory


def _save(model: Any, vocabulary: _Vocabulary, folder: Path) -> None:
    """Write the weights in half precision: half the bytes, and no score moves visibly."""
    import torch
    from safetensors.torch import save

    state = {
        name: value.half() if value.dtype == torch.float32 else value
        for name, value in model.state_dict().items()
    }
    text = CONFIG["model_cfg"]["text_cfg"]
    whole = torch.zeros((text["vocab_size"], text["width"]), dtype=torch.float16)
    whole[vocabulary.tokens] = state["token_embedding.weight"]
    state["token_embedding.weight"] = whole
    state = {name: value.contiguous() for name, value in state.items()}
    (folder / "open_clip_model.safetensors").write_bytes(save(state))


# --- evaluation ---------------------------------------------------------------------------------


def evaluate(folder: Path, count: int, seed: int) -> str:
    """Measure the written model through open_clip's ordinary path on images of another seed.

    Returns:
        Two Markdown tables for the model card: how well the texts of each attribute rank the
        images, and how well the image vectors tell the classes apart.
    """
    import open_clip
    import torch

    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    model.eval()

    def embed(texts: Sequence[str]) -> Float[np.ndarray, "text dim"]:
        with torch.inference_mode():
            vectors: Float[np.ndarray, "text dim"]
            vectors = model.encode_text(tokenizer(list(texts)), normalize=True).numpy()
        return vectors

    images = list(generate_images(count, seed))
    batches = []
    for start in range(0, count, 100):
        batch = [preprocess(Image.open(BytesIO(i.png))) for i in images[start : start + 100]]
        with torch.inference_mode():
            batches.append(model.encode_image(torch.stack(batch), normalize=True).numpy())
    vectors = np.concatenate(batches)
    lesions, subjects = {i.lesion for i in images}, {i.subject for i in images}
    return "\n\n".join(
        [
            _attribute_table(images, vectors, embed),
            _class_table(images, vectors, embed),
            f"{count} images, {len(lesions)} lesions, {len(subjects)} subjects, seed {seed}.",
        ]
    )


def _attribute_table(
    images: Sequence[SyntheticImage],
    vectors: Float[np.ndarray, "image dim"],
    embed: Callable[[Sequence[str]], Float[np.ndarray, "text dim"]],
) -> str:
    """Return the zero-shot AUC of each attribute.

    It is the area under the ROC curve of the cosine between image and text over all images: of
    the attribute's phrase, of the phrase less its negation, and of a wording that no training
    caption uses. Within classes, only images of the same class are compared, so that recognising
    the class is of no help. The spread is the standard deviation of the phrase's cosine.
    """
    from sklearn.metrics import roc_auc_score

    label = np.array([image.label for image in images])
    truth = np.array([[image.attributes[name] for name in ATTRIBUTES] for image in images])
    phrase = vectors @ embed([ATTRIBUTE_PHRASES[name] for name in ATTRIBUTES]).T
    negation = vectors @ embed([f"no {ATTRIBUTE_PHRASES[name]}" for name in ATTRIBUTES]).T
    unseen = vectors @ embed([UNSEEN_WORDING[name] for name in ATTRIBUTES]).T
    columns = (phrase, phrase - negation, unseen)
    rows = {
        name: [truth[:, a].mean()]
        + [float(roc_auc_score(truth[:, a], scores[:, a])) for scores in columns]
        + [area_within_classes(truth[:, a], phrase[:, a], label), phrase[:, a].std()]
        for a, name in enumerate(ATTRIBUTES)
    }
    rows["**mean**"] = np.mean(list(rows.values()), axis=0).tolist()
    lines = [
        "| attribute | share | phrase | less its negation | unseen wording | in classes | spread |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, (share, *areas, spread) in rows.items():
        numbers = " | ".join(f"{area:.3f}" for area in areas)
        lines.append(f"| {name} | {share:.2f} | {numbers} | {spread:.2f} |")
    return "\n".join(lines)


def area_within_classes(
    truth: Bool[np.ndarray, " image"],
    scores: Float[np.ndarray, " image"],
    label: Shaped[np.ndarray, " image"],
) -> float:
    """Return the share of pairs (true, false) of one class whose true image scores higher.

    The area under the ROC curve of each class, weighted by its number of pairs; classes in which
    all are true or all are false have no pairs.
    """
    from sklearn.metrics import roc_auc_score

    areas, pairs = [], []
    for own in (label == key for key in np.unique(label)):
        count = int(truth[own].sum() * (~truth[own]).sum())
        if count:
            areas.append(roc_auc_score(truth[own], scores[own]))
            pairs.append(count)
    return float(np.average(areas, weights=pairs))


def _class_table(
    images: Sequence[SyntheticImage],
    vectors: Float[np.ndarray, "image dim"],
    embed: Callable[[Sequence[str]], Float[np.ndarray, "text dim"]],
) -> str:
    """Return class accuracies; the probes are fitted on two thirds of the subjects."""
    keys = [key for key, _ in CLASSES]
    label = np.array([keys.index(image.label) for image in images])
    train = np.array([int(image.subject.removeprefix("subject_")) % 3 > 0 for image in images])
    truth = np.array([[float(image.attributes[name]) for name in ATTRIBUTES] for image in images])
    posterior = np.array([list(class_posterior(image.attributes).values()) for image in images])
    prompts = embed([f"a dermoscopic image of {name}" for _, name in CLASSES])
    scores = vectors @ embed([ATTRIBUTE_PHRASES[name] for name in ATTRIBUTES]).T
    most_frequent = np.bincount(label[train]).argmax()
    accuracy = {
        "always the most frequent class": float((label[~train] == most_frequent).mean()),
        "zero-shot, `a dermoscopic image of ...`": _accuracy(vectors @ prompts.T, label, ~train),
        "linear probe on the attributes' zero-shot scores": _probe(scores, label, train),
        "linear probe on image vectors": _probe(vectors, label, train),
        "linear probe on true attributes": _probe(truth, label, train),
        "best possible from true attributes (Bayes)": _accuracy(posterior, label, ~train),
    }
    lines = ["| predicted from | class accuracy |", "| --- | --- |"]
    return "\n".join(lines + [f"| {name} | {value:.3f} |" for name, value in accuracy.items()])


def _accuracy(
    scores: Float[np.ndarray, "image label"],
    label: Int[np.ndarray, " image"],
    chosen: Bool[np.ndarray, " image"],
) -> float:
    """Return the share of the chosen images whose own class scores highest."""
    return float((scores.argmax(axis=1) == label)[chosen].mean())


def _probe(
    features: Float[np.ndarray, "image feature"],
    label: Int[np.ndarray, " image"],
    train: Bool[np.ndarray, " image"],
) -> float:
    """Return the accuracy of a logistic regression on the images it was not fitted on."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    probe.fit(features[train], label[train])
    return float(probe.score(features[~train], label[~train]))


def main() -> None:
    """Train the model, or with `--evaluate` measure the one that is there."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--evaluate", action="store_true", help="measure, do not train")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    if not arguments.evaluate:
        train(TrainingSpec(), arguments.folder)
    print(evaluate(arguments.folder, count=3000, seed=EVALUATE_SEED))


if __name__ == "__main__":
    main()
