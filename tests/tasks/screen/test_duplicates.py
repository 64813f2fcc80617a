"""What becomes of the links of statements that say the same."""

from curette.schemas.candidates import Candidate, FileOrigin
from curette.tasks.screen.duplicates import merge_twins, preferred, twins_of
from curette.tasks.screen.wording import plain_form


def candidate(text: str, classes: str = "a", line: int = 1) -> Candidate:
    origin = FileOrigin(file="list.txt", line=line)
    return Candidate(text=text, classes=tuple(classes), origins=(origin,))


def exact_twins(crowd: list[Candidate]) -> dict[int, int]:
    return twins_of([plain_form(c.text) for c in crowd], preferred(crowd))


def test_the_most_often_proposed_then_the_shortest_then_the_first_stays() -> None:
    crowd = [
        candidate("the borders are irregular", "a"),
        candidate("border, irregular", "a"),
        candidate("irregular border", "a"),
        candidate("an irregular border", "ab"),
    ]
    assert {*exact_twins(crowd).values()} == {2}
    twice = crowd[0].model_copy(
        update={"origins": (*crowd[0].origins, FileOrigin(file="b", line=2))}
    )
    assert {*exact_twins([twice, *crowd[1:3]]).values()} == {0}
    assert {*exact_twins([crowd[2], candidate("border irregular")]).values()} == {0}


def test_the_kept_one_takes_over_classes_in_the_datasets_order_and_origins() -> None:
    crowd = [
        candidate("red patch", "c", 1),
        candidate("blue dot", "b", 2),
        candidate("patch, red", "ab", 3),
    ]
    merged = merge_twins(crowd, exact_twins(crowd), "abc")
    assert [(c.text, c.classes) for c in merged] == [
        ("red patch", ("a", "b", "c")),
        ("blue dot", ("b",)),
    ]
    assert [o.line for o in merged[0].origins if isinstance(o, FileOrigin)] == [1, 3]
