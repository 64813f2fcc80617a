"""The page says where concepts are seen, beside what chance and other images would give."""

import io

import numpy as np
from PIL import Image

from curette.schemas.heat_maps import LeftOutImage
from curette.schemas.metrics import Estimate
from curette.schemas.questions.location import (
    ConceptLocation,
    HeatExample,
    LocatedReasons,
    LocatedTruth,
)
from curette.tasks.methods.page.heat_picture import draw_heat
from curette.tasks.methods.page.pictures import PictureBook
from curette.tasks.report.sections.location import location_section


def estimate(value: float) -> Estimate:
    return Estimate(value=value, low=value - 0.01, high=value + 0.01)


def location(ahead: float | None) -> ConceptLocation:
    line = LocatedReasons(
        head="concept bottleneck",
        head_kind="concept_bottleneck",
        reasons=1,
        images=90,
        clm=estimate(0.45),
        ahead_of_others=None if ahead is None else estimate(ahead),
        ahead_of_any=estimate(0.15),
        peak=estimate(0.6),
    )
    example = HeatExample(image_id="a", text="veil", clm=0.4, heat=((0.0, 1.0),))
    return ConceptLocation(
        images=100,
        grid=(3, 4),
        region=0.25,
        most=0.64,
        lesion=0.2,
        heads=(line.model_copy(update={"head": "sparse", "head_kind": "sparse"}), line),
        examples=(example,),
    )


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def nowhere(image_id: str) -> bytes:
    raise FileNotFoundError(image_id)


def said(ahead: float | None) -> str:
    section = location_section(location(ahead), PictureBook(nowhere, 32))
    assert section["examples"][0]["css"] == ""
    return str(section["overview"])


def test_the_overview_stands_beside_what_explains_it() -> None:
    assert said(0.02) == (
        "On 100 test images with a mask, at the encoder's 3 × 4 places, 45% of the lesion lies "
        "where the strongest reason for a decision is hottest (heat that knows nothing: 25%; the "
        "mask itself as heat: 64%). Of the heat of all selected concepts it is 30%. It is ahead of "
        "the other images that have the same reason by +0.020 (+0.010 to +0.030): that much is "
        "about this lesion, the rest is knowing where such lesions usually lie."
    )
    assert "+0.010): the heat may know where such lesions usually lie, but nothing shows" in said(
        0.0
    )
    assert said(None).endswith("too few other people with the same reason to compare with.")


def test_truth_is_told_where_it_parts_the_images() -> None:
    lines = tuple(
        LocatedTruth(
            shown=shown,
            concepts=9,
            images=50,
            clm=estimate(clm),
            ahead_of_others=estimate(ahead),
            peak=estimate(0.5),
        )
        for shown, clm, ahead in ((True, 0.5, 0.02), (False, 0.35, 0.0))
    )
    told = location(0.02).model_copy(update={"by_truth": lines})
    section = location_section(told, PictureBook(nowhere, 32))
    assert section["truth"] == (
        "By the ground truth about 9 concepts: where a concept is there its hottest quarter holds "
        "50%, ahead of others by +0.020 (+0.010 to +0.030); where it is not, 35%, "
        "ahead of others by 0.000 (-0.010 to +0.010)."
    )
    assert location_section(location(0.02), PictureBook(nowhere, 32))["truth"] == ""


def test_what_is_not_computable_says_why_and_of_which_images() -> None:
    left_out = (LeftOutImage(image_id="a", reason="its mask is empty"),)
    none = ConceptLocation(not_computable="no test image has a lesion mask", left_out=left_out)
    section = location_section(none, PictureBook(nowhere, 32))
    assert section["meaning"] == (
        "Where concepts are seen (CLM) is not computable: no test image has a lesion mask."
    )
    assert section["left_out"] == [{"image": "a", "reason": "its mask is empty"}]
    assert section["heads"] == []


def test_the_hottest_place_is_the_reddest_and_the_lesion_has_an_outline() -> None:
    grey = Image.new("RGB", (80, 40), (100, 100, 100))
    mask = np.zeros((20, 40), dtype=np.uint8)
    mask[5:15, 15:25] = 1
    drawn = draw_heat(grey, [[0.0, 0.1], [0.2, 0.3]], "shortest", Image.fromarray(mask), 64)
    pixels = np.asarray(drawn).astype(int)
    assert pixels.shape == (64, 64, 3)
    corners = [pixels[y, x] for y, x in ((2, 2), (2, 61), (61, 2), (61, 61))]
    red = [int(c[0] - c[1]) for c in corners]
    assert red == sorted(red)
    assert red[0] == 0 < red[1]
    white = np.argwhere((pixels == 255).all(2))
    assert white.min() >= 14  # a quarter of the square, where the mask begins
    assert white.max() <= 49
    flat = np.asarray(draw_heat(grey, [[0.5]], "squash", None, 16))
    assert (flat == 100).all(), "a map without differences shows no heat"


def test_a_heat_map_needs_no_mask_and_a_broken_one_costs_the_outline_only() -> None:
    image = png(Image.new("RGB", (30, 30), (100, 100, 100)))
    books = (
        PictureBook(lambda _: image, 32),
        PictureBook(lambda _: image, 32, nowhere),
        PictureBook(lambda _: image, 32, lambda _: b"no image"),
    )
    for book in books:
        assert book.heat("a", [[0.0, 1.0]], "shortest", 32) == "p0"
    assert len({book.shown[0].uri for book in books}) == 1
    empty = PictureBook(lambda _: image, 32, lambda _: png(Image.new("L", (30, 30))))
    assert empty.heat("a", [[0.0, 1.0]], "shortest", 32) == "p0"
