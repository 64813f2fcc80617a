import re

import pytest

from curette.schemas.candidates import CandidateSet
from curette.schemas.images import ClassLabel
from curette.schemas.settings.propose import ProposeSpec, RecordedSource
from curette.tasks.ingest.synthetic import CLASSES
from curette.tasks.propose.candidates import propose, texts_by_class

LABELS = tuple(ClassLabel(key=key, name=name) for key, name in CLASSES)


@pytest.fixture(scope="module")
def found() -> CandidateSet:
    spec = ProposeSpec(sources=(RecordedSource(kind="recorded"),), min_per_class=60)
    return propose(LABELS, spec, None, lambda count: [])


def test_every_class_has_sixty_candidates(found: CandidateSet) -> None:
    counts = {key: len(t) for key, t in texts_by_class(found.candidates, LABELS).items()}
    assert min(counts.values()) >= 60, counts


def test_the_record_says_that_no_model_was_asked(found: CandidateSet) -> None:
    assert found.recorded
    assert "no model was asked" in found.source
    models = {o.model for c in found.candidates for o in c.origins if o.kind == "llm"}
    assert models == {"recorded: written by hand"}


def test_the_record_holds_what_the_gates_are_for(found: CandidateSet) -> None:
    texts = [c.text.lower() for c in found.candidates]
    names = [name for _, name in CLASSES if any(name in text for text in texts)]
    assert len(names) >= 3  # leaks of class names
    assert sum(bool(re.search(r"\b(itch|treat|year|caus|touch|age)", t)) for t in texts) >= 15
    assert any(len(c.classes) > 1 for c in found.candidates)
    assert [f.reason for f in found.failures] == ["the answer was cut off at its limit of tokens"]
