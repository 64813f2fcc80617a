"""Spelling, plurals and word forms of medical English."""

import pytest

from curette.tasks.methods.wording.words import fold, stem, words


@pytest.mark.parametrize(
    ("british", "american"),
    [
        ("Haemorrhages of grey-centred naevi", "hemorrhages of gray-centered nevi"),
        ("discoloured oedema, 5 millimetres", "discolored edema, 5 millimeters"),
        ("leukaemia, oestrogen, diarrhoea, foetal", "leukemia, estrogen, diarrhea, fetal"),
        ("tumour fibres; a line of defence", "tumor fibers; a line of defense"),
    ],
)
def test_british_spelling_becomes_american(british: str, american: str) -> None:
    assert fold(british) == american


@pytest.mark.parametrize("text", ["the toe does hurt", "four hours of our course", "bullae"])
def test_what_only_looks_british_stays(text: str) -> None:
    assert fold(text) == text


@pytest.mark.parametrize(
    "forms",
    [
        "nevus nevi nevus",
        "keratosis keratoses keratotic",
        "lentigo lentigines",
        "bulla bullae bullas",
        "carcinoma carcinomas carcinomata carcinomatous",
        "comedo comedones",
        "telangiectasis telangiectases telangiectatic",
        "metastasis metastases metastatic",
        "bacterium bacteria",
        "septum septa",
        "effusion effusions",
        "eosinophil eosinophils eosinophilic",
    ],
)
def test_forms_of_a_word_have_one_stem(forms: str) -> None:
    assert len({stem(word) for word in forms.split()}) == 1


def test_different_words_have_different_stems() -> None:
    others = ["nevus", "nerve", "scale", "scar", "scalp", "focus", "fungus", "network", "vessel"]
    assert len({stem(word) for word in others}) == len(others)


def test_hyphens_slashes_and_underscores_part_words() -> None:
    assert words("Blue-white veil/haze, 3–5 mm, bull’s-eye_spot 10%") == [
        *("blue", "white", "veil", "haze", "3", "5", "mm", "bulls", "eye", "spot", "10", "%")
    ]
