"""A shift's section tells both sides, and neither more nor less than the intervals do."""

import csv
import io
import re

from curette.schemas.images import ClassLabel
from curette.schemas.questions.shifts import (
    ConfounderScore,
    ShiftResult,
    ShiftTables,
    ShiftValue,
    WorstGroup,
)
from curette.schemas.settings.draw import ConfoundedShift, DomainShift
from curette.schemas.shifts import DatasetShift, ShiftPart, ShiftPartName, ShiftPlan, UnusableDraw
from curette.tasks.report.sections.shifts import domain_chart, findings, shift_section

_CLASSES = (ClassLabel(key="mel", name="melanoma"), ClassLabel(key="nv", name="nevus"))


def _value(head: str, of: str, value: float, low: float, high: float) -> ShiftValue:
    lead = {} if head == "linear probe" else {"lead": 0.1, "lead_low": 0.02, "lead_high": 0.2}
    kind = "majority" if head == "majority class" else head.replace(" ", "_")
    name = "accuracy" if of == "worst_group" else "balanced_accuracy"
    said = {"head": head, "head_kind": kind, "name": name, "of": of}
    return ShiftValue.model_validate(said | {"value": value, "low": low, "high": high} | lead)


def _part(name: ShiftPartName, images: int, effective: float) -> ShiftPart:
    return ShiftPart(name=name, images=images, effective_images=effective, groups=9, classes=2)


def _result(
    shift: DomainShift | ConfoundedShift | DatasetShift, pairing: tuple[str, ...] = ()
) -> ShiftResult:
    values = [
        _value("linear probe", "in_domain", 0.9, 0.85, 0.95),
        _value("linear probe", "out_of_domain", 0.5, 0.4, 0.6),
        _value("linear probe", "gap", 0.4, 0.3, 0.5),
        _value("concept bottleneck", "in_domain", 0.8, 0.7, 0.9),
        _value("concept bottleneck", "out_of_domain", 0.75, 0.6, 0.9),
        _value("concept bottleneck", "gap", 0.05, -0.1, 0.2),
        _value("concept bottleneck", "worst_group", 0.3, 0.1, 0.5),
        _value("majority class", "in_domain", 0.5, 0.5, 0.5),
    ]
    return ShiftResult(
        plan=ShiftPlan(
            spec=shift, values=("no", "yes"), pairing=pairing, parts=(_part("training", 50, 50),)
        ),
        parts=(_part("in_domain", 1100, 900.4), _part("out_of_domain", 1100, 30)),
        left_out=("nv",),
        smaller_side={"mel": 30},
        values=tuple(values),
        worst_groups=(
            WorstGroup(head="concept bottleneck", class_key="mel", value="no", images=12),
        ),
        confounders=tuple(
            ConfounderScore(
                concept_id=str(i), text=f"hair {i}", value="yes", within_class_auroc=w, auroc=0.9
            )
            for i, w in enumerate((0.8, 0.3, None, *[0.5] * 37))
        ),
    )


def _section(result: ShiftResult) -> dict[str, object]:
    tables = ShiftTables(
        results=(result,),
        unusable=(UnusableDraw(title="site", reason="none is left"),),
        confidence=0.9,
        resamples=500,
        smallest=10,
        fewest=5,
    )
    section = shift_section(tables, _CLASSES)
    assert section["unusable"] == tables.unusable
    return dict(section["shifts"][0])


_CONFOUNDED = ConfoundedShift(kind="confounded", column="ruler")
_DOMAIN = DomainShift(kind="domain", column="ruler", train_on=("no",))


_DATASET = DatasetShift(
    name="clinic",
    source="12 images in /data",
    synthetic=False,
    rejected={"other-class": 3, "study-image": 2, "broken-image": 1},
    near_copies=0,
    near_copy_cosine=0.995,
    pretraining_covers="unknown",
)


def test_another_dataset_says_what_it_is_and_what_speaks_against_it() -> None:
    section = _section(_result(_DATASET))
    assert section["title"] == "another dataset: clinic"
    assert section["told_by"] == "the test images of both datasets"
    assert section["about"] == (
        "Out of domain are 1,100 images of clinic (12 images in /data), by which nothing was "
        "trained or chosen; in domain are 1,100 test images of the study. Heads and concepts are "
        "those of the results above, as they are. Whether the encoder was pretrained on them is "
        "not known. Rejected were 3 of no class of the study, 2 which are images of the study byte "
        "for byte, 1 broken-image. Near-duplicates of the study's own images "
        "(cosine of at least 0.995): 0. Left out, since one side has too few: nevus. Independent "
        "groups on the smaller side: melanoma 30."
    )


def test_drawn_pretrained_copied_and_worn_out_images_are_said_to_be() -> None:
    spoiled = _DATASET.model_copy(
        update={
            "synthetic": True,
            "pretraining_covers": "yes",
            "near_copies": 4,
            "readings": "These test labels have been read 2 times before.",
        }
    )
    about = str(_section(_result(spoiled))["about"])
    assert "They were drawn by the project itself, and say nothing about medicine." in about
    assert "The encoder was pretrained on them, so these numbers are likely" in about
    assert "same picture, this is not another dataset. These test labels have" in about


