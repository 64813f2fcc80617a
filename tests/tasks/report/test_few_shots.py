"""The few-shot chart shows every head, and the table what leads and what does not."""

import csv
import io

from curette.schemas.heads import FewShotBaseline, HeadKind, card_of, choosable, trained
from curette.schemas.questions.few_shots import FewShotCurves, FewShotLead, FewShotPoint
from curette.tasks.methods.page.charts import Figure
from curette.tasks.report.sections.few_shots import few_shot_chart, few_shot_section

_HEADS: tuple[HeadKind, ...] = ("linear_probe", "prior", "nearest_mean")

_BASELINES: dict[FewShotBaseline, float] = {
    "linear_probe": 0.1,
    "shuffled_prior": 0.06,
    "averaged_linear_probe": 0.07,
    "best_probe": 0.08,
}


def _curves(heads: tuple[HeadKind, ...] = _HEADS) -> FewShotCurves:
    values = {"linear_probe": 0.6, "prior": 0.7, "nearest_mean": 0.601}
    return FewShotCurves(
        points=tuple(
            FewShotPoint(shots=n, head=h, value=values.get(h, 0.55), low=0.5, high=0.8, seeds=2)
            for n in (1, 4, None)
            for h in heads
        ),
        leads=tuple(
            FewShotLead(shots=n, head=h, baseline=b, value=value, low=low, high=0.2, seeds=2)
            for n, low in ((1, 0.05), (4, -0.05), (None, -0.05))
            for h in heads[1:]
            for b, value in _BASELINES.items()
            if h == "prior" or b == "linear_probe"
        ),
        confidence=0.9,
        resamples=500,
        images=30,
        groups=20,
    )


def _lines(chart: Figure) -> dict[str, list[str]]:
    """Return the places of each line, by what stands under the figure."""
    lines: dict[str, list[str]] = {}
    for row in csv.DictReader(io.StringIO(chart.csv)):
        lines.setdefault(row["line"], []).append(row["images a class"])
    return lines


def test_each_head_is_a_line_and_all_images_stand_last() -> None:
    chart = few_shot_chart(_curves().points)
    places = ["1", "4", "all"]
    assert _lines(chart) == dict.fromkeys(("linear probe", "prior", "nearest mean"), places)
    assert all(f">{name}<" in chart.svg for name in (*_lines(chart), *places))


def test_few_heads_are_one_chart() -> None:
    section = few_shot_section(_curves())
    assert len(_lines(section["chart"])) == 3
    assert section["halves"] == []


def test_of_many_heads_some_stand_first_and_all_in_two_halves() -> None:
    kinds = trained("few shots", choosable("few shots"))
    section = few_shot_section(_curves(kinds))
    first = set(_lines(section["chart"]))
    assert {"linear probe", "averaged linear probe", "prior", "random concepts"} < first
    assert len(first) < len(kinds)
    halves = [set(_lines(half["figure"])) for half in section["halves"]]
    assert halves[0] & halves[1] == {"linear probe"}
    assert halves[0] | halves[1] == {card_of(kind).title for kind in kinds}
    assert len(section["rows"]) == len(kinds)


def test_what_concepts_bring_stands_before_the_lead_over_the_best_tuned_probe() -> None:
    without, best = few_shot_section(_curves())["leads"]
    assert "without concepts" in without["title"]
    assert [row["name"] for row in without["rows"]] == [
        "prior over shuffled prior",
        "prior over averaged linear probe",
    ]
    assert best["title"] == "Over the best tuned probe"
    assert [row["name"] for row in best["rows"]] == ["prior"]
    shown = [part["rows"][-1]["cells"] for part in (without, best)]
    assert [[cell["lead"] for cell in cells] for cells in shown] == [["+0.070"] * 3, ["+0.080"] * 3]


def test_a_linear_probe_without_rivals_is_what_heads_on_concepts_are_ahead_of() -> None:
    curves = _curves()
    leads = tuple(lead for lead in curves.leads if lead.baseline == "linear_probe")
    (part,) = few_shot_section(curves.model_copy(update={"leads": leads}))["leads"]
    assert part["title"] == "Over the tuned linear probe"
    assert [row["name"] for row in part["rows"]] == ["prior"]


def test_a_lead_counts_only_when_its_interval_leaves_zero_out() -> None:
    section = few_shot_section(_curves())
    assert section["sizes"] == ["1", "4", "all"]
    linear, prior, _ = section["rows"]
    assert [cell["verdict"] for cell in prior["cells"]] == ["ahead", "", ""]
    assert prior["cells"][0]["lead"] == "+0.100"
    assert {cell["lead"] for cell in linear["cells"]} == {""}


def test_a_head_that_is_behind_is_said_to_be() -> None:
    curves = _curves()
    behind = FewShotLead(
        shots=1,
        head="prior",
        baseline="linear_probe",
        value=-0.1,
        low=-0.2,
        high=-0.01,
        seeds=2,
    )
    section = few_shot_section(curves.model_copy(update={"leads": (behind,)}))
    assert section["rows"][1]["cells"][0]["verdict"] == "behind"


def test_the_page_says_how_the_intervals_came() -> None:
    about = few_shot_section(_curves())["about"]
    assert "2 draws" in about
    assert "90% from 500 resamples of 20 independent test groups" in about
    assert "selects its concepts from its own images" in about


def test_all_images_alone_are_one_place() -> None:
    chart = few_shot_chart([p for p in _curves().points if p.shots is None])
    assert {tuple(places) for places in _lines(chart).values()} == {("all",)}
