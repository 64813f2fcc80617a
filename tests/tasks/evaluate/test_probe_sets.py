"""How far learned directions depend on their images is told of each, beside what chance gives."""

from dataclasses import replace

from curette.schemas.heads import HeadKind
from curette.schemas.settings.evaluate import EvaluateSpec
from curette.schemas.settings.probe import ProbeSpec
from curette.tasks.evaluate.exam import Exam
from curette.tasks.evaluate.images import join_test_labels
from curette.tasks.evaluate.questions import probe_sets
from curette.tasks.probe.training import train_heads
from tests.builders.published_study import published_study


def _exam(*heads: HeadKind) -> Exam:
    published, test = published_study()
    probe = train_heads(published, ProbeSpec(epochs=5, random_draws=1, heads=heads))
    return Exam(published, probe, join_test_labels(published, test), EvaluateSpec(resamples=100))


def test_every_taught_direction_is_told_with_its_range_and_chance() -> None:
    exam = _exam("grounded")
    found = probe_sets.measure(exam)
    assert [c.concept_id for c in found.concepts] == [g.concept_id for g in exam.probe.grounding]
    assert found.groups < found.images == len(exam.published.rows("train"))
    for told in found.concepts:
        assert told.cosine.low <= told.cosine.value <= told.cosine.high
        assert told.cosine.value > told.by_chance.value
        assert 0 <= told.contributions.value < 0.5
    turned = replace(exam.images, labels=exam.images.labels[::-1].copy())
    assert probe_sets.measure(replace(exam, images=turned)) == found  # no test label is looked at


def test_without_taught_directions_there_is_nothing_to_tell() -> None:
    found = probe_sets.measure(_exam())
    assert not found.concepts
    assert "no concept has a direction" in found.not_computable
