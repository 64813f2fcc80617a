"""What identifies a class in thirteen fields, and what is ordinary English in their names.

`leaks.csv` was written by hand before the rule; retina, dogs and mushrooms after it, and measured
once before a word was changed for them: precision .83, .92 and .75, recall 1, .92 and 1. So were
the last five: precision .71, .80, .92, .82 and .93, recall 1, 1, .92, .88 and .81.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from curette.schemas.images import ClassLabel
from curette.tasks.methods.wording.class_names import find_leak, read_class_names

CLASSES = {
    "dermatology": (
        "nv: melanocytic nevus = mole = atypical nevus = common nevus; "
        "mel: melanoma; "
        "bkl: benign keratosis-like lesions (solar lentigines / seborrheic keratoses); "
        "bcc: basal cell carcinoma = BCC; "
        "scc: squamous cell carcinoma; "
        "df: dermatofibroma; "
        "vasc: vascular lesion = angioma"
    ),
    "flowers": (
        "1: great masterwort; "
        "2: tiger lily; "
        "3: spear thistle; "
        "4: king protea; "
        "5: sweet pea; "
        "6: english marigold; "
        "7: sunflower; "
        "8: bird of paradise; "
        "9: black-eyed susan; "
        "10: morning glory; "
        "11: common dandelion; "
        "12: passion flower; "
        "13: tree poppy; "
        "14: canna lily; "
        "15: sword lily; "
        "16: fire lily; "
        "17: balloon flower; "
        "18: purple coneflower; "
        "19: globe thistle; "
        "20: bearded iris; "
        "21: water lily; "
        "22: trumpet creeper; "
        "23: rose"
    ),
    "chest x-ray": (
        "1: Atelectasis; "
        "2: Cardiomegaly; "
        "3: Effusion; "
        "4: Consolidation; "
        "5: Pneumonia; "
        "6: Pneumothorax; "
        "7: Edema; "
        "8: Emphysema; "
        "9: Fibrosis; "
        "10: Pleural_Thickening; "
        "11: Hernia; "
        "12: No Finding; "
        "13: Lung Opacity; "
        "14: Nodule; "
        "15: Fracture; "
        "16: Support Devices"
    ),
    "blood cells": (
        "1: neutrophil; "
        "2: eosinophil; "
        "3: basophil; "
        "4: lymphocyte = reactive lymphocyte; "
        "5: monocyte; "
        "6: platelet; "
        "7: erythroblast; "
        "ig: immature granulocyte"
    ),
    "birds": (
        "1: Black-footed Albatross; "
        "2: Red-winged Blackbird; "
        "3: Indigo Bunting; "
        "4: Painted Bunting; "
        "5: White-throated Sparrow; "
        "6: Ring-billed Gull; "
        "7: Herring Gull; "
        "8: Northern Cardinal; "
        "9: Ruby-throated Hummingbird; "
        "10: Barn Swallow; "
        "11: House Wren; "
        "12: Belted Kingfisher; "
        "13: Scarlet Tanager; "
        "14: Brown Pelican; "
        "15: Least Flycatcher; "
        "16: Great Crested Flycatcher; "
        "17: Yellow-headed Blackbird; "
        "18: Tree Swallow"
    ),
    "retina": (
        "0: no diabetic retinopathy; "
        "1: glaucoma; "
        "2: age-related macular degeneration; "
        "3: cataract; "
        "4: retinal vein occlusion; "
        "5: hypertensive retinopathy; "
        "6: pathological myopia; "
        "7: central serous chorioretinopathy"
    ),
    "dogs": (
        "1: golden retriever; "
        "2: german shepherd; "
        "3: great dane; "
        "4: border collie; "
        "5: boston terrier; "
        "6: english springer spaniel; "
        "7: siberian husky; "
        "8: saint bernard; "
        "9: old english sheepdog; "
        "10: toy poodle; "
        "11: basset hound; "
        "12: irish wolfhound"
    ),
    "mushrooms": (
        "1: fly agaric; "
        "2: death cap; "
        "3: chanterelle; "
        "4: penny bun = cep = porcini; "
        "5: shaggy ink cap; "
        "6: turkey tail; "
        "7: oyster mushroom; "
        "8: honey fungus; "
        "9: destroying angel; "
        "10: lion's mane; "
        "11: giant puffball; "
        "12: wood blewit"
    ),
    "garden flowers": (
        "1: foxglove; "
        "2: wallflower; "
        "3: snapdragon; "
        "4: love in the mist; "
        "5: moon orchid; "
        "6: stemless gentian; "
        "7: monkshood; "
        "8: silverbush; "
        "9: bishop of llandaff; "
        "10: hard-leaved pocket orchid; "
        "11: pincushion flower; "
        "12: bee balm; "
        "13: cape flower; "
        "14: lotus; "
        "15: blanket flower; "
        "16: garden phlox; "
        "17: prince of wales feathers; "
        "18: ruby-lipped cattleya; "
        "19: cautleya spicata; "
        "20: bromelia; "
        "21: pink-yellow dahlia; "
        "22: red ginger"
    ),
    "more birds": (
        "1: American Goldfinch; "
        "2: Blue Jay; "
        "3: Downy Woodpecker; "
        "4: Mourning Dove; "
        "5: Cedar Waxwing; "
        "6: Chipping Sparrow; "
        "7: Common Yellowthroat; "
        "8: Horned Grebe; "
        "9: Purple Finch; "
        "10: Rose-breasted Grosbeak; "
        "11: Bank Swallow; "
        "12: Acadian Flycatcher; "
        "13: Gray Catbird; "
        "14: Brown Thrasher; "
        "15: Forster's Tern; "
        "16: Laysan Albatross; "
        "17: Chuck-will's-widow; "
        "18: American Redstart; "
        "19: Boat-tailed Grackle"
    ),
    "smears": (
        "1: superficial-intermediate cell; "
        "2: parabasal cell; "
        "3: koilocytotic cell = koilocyte; "
        "4: dyskeratotic cell; "
        "5: metaplastic cell; "
        "6: red blood cell; "
        "7: trophozoite; "
        "8: schizont; "
        "9: ring-stage; "
        "10: gametocyte; "
        "11: leukocyte; "
        "12: blast; "
        "13: promyelocyte; "
        "14: band neutrophil; "
        "15: smudge cell"
    ),
    "more x-rays": (
        "1: COVID-19; "
        "2: bacterial pneumonia; "
        "3: tuberculosis = TB; "
        "4: normal; "
        "5: pulmonary oedema; "
        "6: pleural effusion; "
        "7: rib fracture; "
        "8: lung cancer; "
        "9: scoliosis; "
        "10: cardiac enlargement; "
        "11: aortic atherosclerosis; "
        "12: pneumoperitoneum; "
        "13: bronchiectasis"
    ),
    "colon": (
        "1: adipose; "
        "2: background; "
        "3: debris; "
        "4: lymphocytes; "
        "5: mucus; "
        "6: smooth muscle; "
        "7: normal colon mucosa; "
        "8: cancer-associated stroma; "
        "9: colorectal adenocarcinoma epithelium; "
        "10: dyed lifted polyp; "
        "11: ulcerative colitis grade 2; "
        "12: esophagitis; "
        "13: normal cecum"
    ),
}
"""Field -> `key: name = synonym; ...`."""


def labels(field: str) -> Iterator[ClassLabel]:
    for entry in CLASSES[field].split("; "):
        key, _, names = entry.partition(": ")
        name, *synonyms = names.split(" = ")
        yield ClassLabel(key=key, name=name, synonyms=tuple(synonyms))


@pytest.mark.parametrize("field", CLASSES)
def test_what_names_a_class_is_found_and_ordinary_english_is_let_through(field: str) -> None:
    with (Path(__file__).parents[1] / "leaks.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["field"] == field]
    names = read_class_names([*labels(field)])
    found = {row["text"] for row in rows if find_leak(row["text"], names)}
    leaks = {row["text"] for row in rows if row["leak"] == "1"}
    assert leaks <= found  # nothing that names a class gets through
    assert len(leaks) / len(found) >= 0.9, found - leaks
    assert len(rows) - len(leaks) >= 12


def test_a_phrase_of_ordinary_words_is_still_the_name() -> None:
    names = read_class_names([*labels("flowers"), *labels("chest x-ray")])
    for text in ("a balloon flower", "thickening of the pleura", "Lung opacities"):
        assert find_leak(text, names) is not None
    for text in ("balloon-shaped bud", "thickening of the fissure", "opacity in one lung base"):
        assert find_leak(text, names) is None
