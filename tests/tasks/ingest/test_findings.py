"""Several findings an image: one set of splits, and what is unclear left out of one alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curette.schemas.artifact import StudyError
from curette.schemas.settings.ingest import DatasetSpec
from curette.tasks.ingest.dataset import LabelledImages
from tests.tasks.ingest.conftest import ReadTable

COUNT = 60
FINDINGS = {"edema": "pulmonary edema", "mass": "mass"}
SPEC: dict[str, Any] = {"findings": FINDINGS, "subject_column": "patient"}


def chest(seed: int = 0) -> dict[str, list[Any]]:
    """Return a table of 60 images of 30 patients: edema on one in three, a mass on one in ten."""
    generator = np.random.default_rng(seed)
    return {
        "patient": [f"p{i // 2}" for i in range(COUNT)],
        "edema": (generator.random(COUNT) < 0.33).astype(int).tolist(),
        "mass": [int(i in (0, 9, 18, 27, 36, 45)) for i in range(COUNT)],
    }


def of(found: LabelledImages, key: str, **fields: Any) -> LabelledImages:
    source = {"kind": "table", "path": Path("unused"), "image_column": "image"}
    return found.of_finding(DatasetSpec(source=source, finding=key, **SPEC, **fields))


def test_each_finding_is_a_class_against_its_absence(read_table: ReadTable) -> None:
    columns = chest()
    found = read_table(columns, finding="edema", **SPEC)
    assert [(c.key, c.name, c.beside) for c in found.classes] == [
        ("edema", "pulmonary edema", ()),
        ("no edema", "no pulmonary edema", ("mass",)),
    ]
    shown = of(found, "edema").images["label"].value_counts().to_dict()
    there = sum(columns["edema"])
    assert shown == {"edema": there, "no edema": COUNT - there}


def test_all_findings_have_the_same_splits_with_the_rarest_in_each(read_table: ReadTable) -> None:
    columns = chest()
    columns["edema"][3] = columns["edema"][10] = -1
    first, second = (read_table(columns, finding=key, **SPEC) for key in FINDINGS)
    assert first.images["split"].tolist() == second.images["split"].tolist()
    parts = first.images.groupby("subject")["split"].nunique()
    assert set(parts) == {1}
    edema, mass = of(first, "edema"), of(second, "mass")
    assert len(mass.images) == COUNT
    assert len(edema.images) == COUNT - 2
    own = mass.images.set_index("image_id").loc[edema.images["image_id"]]
    assert own["split"].tolist() == edema.images["split"].tolist()
    assert own["group"].tolist() == edema.images["group"].tolist()
    assert set(mass.images[mass.images["label"] == "mass"]["split"]) == {
        "train",
        "validation",
        "test",
    }


def test_what_is_blank_or_uncertain_is_left_out_with_its_reason_or_counts_as_absent(
    read_table: ReadTable,
) -> None:
    columns = chest()
    columns["edema"][3], columns["edema"][10] = None, -1
    found = read_table(columns, finding="edema", **SPEC)
    edema = of(found, "edema")
    assert sorted((r.reason, r.detail) for r in edema.rejected) == [
        ("unclear-finding", "whether it shows `edema` is blank"),
        ("unclear-finding", "whether it shows `edema` is uncertain"),
    ]
    assert "Of 1 images the finding is blank: left out." in edema.notes
    counted = of(found, "edema", finding_labels={"blank": "absent", "uncertain": "absent"})
    assert len(counted.images) == COUNT
    assert not counted.rejected


def test_cells_that_name_several_findings_say_the_same_as_columns(read_table: ReadTable) -> None:
    columns = chest()
    rows = zip(columns["edema"], columns["mass"], strict=True)
    cells = [
        "|".join(k for k, there in zip(FINDINGS, row, strict=True) if there) or "No Finding"
        for row in rows
    ]
    told = {"separator": "|", "others": ["No Finding"]}
    in_cells = read_table(
        {"patient": columns["patient"], "label": cells},
        finding="edema",
        finding_labels=told,
        **SPEC,
    )
    in_columns = read_table(columns, finding="edema", **SPEC)
    assert in_cells.images.equals(in_columns.images)


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (
            2,
            "the column `edema` of a finding or class has 1 cells that are none of .* `2` in row 5",
        ),
        ("maybe", "`maybe` in row 5"),
    ],
)
def test_a_strange_cell_is_one_error_that_names_finding_and_row(
    read_table: ReadTable, cell: object, said: str
) -> None:
    columns = chest()
    columns["edema"] = [str(x) for x in columns["edema"]]
    columns["edema"][4] = str(cell)
    with pytest.raises(StudyError, match=said):
        read_table(columns, finding="mass", **SPEC)


def test_an_unknown_part_of_a_cell_is_one_error_that_names_all_of_them(
    read_table: ReadTable,
) -> None:
    cells = ["edema|mass", "edma", "No Finding"] * 20
    with pytest.raises(StudyError, match=r"row 2: `edma` \(20\), `No Finding` \(20\)"):
        read_table(
            {"label": cells},
            findings=FINDINGS,
            finding="mass",
            finding_labels={"separator": "|"},
        )


def test_a_finding_that_no_training_image_shows_stops_the_first_study_of_all(
    read_table: ReadTable,
) -> None:
    columns = chest() | {"part": [("train", "val", "test")[i % 3] for i in range(COUNT)]}
    columns["mass"] = [int(i % 3 == 2 and i < 30) for i in range(COUNT)]
    del columns["patient"]
    fields = {"findings": FINDINGS, "split_column": "part"}
    found = read_table(columns, finding="edema", **fields)
    with pytest.raises(StudyError, match="`mass`: no train image shows it"):
        of(found, "edema")


def test_equal_bytes_must_agree_in_all_findings(read_table: ReadTable) -> None:
    columns = chest() | {"image": [max(i, 1) for i in range(COUNT)]}
    columns["mass"][0], columns["mass"][1] = 1, 0
    found = read_table(columns, finding="edema", max_rejected=1, **SPEC)
    assert [r.reason for r in found.rejected] == ["conflicting-labels"] * 2
