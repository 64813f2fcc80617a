"""Synthetic dermoscopy whose truth is known: lesions drawn from binary attributes.

Real concept datasets rarely say which concept is present in which image, so nothing measured on
them can be checked. Here every image is drawn from known attributes, so a concept score, a mask
or a probe can be compared with the truth. The pictures are cartoons of dermoscopic structures:
they teach nothing about skin.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from types import MappingProxyType
from typing import Final

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image, ImageDraw, ImageFilter

from curette.schemas.attributes import AttributePhrases

IMAGE_PX: Final = 96

CLASSES: Final[tuple[tuple[str, str], ...]] = (
    ("nevus", "melanocytic nevus"),
    ("melanoma", "melanoma"),
    ("seborrheic_keratosis", "seborrheic keratosis"),
    ("basal_cell_carcinoma", "basal cell carcinoma"),
    ("vascular", "vascular lesion"),
)
CLASS_PRIOR: Final = (0.36, 0.18, 0.18, 0.16, 0.12)

# Each attribute: a phrase for captions, and its probability in each class, in the order of
# CLASSES. Given the class, attributes are independent, so `class_posterior` is exact.
_ATTRIBUTES: Final[Mapping[str, tuple[str, tuple[float, float, float, float, float]]]] = {
    "asymmetric_shape": ("asymmetric shape", (0.15, 0.80, 0.22, 0.35, 0.15)),
    "irregular_border": ("irregular, notched border", (0.12, 0.75, 0.28, 0.30, 0.10)),
    "sharp_edge": ("sharply demarcated edge", (0.30, 0.35, 0.85, 0.35, 0.60)),
    "dark_brown": ("dark brown colour", (0.45, 0.75, 0.50, 0.10, 0.05)),
    "pink": ("pink background colour", (0.10, 0.22, 0.10, 0.80, 0.75)),
    "black_blotch": ("black blotch", (0.05, 0.50, 0.10, 0.05, 0.05)),
    "blue_white_veil": ("blue-white veil", (0.04, 0.50, 0.05, 0.08, 0.06)),
    "white_scar": ("white scar-like area", (0.04, 0.35, 0.06, 0.20, 0.04)),
    "pigment_network": ("pigment network", (0.80, 0.55, 0.08, 0.05, 0.03)),
    "globules": ("brown globules", (0.55, 0.35, 0.10, 0.06, 0.03)),
    "streaks": ("radial streaks", (0.06, 0.42, 0.04, 0.03, 0.02)),
    "milia_like_cysts": ("milia-like cysts", (0.06, 0.06, 0.78, 0.06, 0.03)),
    "fissures": ("fissures and ridges", (0.04, 0.04, 0.65, 0.03, 0.03)),
    "arborizing_vessels": ("arborizing vessels", (0.03, 0.10, 0.05, 0.78, 0.14)),
    "blue_grey_nests": ("blue-grey ovoid nests", (0.03, 0.12, 0.03, 0.58, 0.05)),
    "ulceration": ("ulceration", (0.03, 0.12, 0.06, 0.50, 0.06)),
    "red_lacunae": ("red lacunae", (0.02, 0.03, 0.02, 0.05, 0.85)),
}
METADATA: Final = ("skin_tone", "site", "age", "sex", "hair", "ruler", "ink")
"""What is known of each image besides; of nobody, so that all of it is kept."""
ATTRIBUTES: Final[tuple[str, ...]] = tuple(_ATTRIBUTES)
ATTRIBUTE_PHRASES: Final[Mapping[str, str]] = MappingProxyType(
    {name: phrase for name, (phrase, _) in _ATTRIBUTES.items()}
)

# Statements that one attribute alone decides, besides its phrase, and what denies it. A statement
# that claims two of them ("blue-grey spots on pink"), or more than is drawn ("in the centre"), is
# not here: what is drawn does not decide it.
_WORDINGS: Final[Mapping[str, tuple[str, str]]] = {
    "asymmetric_shape": (
        "asymmetrical shape; asymmetric contour; lopsided outline; one half unlike the other half",
        "symmetric shape; symmetrical shape; both halves match",
    ),
    "irregular_border": (
        "irregular edges with several indentations; notched margin; "
        "uneven border with small notches",
        "smooth border; even border; regular outline; even edge without notches",
    ),
    "sharp_edge": (
        "well-circumscribed margin; well-circumscribed lesion; well-defined border; "
        "crisp margin all around",
        "ill-defined border; pigment that fades at the border; soft edge that blends into the skin",
    ),
    "dark_brown": ("dark brown pigmentation", "lack of dark brown pigment"),
    "pink": ("reddish background; pink to red background", "no pink background"),
    "black_blotch": (
        "irregular black blotch; off-centre black blotch; blotches of black pigment; "
        "jet-black area",
        "absence of black areas",
    ),
    "blue_white_veil": (
        "structureless blue-white area; confluent blue pigment with a whitish film; "
        "bluish-white haze over part of the lesion",
        "no blue-white veil",
    ),
    "white_scar": ("white, scar-like patch", "no white scar-like area"),
    "pigment_network": (
        "grid of thin brown lines; honeycomb pattern of brown lines; "
        "honeycomb-like pattern of brown lines; lattice of lines with small holes; "
        "delicate mesh of brown lines",
        "no pigment network; no reticular lines; absence of reticular lines",
    ),
    "globules": (
        "globular pattern; scattered brown globules; brown globules spread evenly; "
        "evenly distributed globules",
        "no brown globules",
    ),
    "streaks": (
        "radial streaming at the periphery; short dark lines radiating from the border",
        "no radial streaks; no streaks; no streaks at the margin; no streaks at the edge; "
        "no finger-like projections at the margin",
    ),
    "milia_like_cysts": (
        "multiple milia-like cysts; milia-like cysts scattered over the lesion; "
        "many small white dots",
        "no milia-like cysts",
    ),
    "fissures": (
        "fissures with ridges; surface with furrows and ridges; winding dark grooves; "
        "deep grooves between thick ridges; gyri and sulci; cerebriform pattern",
        "",
    ),
    "arborizing_vessels": (
        "branching telangiectasia; bright red tree-like vessels; "
        "tree-like vessels crossing the lesion; vessels that split into ever finer branches; "
        "thick vessels with fine side branches",
        "no visible blood vessels",
    ),
    "blue_grey_nests": (
        "large blue-grey ovoid nests; blue-grey round blobs of different size; "
        "multiple blue-grey globules",
        "",
    ),
    "ulceration": ("", "no ulceration"),
    "red_lacunae": (
        "well-defined red lacunae; purple lacunae; red globules; scattered red blobs; "
        "clusters of red-purple clods; red clods filling the whole lesion; maroon lagoons; "
        "purple-red round areas; round red blood-filled spaces; red lagoons packed side by side",
        "",
    ),
}
ATTRIBUTE_STATEMENTS: Final[Mapping[str, AttributePhrases]] = MappingProxyType(
    {
        name: AttributePhrases(
            claimed_by=(ATTRIBUTE_PHRASES[name], *filter(None, claims.split("; "))),
            denied_by=tuple(filter(None, denials.split("; "))),
        )
        for name, (claims, denials) in _WORDINGS.items()
    }
)

UNCONFOUNDED_RATE: Final = 0.25
HAIR_RATE: Final = 0.25
RULER_RATE: Final = 0.15
INK_RATE: Final = 0.12
SITES: Final = ("back", "chest", "abdomen", "arm", "leg", "face", "neck")

# Skin colour and frequency by Fitzpatrick type.
_SKIN: Final[Mapping[str, tuple[float, tuple[int, int, int]]]] = {
    "I": (0.14, (243, 213, 198)),
    "II": (0.28, (233, 198, 176)),
    "III": (0.26, (217, 177, 149)),
    "IV": (0.16, (190, 145, 115)),
    "V": (0.10, (152, 109, 82)),
    "VI": (0.06, (112, 77, 58)),
}
SKIN_TONES: Final[tuple[str, ...]] = tuple(_SKIN)

# A lesion is drawn once on a canvas spanning [-_REACH, _REACH] lesion radii; each image is a
# rotated, scaled and relit crop of it.
_CANVAS_PX: Final = 128
_REACH: Final = 1.6
_OVERSAMPLE: Final = 3

Canvas = Float[np.ndarray, "canvas canvas"]
Colour = tuple[float | int, ...]  # red, green, blue: 0..255, or shares 0..1

FLASH: Final[Colour] = (1.0, 1.0, 1.0)
LAMP: Final[Colour] = (0.84, 0.69, 0.51)


@dataclass(frozen=True)
class SyntheticImage:
    """One view of one lesion, with everything that was decided before it was drawn."""

    image_id: str
    png: bytes
    mask_png: bytes  # 255 inside the lesion, 0 outside
    label: str  # a key of CLASSES
    subject: str
    lesion: str
    attributes: Mapping[str, bool]  # keys: ATTRIBUTES
    skin_tone: str  # Fitzpatrick type, "I" to "VI"
    site: str
    age: int  # years
    sex: str  # "female" or "male"
    hair: bool
    ruler: bool
    ink: bool


@dataclass(frozen=True)
class Case:
    """What is true of a lesion, before anything is drawn."""

    label: str
    attributes: Mapping[str, bool]


def draw_case(rng: np.random.Generator) -> Case:
    """Draw a class by `CLASS_PRIOR`, then each attribute by its rate in that class."""
    label_index = int(rng.choice(len(CLASSES), p=CLASS_PRIOR))
    present = rng.random(len(ATTRIBUTES)) < _attribute_rates()[label_index]
    attributes = dict(zip(ATTRIBUTES, present.tolist(), strict=True))
    return Case(CLASSES[label_index][0], attributes)


def draw_unconfounded_case(rng: np.random.Generator) -> Case:
    """Draw each attribute by the same rate, independent of all others, then a class that fits.

    The class follows `class_posterior`. An encoder taught on such cases cannot learn one
    attribute by the company it keeps.
    """
    present = rng.random(len(ATTRIBUTES)) < UNCONFOUNDED_RATE
    attributes = dict(zip(ATTRIBUTES, present.tolist(), strict=True))
    posterior = class_posterior(attributes)
    return Case(str(rng.choice(list(posterior), p=list(posterior.values()))), attributes)


def generate_images(
    count: int,
    seed: int,
    case: Callable[[np.random.Generator], Case] = draw_case,
    light: Colour = FLASH,
) -> Iterator[SyntheticImage]:
    """Draw the first `count` images of the endless dataset that `seed` names.

    A subject has 1 to 4 lesions, a lesion 1 to 4 images. Class, attributes, skin tone, site, age,
    sex and marks (hair, ruler, ink) are drawn at random; only the attributes depend on the class.

    Args:
        count: how many images.
        seed: equal seeds give equal bytes, whatever `count` is.
        case: how a lesion's class and attributes are drawn; `draw_case` or
            `draw_unconfounded_case`.
        light: what red, green and blue are multiplied with; `FLASH` or `LAMP`.
    """
    subjects = (_draw_subject(index, seed, case, light) for index in itertools.count())
    return itertools.islice(itertools.chain.from_iterable(subjects), count)


def class_posterior(attributes: Mapping[str, bool]) -> dict[str, float]:
    """Return p(class | attributes), which no classifier of these lesions can improve on.

    With prior pi_y and rates p_ya, p(y | x) is proportional to
    pi_y * prod_a p_ya^x_a * (1 - p_ya)^(1 - x_a): attributes are independent given the class.
    """
    present = np.array([attributes[name] for name in ATTRIBUTES])
    rates = _attribute_rates()
    joint = np.array(CLASS_PRIOR) * np.where(present, rates, 1 - rates).prod(axis=1)
    return {key: float(p) for (key, _), p in zip(CLASSES, joint / joint.sum(), strict=True)}


def _attribute_rates() -> Float[np.ndarray, "label attribute"]:
    return np.array([rates for _, rates in _ATTRIBUTES.values()]).T


def _draw_subject(
    index: int,
    seed: int,
    draw: Callable[[np.random.Generator], Case],
    light: Colour,
) -> Iterator[SyntheticImage]:
    rng = np.random.default_rng((seed, index))
    subject = f"subject_{index:05d}"
    skin_tone = str(rng.choice(SKIN_TONES, p=[rate for rate, _ in _SKIN.values()]))
    skin: Colour = tuple(np.array(_SKIN[skin_tone][1]) * rng.uniform(0.95, 1.05))
    age = int(rng.integers(20, 90))
    sex = str(rng.choice(("female", "male")))
    for lesion_index in range(int(rng.integers(1, 5))):
        lesion = f"{subject}_lesion_{lesion_index}"
        case = draw(rng)
        site = str(rng.choice(SITES))
        canvas = _draw_lesion(case.attributes, skin, rng)
        for view in range(int(rng.integers(1, 5))):
            marks = rng.random(3) < (HAIR_RATE, RULER_RATE, INK_RATE)
            hair, ruler, ink = (bool(mark) for mark in marks)
            png, mask_png = _photograph(canvas, skin, light, rng, hair=hair, ruler=ruler, ink=ink)
            yield SyntheticImage(
                image_id=f"{lesion}_view_{view}",
                png=png,
                mask_png=mask_png,
                label=case.label,
                subject=subject,
                lesion=lesion,
                attributes=case.attributes,
                skin_tone=skin_tone,
                site=site,
                age=age,
                sex=sex,
                hair=hair,
                ruler=ruler,
                ink=ink,
            )


# --- the lesion, drawn once ---------------------------------------------------------------------


@dataclass(frozen=True)
class _LesionCanvas:
    """One lesion on its own skin: colour 0..255, how much it covers the skin, and its outline."""

    colour: Float[np.ndarray, "canvas canvas 3"]
    cover: Canvas
    inside: Bool[np.ndarray, "canvas canvas"]


def _draw_lesion(
    attributes: Mapping[str, bool], skin: Colour, rng: np.random.Generator
) -> _LesionCanvas:
    axis = (np.arange(_CANVAS_PX) + 0.5) / _CANVAS_PX * 2 * _REACH - _REACH
    x, y = np.meshgrid(axis, axis)
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    outline = _Outline.draw(attributes, rng)
    depth = outline.radius(angle) - radius  # positive inside
    cover = _ramp(depth, 0.03 if attributes["sharp_edge"] else 0.30)

    colour = _draw_base(attributes, skin, rng)
    if attributes["pigment_network"]:
        colour = _shade(colour, _draw_network(x, y, depth, rng), (0.45, 0.36, 0.31))
    if attributes["fissures"]:
        groove = _ramp(0.13 - np.abs(_noise(rng, 10)), 0.22)
        ridge = _ramp(np.abs(_noise(rng, 10)) - 1.1, 0.8)
        colour = _blend(_shade(colour, groove, (0.42, 0.34, 0.30)), ridge * 0.25, (238, 208, 172))
    if attributes["ulceration"]:
        patch = _draw_patch(x, y, outline, 0.44, rng)
        colour = _blend(colour, patch * 0.85, (200, 96, 44))
        colour = _blend(colour, patch * _ramp(_noise(rng, 16) - 0.5, 0.8) * 0.9, (96, 28, 20))
        colour = _blend(colour, patch * _ramp(_noise(rng, 16) - 0.8, 0.8) * 0.9, (236, 190, 96))
    if attributes["white_scar"]:
        colour = _blend(colour, _draw_patch(x, y, outline, 0.45, rng) * 0.85, (246, 230, 222))
    if attributes["blue_white_veil"]:
        veil = _draw_patch(x, y, outline, 0.60, rng)
        colour = _blend(colour, veil * 0.80, (108, 128, 166))
        colour = _blend(colour, veil * _ramp(_noise(rng, 6), 2.0) * 0.65, (214, 222, 236))
    if attributes["black_blotch"]:
        colour = _blend(colour, _draw_patch(x, y, outline, 0.40, rng) * 0.92, (26, 18, 17))
    if attributes["blue_grey_nests"]:
        nests = _draw_dots(outline, int(rng.integers(4, 9)), (0.09, 0.20), 2.5, rng)
        colour = _blend(colour, nests * 0.85, (72, 82, 108))
    if attributes["red_lacunae"]:
        lacunae = _draw_dots(outline, int(rng.integers(9, 18)), (0.08, 0.20), 2.0, rng)
        colour = _blend(colour, lacunae * 0.88, (150, 16, 42))
        colour = _shade(colour, lacunae * _ramp(_noise(rng, 12), 1.5), (0.72, 0.6, 0.9))
    if attributes["globules"]:
        globules = _draw_dots(outline, int(rng.integers(20, 40)), (0.04, 0.08), 1.2, rng)
        colour = _shade(colour, globules, (0.28, 0.20, 0.17))
    if attributes["arborizing_vessels"]:
        colour = _blend(colour, _draw_vessels(outline, rng) * 0.85, (178, 24, 40))
    if attributes["milia_like_cysts"]:
        cysts = _draw_dots(outline, int(rng.integers(8, 16)), (0.045, 0.085), 1.5, rng)
        colour = _blend(colour, cysts * 0.92, (255, 246, 214))
    if attributes["streaks"]:
        streaks = _draw_streaks(outline, rng)
        colour = _blend(colour, streaks * 0.9, tuple(np.array(skin) * (0.30, 0.21, 0.17)))
        cover = np.maximum(cover, streaks)
    return _LesionCanvas(np.clip(colour, 0, 255), cover, cover > 0.5)


@dataclass(frozen=True)
class _Outline:
    """The lesion's edge in polar coordinates around its centre, mean radius 1."""

    radii: Float[np.ndarray, " 360"]

    @classmethod
    def draw(cls, attributes: Mapping[str, bool], rng: np.random.Generator) -> _Outline:
        angle = np.arange(360) / 180 * np.pi
        radii = 1 + rng.uniform(0.02, 0.08) * np.cos(2 * (angle - rng.uniform(0, np.pi)))
        if attributes["asymmetric_shape"]:
            lobe, bay = rng.uniform(0, 2 * np.pi), rng.uniform(1.6, 2.6) * rng.choice((-1, 1))
            radii += rng.uniform(0.48, 0.65) * np.exp(3.0 * (np.cos(angle - lobe) - 1))
            radii -= rng.uniform(0.38, 0.52) * np.exp(4.0 * (np.cos(angle - lobe - bay) - 1))
        if attributes["irregular_border"]:
            for harmonic in range(5, 17):
                phase = rng.uniform(0, 2 * np.pi)
                radii += rng.uniform(0.1, 0.35) / harmonic * np.cos(harmonic * angle - phase)
            for notch in rng.uniform(0, 2 * np.pi, int(rng.integers(3, 6))):
                depth, width = rng.uniform(0.15, 0.30), rng.uniform(30, 90)
                radii -= depth * np.exp(width * (np.cos(angle - notch) - 1))
        return cls(radii / radii.mean())

    def radius(self, angle: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Return the edge's distance from the centre in each direction (radians)."""
        return np.interp(np.degrees(angle), np.arange(360), self.radii, period=360)

    def points(
        self, count: int, reach: float, rng: np.random.Generator
    ) -> Float[np.ndarray, "count 2"]:
        """Return points spread evenly over the inner `reach` of the lesion."""
        angle = rng.uniform(0, 2 * np.pi, count)
        distance = np.sqrt(rng.random(count)) * reach * self.radius(angle)
        return np.stack([distance * np.cos(angle), distance * np.sin(angle)], axis=1)


def _draw_base(
    attributes: Mapping[str, bool], skin: Colour, rng: np.random.Generator
) -> Float[np.ndarray, "canvas canvas 3"]:
    """Return the ground colour: light brown, dark brown, pink, or patches of the last two."""
    light = np.array(skin) * (0.80, 0.66, 0.52)
    dark = np.array(skin) * (0.47, 0.33, 0.25)
    pink = np.array(skin) * (0.98, 0.68, 0.68)
    flat = np.ones((_CANVAS_PX, _CANVAS_PX))
    patches = _ramp(_noise(rng, 4), 0.5)
    brown = dark if attributes["dark_brown"] else light
    share = {(False, True): flat, (True, True): patches}.get(
        (attributes["dark_brown"], attributes["pink"]), flat * 0
    )
    ground = brown + share[..., None] * (pink - brown)
    mottling = 1 + 0.07 * _noise(rng, 6) + 0.05 * _noise(rng, 18) + 0.03 * _noise(rng, 50)
    return ground * mottling[..., None]


def _draw_network(x: Canvas, y: Canvas, depth: Canvas, rng: np.random.Generator) -> Canvas:
    """Return a honeycomb: where the sum of three plane waves, 60 degrees apart, is low."""
    wave_number = 2 * np.pi / rng.uniform(0.19, 0.25)
    x, y = x + 0.06 * _noise(rng, 8), y + 0.06 * _noise(rng, 8)
    turn = rng.uniform(0, np.pi) + np.arange(3) * np.pi / 3
    waves = sum(np.cos(wave_number * (x * np.cos(t) + y * np.sin(t))) for t in turn)
    strength = np.clip(0.8 + 0.25 * _noise(rng, 6), 0.4, 1.0)
    return _ramp(-0.35 - waves, 1.5) * _ramp(depth - 0.08, 0.3) * strength


def _draw_patch(
    x: Canvas, y: Canvas, outline: _Outline, radius: float, rng: np.random.Generator
) -> Canvas:
    """Return one ragged blob inside the lesion, away from its centre."""
    ((cx, cy),) = outline.points(1, 0.55, rng)
    size = radius * rng.uniform(0.85, 1.15)
    ragged = 0.10 * _noise(rng, 7) + 0.04 * _noise(rng, 18)
    return _ramp(size - np.hypot(x - cx, y - cy) + ragged, 0.22)


def _draw_dots(
    outline: _Outline,
    count: int,
    radii: tuple[float, float],
    softness_px: float,
    rng: np.random.Generator,
) -> Canvas:
    layer, pen = _blank_layer()
    for cx, cy in outline.points(count, 0.82, rng):
        rx = rng.uniform(*radii)
        ry = rx * rng.uniform(0.75, 1.3)
        ink = int(rng.integers(190, 256))
        pen.ellipse([*_pixels(cx - rx, cy - ry), *_pixels(cx + rx, cy + ry)], fill=ink)
    return _matte(layer.filter(ImageFilter.GaussianBlur(softness_px)))


def _draw_vessels(outline: _Outline, rng: np.random.Generator) -> Canvas:
    """Return a few trunks that wander across the lesion and fork into thinner branches."""
    layer, pen = _blank_layer()
    stack = []
    starts = rng.uniform(0, 2 * np.pi, int(rng.integers(2, 4)))
    for angle, edge in zip(starts, 0.85 * outline.radius(starts), strict=True):
        heading = angle + np.pi + rng.uniform(-0.4, 0.4)
        stack.append((edge * np.cos(angle), edge * np.sin(angle), heading, 1.3, 0.055))
    while stack:
        x, y, heading, length, width = stack.pop()
        travelled = 0.0
        while travelled < length:
            heading += rng.normal(0, 0.25)
            ahead = (x + 0.1 * np.cos(heading), y + 0.1 * np.sin(heading))
            line_px = max(1, round(width * _pixels_per_radius()))
            pen.line([*_pixels(x, y), *_pixels(*ahead)], fill=255, width=line_px)
            x, y = ahead
            travelled += 0.1
            if width > 0.03 and rng.random() < 0.32:
                turn = rng.uniform(0.5, 1.0) * rng.choice((-1, 1))
                stack.append((x, y, heading + turn, rng.uniform(0.3, 0.6), width * 0.7))
    return _matte(layer)


def _draw_streaks(outline: _Outline, rng: np.random.Generator) -> Canvas:
    """Return bunches of finger-like spokes, thick at the tip, that cross the lesion's edge."""
    layer, pen = _blank_layer()
    for bunch in rng.uniform(0, 2 * np.pi) + np.arange(int(rng.integers(2, 4))) * 2.1:
        angles = bunch + np.arange(-0.7, 0.7, 0.19) + rng.normal(0, 0.04, 8)
        for angle, edge in zip(angles, outline.radius(angles), strict=True):
            root, tip = rng.uniform(0.65, 0.8) * edge, edge + rng.uniform(0.12, 0.32)
            lean = rng.normal(0, 0.06)
            x, y = tip * np.cos(angle + lean), tip * np.sin(angle + lean)
            start = _pixels(root * np.cos(angle), root * np.sin(angle))
            pen.line([*start, *_pixels(x, y)], fill=255, width=int(rng.integers(5, 9)))
            bulb = rng.uniform(0.03, 0.055)
            pen.ellipse([*_pixels(x - bulb, y - bulb), *_pixels(x + bulb, y + bulb)], fill=255)
    return _matte(layer.filter(ImageFilter.GaussianBlur(1.5)))


# --- one photograph of it -----------------------------------------------------------------------


def _photograph(
    lesion: _LesionCanvas,
    skin: Colour,
    light: Colour,
    rng: np.random.Generator,
    *,
    hair: bool,
    ruler: bool,
    ink: bool,
) -> tuple[bytes, bytes]:
    """Return the PNG of one rotated, shifted and relit view, and the PNG of the lesion's mask."""
    layers = np.dstack([lesion.colour, lesion.cover * 255, lesion.inside * 255.0])
    colour, cover, inside = np.split(_view(layers, rng), (3, 4), axis=2)
    axis = np.linspace(-1, 1, IMAGE_PX)
    x, y = np.meshgrid(axis, axis)

    texture = 1 + 0.022 * _noise(rng, 5, IMAGE_PX) + 0.018 * _noise(rng, 40, IMAGE_PX)
    image = np.array(skin) * texture[..., None]
    image += cover / 255 * (colour - image)
    if ink:
        image = _blend(image, _draw_ink(rng) * 0.75, (84, 52, 140))
    if ruler:
        image = _blend(image, _draw_ruler(rng) * 0.9, (38, 40, 44))
    if hair:
        image = _blend(image, _draw_hair(rng) * 0.85, (44, 30, 24))
    tilt = rng.uniform(0, 2 * np.pi)
    brightness = rng.uniform(0.9, 1.07) * (1 + 0.06 * (x * np.cos(tilt) + y * np.sin(tilt)))
    vignette = 1 - rng.uniform(0.18, 0.32) * np.hypot(x, y) ** 3 / 2
    warmth = np.array(light) * (1 + rng.uniform(-0.03, 0.03) * np.array([1, 0, -1]))
    image = (
        image * (brightness * vignette)[..., None] * warmth + rng.normal(0, 2.0, x.shape)[..., None]
    )
    return _png(image), _png(np.where(inside[..., 0] > 127, 255.0, 0.0))


def _view(
    layers: Float[np.ndarray, "canvas canvas layer"], rng: np.random.Generator
) -> Float[np.ndarray, "height width layer"]:
    """Rotate, scale and shift a canvas so that the lesion fills 50 to 66 % of the image's width."""
    turn = rng.uniform(0, 2 * np.pi)
    step = _CANVAS_PX / (2 * _REACH) / rng.uniform(0.25, 0.33) / IMAGE_PX
    cos, sin = step * np.cos(turn), step * np.sin(turn)
    middle = np.array([_CANVAS_PX / 2, _CANVAS_PX / 2])
    shifted = np.array([IMAGE_PX / 2, IMAGE_PX / 2]) + rng.uniform(-4, 4, 2)
    offset = middle - np.array([[cos, -sin], [sin, cos]]) @ shifted
    affine = (cos, -sin, offset[0], sin, cos, offset[1])
    return np.dstack(
        [
            np.asarray(
                Image.fromarray(layer.astype(np.float32)).transform(
                    (IMAGE_PX, IMAGE_PX),
                    Image.Transform.AFFINE,
                    affine,
                    Image.Resampling.BILINEAR,
                ),
                dtype=float,
            )
            for layer in np.moveaxis(layers, 2, 0)
        ]
    )


def _draw_hair(rng: np.random.Generator) -> Float[np.ndarray, "height width"]:
    layer, pen = _blank_layer(IMAGE_PX)
    size = IMAGE_PX * _OVERSAMPLE
    time = np.linspace(0, 1, 12)[:, None]
    for _ in range(int(rng.integers(4, 10))):
        a, b, c = rng.uniform(-0.1, 1.1, (3, 2)) * size
        curve = (
            (1 - time) ** 2 * a
            + 2 * time * (1 - time) * (0.6 * (a + c) / 2 + 0.4 * b)
            + time**2 * c
        )
        pen.line(
            [tuple(point) for point in curve.tolist()], fill=255, width=int(rng.integers(2, 4))
        )
    return _matte(layer)


def _draw_ruler(rng: np.random.Generator) -> Float[np.ndarray, "height width"]:
    layer, pen = _blank_layer(IMAGE_PX)
    size = IMAGE_PX * _OVERSAMPLE
    gap = rng.uniform(5, 8) * _OVERSAMPLE
    for tick in range(int(size / gap) + 1):
        length = (10 if tick % 5 == 0 else 6) * _OVERSAMPLE
        pen.line([tick * gap, size - length, tick * gap, size], fill=255, width=4)
    return np.rot90(_matte(layer), int(rng.integers(4)))


def _draw_ink(rng: np.random.Generator) -> Float[np.ndarray, "height width"]:
    layer, pen = _blank_layer(IMAGE_PX)
    size = IMAGE_PX * _OVERSAMPLE
    for _ in range(int(rng.integers(1, 3))):
        (x, y), radius = rng.uniform(0.02, 0.14, 2) * size, rng.uniform(0.05, 0.16) * size
        pen.arc([x - radius, y - radius, x + 2 * radius, y + 2 * radius], 0, 300, 255, 14)
    return np.rot90(_matte(layer), int(rng.integers(4)))


# --- paint and brushes --------------------------------------------------------------------------


def _noise(
    rng: np.random.Generator, cells: int, size: int = _CANVAS_PX
) -> Float[np.ndarray, "size size"]:
    """Return a smooth random field, about standard normal, with `cells` bumps a side."""
    coarse = Image.fromarray(rng.normal(0, 1.25, (cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC), dtype=float)


def _ramp(value: Float[np.ndarray, "*shape"], width: float) -> Float[np.ndarray, "*shape"]:
    """Rise from 0 to 1 while `value` rises over `width` around zero: a smooth step."""
    t = np.clip(value / width + 0.5, 0, 1)
    return t * t * (3 - 2 * t)


def _blend(
    image: Float[np.ndarray, "height width 3"],
    matte: Float[np.ndarray, "height width"],
    colour: Colour,
) -> Float[np.ndarray, "height width 3"]:
    """Paint `colour` over the image where `matte` is 1."""
    return image + matte[..., None] * (np.array(colour) - image)


def _shade(
    image: Float[np.ndarray, "height width 3"],
    matte: Float[np.ndarray, "height width"],
    transmission: Colour,
) -> Float[np.ndarray, "height width 3"]:
    """Let only `transmission` of each channel through where `matte` is 1, as pigment does."""
    return image * (1 - matte[..., None] * (1 - np.array(transmission)))


def _pixels_per_radius() -> float:
    return _CANVAS_PX * _OVERSAMPLE / (2 * _REACH)


def _pixels(x: float, y: float) -> tuple[float, float]:
    """Return the oversampled pixel of a point given in lesion radii."""
    return ((x + _REACH) * _pixels_per_radius(), (y + _REACH) * _pixels_per_radius())


def _blank_layer(size: int = _CANVAS_PX) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    layer = Image.new("L", (size * _OVERSAMPLE, size * _OVERSAMPLE))
    return layer, ImageDraw.Draw(layer)


def _matte(layer: Image.Image) -> Float[np.ndarray, "size size"]:
    """Average an oversampled drawing down to its final size: smooth edges, 0..1."""
    return np.asarray(layer.reduce(_OVERSAMPLE), dtype=float) / 255


def _png(image: Float[np.ndarray, " ..."]) -> bytes:
    buffer = BytesIO()
    Image.fromarray(np.clip(np.rint(image), 0, 255).astype(np.uint8)).save(
        buffer, "PNG", compress_level=2
    )
    return buffer.getvalue()
