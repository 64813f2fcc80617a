"""What gives a class away, and what does not."""

import pytest

from curette.schemas.images import ClassLabel
from curette.tasks.methods.wording.class_names import find_leak, read_class_names

SKIN = (
    ClassLabel(key="nv", name="melanocytic nevus", synonyms=("mole",)),
    ClassLabel(key="mel", name="melanoma"),
    ClassLabel(key="bkl", name="benign keratosis-like lesions (solar lentigines / lichen planus)"),
    ClassLabel(key="bcc", name="basal cell carcinoma", synonyms=("BCC",)),
    ClassLabel(key="vasc", name="vascular lesion"),
)
OTHERS = (
    ClassLabel(key="0", name="PleuralEffusion"),
    ClassLabel(key="1", name="Lung Opacity"),
    ClassLabel(key="2", name="normal"),
    ClassLabel(key="3", name="micro aneurysm"),
    ClassLabel(key="4", name="eosinophil"),
    ClassLabel(key="5", name="Nodule"),
    ClassLabel(key="acute_leukaemia", name="AML"),
    ClassLabel(key="7", name="smooth muscle"),
    ClassLabel(key="8", name="covid-19"),
    ClassLabel(key="CXR-9", name="other finding"),
    ClassLabel(key="x10b", name="diabetic retinopathy"),
    ClassLabel(key="11", name="chronic lymphocytic leukemia"),
)
NAMES = read_class_names((*SKIN, *OTHERS))


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("vascular lesions", "vasc"),
        ("perivascular halo", "vasc"),
        ("basal-cell carcinomas", "bcc"),
        ("a basalcell look", "bcc"),
        ("basaloid nests", "bcc"),
        ("BCC-like shine", "bcc"),
        ("a carcinoma of basal cells", "bcc"),
        ("several nevi", "nv"),
        ("naevi", "nv"),
        ("nevus-like spot", "nv"),
        ("melanocytes in nests", "nv"),
        ("brown moles", "nv"),
        ("non-melanoma look", "mel"),
        ("nonmelanomatous patch", "mel"),
        ("keratotic plugs", "bkl"),
        ("a keratosis", "bkl"),
        ("one lentigo", "bkl"),
        ("blunting by an effusion", "0"),
        ("pleural effusions", "0"),
        ("lung opacities", "1"),
        ("normal heart size", "2"),
        ("microaneurysms", "3"),
        ("micro-aneurysm", "3"),
        ("small aneurysms", "3"),
        ("eosinophilic granules", "4"),
        ("nodular outline", "5"),
        ("leukemia cells", "acute_leukaemia"),
        ("smooth muscles", "7"),
        ("covid pattern", "8"),
        ("covid19 pattern", "8"),
        ("BCCs", "bcc"),
        ("bcc", "bcc"),
        ("typical of an nv", "nv"),
        ("like CXR-9", "CXR-9"),
        ("like cxr9", "CXR-9"),
        ("a CXR look", "CXR-9"),
        ("x10b type", "x10b"),
        ("signs of DR", "x10b"),
        ("a case of CLL", "11"),
        ("cll cells", "11"),
    ],
)
def test_names_stems_plurals_and_joined_forms_leak(text: str, key: str) -> None:
    leak = find_leak(text, NAMES)
    assert leak is not None
    assert leak.class_key == key


@pytest.mark.parametrize(
    "text",
    [
        "benign look",
        "dark brown lesion",
        "cells with a large nucleus",
        "pleural line",
        "opacity in the lower zone",
        "smooth outline",
        "muscle fibres",
        "abnormal vessels",
        "19 small dots",
        "microcysts",
        "red lacunae",
        "like a stain of the skin",
        "molecular layer",
        "class 4",
        "dr smith's sign",
        "x10 magnification",
        "a pm note",
        "A SPOT OF RED",
    ],
)
def test_plain_words_of_a_name_do_not_leak_on_their_own(text: str) -> None:
    assert find_leak(text, NAMES) is None


def test_every_class_of_the_study_counts_and_the_words_are_evidence() -> None:
    leak = find_leak(
        "darker than Seborrhoeic Keratoses",
        read_class_names(
            [ClassLabel(key="a", name="melanoma"), ClassLabel(key="b", name="seborrheic keratosis")]
        ),
    )
    assert leak is not None
    assert (leak.class_key, leak.name, leak.words) == ("b", "seborrheic keratosis", "seborrheic")


def test_classes_named_by_numbers_leak_nothing() -> None:
    names = read_class_names([ClassLabel(key=str(k), name=str(k)) for k in range(5)])
    assert find_leak("3 or 4 dots of 2 mm", names) is None