def test_a_smaller_calibration_error_is_better_and_a_larger_gap_of_it_is() -> None:
    values = [
        _value("concept bottleneck", of, 0.1, 0.05, 0.2).model_copy(
            update={"name": "debiased_calibration_error"}
        )
        for of in ("in_domain", "out_of_domain", "gap", "mean")
    ]
    result = _result(_DATASET)
    tables = _section(result.model_copy(update={"values": (*result.values, *values)}))["tables"]
    assert isinstance(tables, list)
    [table] = [t for t in tables if t["metric"] == "calibration error"]
    [row] = table["rows"][1:2]
    assert [c and c["verdict"] for c in row["cells"]] == ["bad", "bad", "good", "bad"]
    assert "macro AUROC" not in [t["metric"] for t in tables], "nothing was measured"


def test_what_may_be_chance_is_said_to_be() -> None:
    assert _section(_result(_CONFOUNDED, ("yes", "no")))["verdict"] == (
        "The linear probe falls from 0.900 in domain to 0.500 out of domain. The concept "
        "bottleneck goes from 0.800 in domain to 0.750 out of domain, which may be chance."
    )


def test_few_groups_are_said_to_make_intervals_too_narrow() -> None:
    thin = _result(_DOMAIN).model_copy(update={"smaller_side": {"mel": 30, "nv": 7}})
    verdict = str(_section(thin)["verdict"])
    assert verdict.endswith(
        "The class with the fewest images on one side has 7 independent groups: intervals of so "
        "few are too narrow, so a difference that they barely show may be chance too."
    )


def test_pairs_weights_and_left_out_classes_are_told() -> None:
    about = str(_section(_result(_CONFOUNDED, ("yes", "no")))["about"])
    assert "(melanoma: yes, nevus: no)" in about
    assert "as much as 30 of equal weight" in about
    about = str(_section(_result(_DOMAIN))["about"])
    assert about == (
        "In domain is ruler no (1,100 test images), out of domain yes (1,100). Left out, since one "
        "side has too few: nevus. Independent groups on the smaller side: melanoma 30."
    )


def test_a_class_that_training_lacks_is_told_apart_from_one_that_a_side_lacks() -> None:
    result = _result(_DOMAIN)
    plan = result.plan.model_copy(update={"left_out": ("nv",)})
    told = result.model_copy(update={"plan": plan})
    about = str(_section(told)["about"])
    assert "since training lacks one of its values: nevus. Independent groups" in about
    assert "one side has too few" not in about


def test_a_smaller_gap_is_better_and_a_larger_value_is() -> None:
    table = _section(_result(_DOMAIN))["tables"]
    assert isinstance(table, list)
    linear, bottleneck, _ = table[0]["rows"]
    assert [c and c["lead"] for c in linear["cells"]] == ["", "", "", None, None]
    verdicts = [c and c["verdict"] for c in bottleneck["cells"]]
    assert verdicts == ["good", "good", "bad", None, "good"]
    assert bottleneck["worst"] == "melanoma, no"


def test_each_head_that_learns_is_a_full_and_a_hollow_dot() -> None:
    chart = domain_chart(_result(_DOMAIN).values)
    ends = [(row["name"], row["of"]) for row in csv.DictReader(io.StringIO(chart.csv))]
    assert len(ends) == 4
    assert {of for _, of in ends} == {"in domain", "out of domain"}
    assert not any("majority" in name for name, _ in ends)
    opacities = re.findall(r'aria-label[^>]*|fill-opacity="([01])"', chart.svg)
    assert sorted(x for x in opacities if x)[-4:].count("1") == 2


def test_ten_concepts_are_listed_by_what_they_tell_within_classes() -> None:
    section = _section(_result(_DOMAIN))
    assert section["concepts"] == 40
    rows = section["confounders"]
    assert isinstance(rows, list)
    assert len(rows) == 10
    assert [(r["within"], r["raises"]) for r in rows[:3]] == [
        ("0.800", True),
        ("0.300", False),
        ("–", True),
    ]
    assert rows[0]["width"] == 70 * 2 * (0.8 - 0.5)
    assert {r["auroc"] for r in rows} == {"0.900"}


def test_shifts_that_part_the_heads_or_fell_the_bottleneck_are_the_findings() -> None:
    parting, both = _result(_CONFOUNDED), _result(_DOMAIN)
    worse = [
        v if v.head != "concept bottleneck" else v.model_copy(update={"value": x, "low": x - 0.1})
        for v in both.values
        for x in [{"out_of_domain": 0.5, "gap": 0.3}.get(v.of, v.value)]
    ]
    both = both.model_copy(update={"values": tuple(worse)})
    tables = ShiftTables(
        results=(both, parting), unusable=(), confidence=0.9, resamples=500, smallest=10, fewest=5
    )
    assert findings(tables) == [
        "When ruler and class no longer go together as in training, the linear probe falls from "
        "0.900 to 0.500 and the concept bottleneck goes from 0.800 to 0.750, which may be chance "
        "(balanced accuracy).",
        "On images whose ruler was not trained on, the linear probe falls from 0.900 to 0.500 and "
        "the concept bottleneck falls from 0.800 to 0.500 (balanced accuracy).",
    ]
