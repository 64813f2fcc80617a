"""What the stage shows beside its result: capped, and with what the proof speaks of."""

from curette.schemas.candidates import FileOrigin
from curette.schemas.concepts import ClassSelection, Concept, ConceptSet, Pick
from curette.tasks.select.task import _rows, _summary


def concept_set(picks: int, neighbours: int | None = None) -> ConceptSet:
    concepts = tuple(
        Concept(
            concept_id=str(i),
            text=f"finding {i}",
            classes=("mel",),
            selected_for=("mel",),
            discriminability=0.1,
            origins=(FileOrigin(file="list.txt", line=1),),
        )
        for i in range(picks)
    )
    selection = ClassSelection(
        class_key="mel",
        pool=picks,
        picks=tuple(Pick(concept_id=c.concept_id, gain=0.1) for c in concepts),
        value=0.9,
        upper_bound=1.0,
        neighbours=neighbours,
    )
    return ConceptSet(method="labo", concepts=concepts, selections=(selection,))


def test_thirty_two_concepts_of_a_class_are_shown_and_the_others_counted() -> None:
    assert [r["pick"] for r in _rows(concept_set(32))] == list(range(1, 33))
    rows = _rows(concept_set(40))
    assert len(rows) == 33
    assert [*rows[-1].values()] == ["and 8 more", "", "", "", "", ""]


def test_the_summary_tells_the_proven_share_and_of_which_similarity() -> None:
    assert _summary(concept_set(2)) == (
        "Selected concepts, best first. Certified share of the optimum: mel 90.0%. "
        "Similarity that coverage counts: exact."
    )
    assert "counts: mel 64 nearest neighbours." in _summary(concept_set(2, neighbours=64))
    joint = concept_set(2).model_copy(update={"scope": "jointly"})
    assert "optimum: all classes together 90.0%." in _summary(joint)
