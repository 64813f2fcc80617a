"""What a study will ask, as a range and as a likely figure, repairs included."""

from math import ceil
from pathlib import Path

from curette.flows.estimate import DISTINCT, KEPT, REPAIRS, ROUNDS, estimate
from curette.flows.study_file import load_study
from curette.storage.responses import ResponseShelf
from curette.tasks.methods.llm.completion import ATTEMPTS

STUDY = """
name: asking
dataset:
  source: {kind: folder, path: images}
  classes: {nv: {name: naevus}, mel: {name: melanoma}}
llm:
  model: some-model
  base_url: "http://127.0.0.1:9/v1"
  prices: {prompt_usd: 1, completion_usd: 4}
propose:
  sources: [{kind: class_prompts, aspects: [colour], concepts_per_answer: 10}]
priors: {kind: llm, repeats: 1}
"""


def test_likely_requests_stand_between_the_fewest_and_the_most(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(STUDY)
    made = estimate(load_study(file), ResponseShelf(tmp_path), tuple)
    asked, priors = made.forecasts
    assert (asked.fewest, asked.likely, asked.most) == (2, 2 * ROUNDS, 12)
    concepts = ceil(KEPT * ceil(DISTINCT * 2 * ROUNDS * 10))
    planted = 12  # of 54 questions a twentieth would be fewer
    assert priors.likely == 3 * concepts + planted
    repaired = [ceil((1 + REPAIRS) * (f.likely or 0)) for f in (asked, priors)]
    assert made.likely_requests == sum(repaired)
    assert made.fewest_requests == 2
    assert made.most_requests == ATTEMPTS * (asked.most + priors.most)
    assert made.least_usd is not None
    assert made.likely_usd is not None
    assert made.most_usd is not None
    assert made.least_usd < made.likely_usd < made.most_usd


def test_later_rounds_are_counted_as_pairs_that_may_be_confused(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(STUDY)
    once = estimate(load_study(file), ResponseShelf(tmp_path), tuple)
    made = estimate(load_study(file, ["propose.rounds=3"]), ResponseShelf(tmp_path), tuple)
    classes, second, third, _ = made.forecasts
    assert classes == once.forecasts[0]
    assert [second.name, third.name] == ["round 2", "round 3"]
    assert (second.fewest, second.likely, second.most) == (0, 1, 3), "one pair of two classes"
    assert made.fewest_requests == once.fewest_requests, "nothing may be confused"
    assert made.most_requests > once.most_requests + ATTEMPTS * 6, "more candidates have priors"
