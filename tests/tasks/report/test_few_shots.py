"""The few-shot chart shows every head, and the table what leads and what does not."""

import re
from itertools import pairwise

import pytest

from schemas.few_shots import FewShotCurves, FewShotHeadKind, FewShotLead, FewShotPoint
from tasks.report.few_shots import few_shot_chart, few_shot_section

_HEADS: tuple[FewShotHeadKind, ...] = ("linear_probe", "prior", "nearest_mean")


def _curves() -> FewShotCurves:
    values = {"linear_probe": 0.6, "prior": 0.7, "nearest_mean": 0.601}
    return FewShotCurves(
        points=tuple(
            FewShotPoint(shots=n, head=h, value=values[h], low=0.5, high=0.8, seeds=2)
            for n in (1, 4, None)
            for h in _HEADS
        ),
        leads=tuple(
            FewShotLead(shots=n, head=h, value=0.1, low=low, high=0.2, seeds=2)
            for n, low in ((1, 0.05), (4, -0.05), (None, -0.05))
            for h in _HEADS[1:]
        ),
        confidence=0.9,
        resamples=500,
        images=30,
        groups=20,
    )


def test_each_head_is_a_line_with_a_band_and_a_label_of_its_own() -> None:
    chart = few_shot_chart(_curves().points)
    assert chart.count("<polyline") == chart.count("<polygon") == 3
    labels = re.findall(r'class="name" x="[\d.]+" y="([\d.]+)"[^>]*>([a-z ]+)<', chart)
    assert {name for _, name in labels} == {"linear probe", "prior", "nearest mean"}
    places = sorted(float(y) for y, _ in labels)
    assert min(b - a for a, b in pairwise(places)) >= 14.9


def test_shots_stand_by_their_logarithm_and_all_images_last() -> None:
    chart = few_shot_chart(_curves().points)
    line = re.findall(r'<polyline points="([^"]+)"', chart)[0]
    one, four, everything = (float(p.split(",")[0]) for p in line.split())
    assert four - one == pytest.approx(2 * (everything - four), abs=0.2)


def test_a_lead_counts_only_when_its_interval_leaves_zero_out() -> None:
    section = few_shot_section(_curves())
    assert section["sizes"] == ["1", "4", "all"]
    linear, prior, _ = section["rows"]
    assert [cell["verdict"] for cell in prior["cells"]] == ["ahead", "", ""]
    assert prior["cells"][0]["lead"] == "+0.100"
    assert {cell["lead"] for cell in linear["cells"]} == {""}


def test_a_head_that_is_behind_is_said_to_be() -> None:
    curves = _curves()
    behind = FewShotLead(shots=1, head="prior", value=-0.1, low=-0.2, high=-0.01, seeds=2)
    section = few_shot_section(curves.model_copy(update={"leads": (behind,)}))
    assert section["rows"][1]["cells"][0]["verdict"] == "behind"


def test_the_page_says_how_the_intervals_came() -> None:
    about = few_shot_section(_curves())["about"]
    assert "2 draws" in about
    assert "90% from 500 resamples of 20 independent test groups" in about
    assert "selects its concepts from its own images" in about


def test_all_images_alone_are_one_place() -> None:
    chart = few_shot_chart([p for p in _curves().points if p.shots is None])
    assert len(set(re.findall(r'<circle cx="([\d.]+)"', chart))) == 1
