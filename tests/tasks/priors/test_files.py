import json
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from curette.schemas.artifact import StudyError
from curette.schemas.candidates import Candidate, FileOrigin, normal_form
from curette.schemas.images import ClassLabel
from curette.schemas.priors import Answer, Priors
from curette.schemas.settings.priors import FilePriors
from curette.tasks.priors.files import read_priors, same_words
from curette.tasks.propose.questions import statement

CLASSES = (
    ClassLabel(key="nv", name="melanocytic nevus", synonyms=("mole",)),
    ClassLabel(key="mel", name="melanoma"),
)


def concepts(*texts: str) -> tuple[Candidate, ...]:
    origin = FileOrigin(file="list.txt", line=1)
    return tuple(Candidate(text=t, classes=("nv",), origins=(origin,)) for t in texts)


def read(
    folder: Path,
    content: object,
    form: Literal["class_to_concepts", "class_to_question_to_answer"],
    *texts: str,
    classes: tuple[ClassLabel, ...] = CLASSES,
) -> Priors:
    path = folder / "priors.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    spec = FilePriors(kind="file", path=path, format=form)
    return read_priors(concepts(*texts), classes, spec)


def answers(found: Priors) -> list[Answer]:
    return [p.answer for p in found.priors]


# --- LaBo ---------------------------------------------------------------------------------------


def test_a_listed_concept_speaks_for_its_class_and_all_else_is_neutral(tmp_path: Path) -> None:
    content = {"mole": ["Round  shape."], "Melanoma": ["dark streaks", "round shape"]}
    found = read(tmp_path, content, "class_to_concepts", "round shape", "dark streaks", "a veil")
    assert answers(found) == [
        "speaks for",
        "speaks for",
        "neutral",
        "speaks for",
        "neutral",
        "neutral",
    ]
    assert found.asked == "file"
    assert found.source == "priors.json"


def test_concepts_of_the_file_that_were_not_screened_are_listed(tmp_path: Path) -> None:
    content = {"nv": ["round", "cryotherapy"], "mel": ["Cryotherapy", "itches"]}
    found = read(tmp_path, content, "class_to_concepts", "round")
    assert found.unmatched == ("cryotherapy", "itches")


# --- KnoBo --------------------------------------------------------------------------------------


def test_yes_speaks_for_no_speaks_against_and_silence_is_neutral(tmp_path: Path) -> None:
    content = {
        "mole": {"Is the lesion round?": "yes", "Does the lesion have dots?": "no"},
        "melanoma": {"Is the lesion round?": "No", "Is the lesion blue?": "unknown"},
    }
    texts = ("the lesion is round", "the lesion has dots", "the lesion is blue")
    found = read(tmp_path, content, "class_to_question_to_answer", *texts)
    assert answers(found) == [
        "speaks for",
        "speaks against",
        "speaks against",
        "neutral",
        "neutral",
        "neutral",
    ]
    assert found.unmatched == ()


def test_where_two_spellings_of_a_class_disagree_the_answer_is_neutral(tmp_path: Path) -> None:
    content = {
        "melanoma": {"Is it dark?": "yes", "Is it round?": "yes", "Is it flat?": "no"},
        "MELANOMA": {"Is it dark?": "yes", "Is it round?": "no", "Is it flat?": "no"},
        "nv": {},
    }
    found = read(
        tmp_path, content, "class_to_question_to_answer", "it is dark", "it is round", "it is flat"
    )
    of_melanoma = [p for p in found.priors if p.class_key == "mel"]
    assert [p.answer for p in of_melanoma] == ["speaks for", "neutral", "speaks against"]
    assert [(p.speaks_for.yes, p.speaks_for.no) for p in of_melanoma] == [(2, 0), (1, 1), (0, 2)]
    (spelling,) = found.spellings
    assert (spelling.class_key, spelling.names) == ("mel", ("melanoma", "MELANOMA"))
    assert (spelling.questions, spelling.agree, spelling.used) == (3, 2, True)
    assert spelling.kappa == pytest.approx(cohen_kappa_score([1, 1, 0], [1, 0, 0]))


def test_a_name_that_only_looks_like_a_class_is_reported_and_not_used(tmp_path: Path) -> None:
    content = {
        "melanoma": {"Is it dark?": "yes", "Is it round?": "no"},
        "melannoma": {"Is it dark?": "no", "Is it round?": "no", "Is it flat?": "yes"},
        "nv": {"Is it dark?": "no"},
    }
    found = read(
        tmp_path, content, "class_to_question_to_answer", "it is dark", "it is round", "it is flat"
    )
    assert [p.answer for p in found.priors if p.class_key == "mel"] == [
        "speaks for",
        "speaks against",
        "neutral",
    ]
    (spelling,) = found.spellings
    assert spelling.names == ("melanoma", "melannoma")
    assert (spelling.questions, spelling.agree, spelling.used) == (2, 1, False)
    assert found.source == ("priors.json; not the dataset's classes, and not used: `melannoma`")


def test_a_class_that_the_file_does_not_name_fails_and_shows_what_looks_like_it(
    tmp_path: Path,
) -> None:
    content = {"mole": {"Is it dark?": "yes"}, "melannoma": {"Is it dark?": "yes"}}
    with pytest.raises(
        StudyError,
        match=r"does not name the class `mel` \(melanoma\). It names `mole`, `melannoma`; of these "
        r"look like it: `melannoma`.*add it as a synonym",
    ):
        read(tmp_path, content, "class_to_question_to_answer", "it is dark")


def test_a_name_of_two_classes_fails(tmp_path: Path) -> None:
    classes = (*CLASSES, ClassLabel(key="bn", name="blue nevus", synonyms=("Mole",)))
    with pytest.raises(StudyError, match="`mole` could mean several classes"):
        read(tmp_path, {"mole": ["dark"]}, "class_to_concepts", "dark", classes=classes)


def test_a_file_about_other_concepts_fails(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="none of its 2 concepts is among the 1 that passed"):
        read(tmp_path, {"nv": ["dark"], "mel": ["flat"]}, "class_to_concepts", "round")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"nv": {"Is it dark?": "perhaps"}}', "at nv > Is it dark?"),
        ('["nv"]', "at the top"),
        ('{"nv"', "is not JSON of the form"),
    ],
)
def test_a_file_in_another_form_is_refused_at_its_place(
    tmp_path: Path, content: str, problem: str
) -> None:
    with pytest.raises(StudyError, match=problem):
        read(tmp_path, content, "class_to_question_to_answer", "it is dark")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    spec = FilePriors(kind="file", path=tmp_path / "no.json", format="class_to_concepts")
    with pytest.raises(StudyError, match=r"cannot read the priors in .*no.json: No such file"):
        read_priors((), CLASSES, spec)


@pytest.mark.parametrize(
    ("question", "same"),
    [
        ("Does the lesion include any crusts?", "the lesion includes some crusts"),
        ("Can you see a blue veil?", "a blue veil"),
        ("Are there red dots?", "there are red dots"),
        ("Does the outline vary?", "the outline varies"),
        ("Can white lines be seen at the edge?", "white lines can be seen at the edge"),
    ],
)
def test_a_question_says_the_words_of_its_statement(question: str, same: str) -> None:
    assert same_words(question) == same_words(same)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Is the lesion round?", "the lesion is not round"),
        ("Is the edge darker than the centre?", "the centre is darker than the edge"),
        ("Does the lesion have dots?", "the lesion lacks dots"),
    ],
)
def test_other_meanings_are_other_words(first: str, second: str) -> None:
    assert same_words(first) != same_words(second)


# --- the published file -------------------------------------------------------------------------


@pytest.fixture
def published(shared_data: Path) -> Path:
    return shared_data / "knobo" / "skin_class2concept2answer.json"


def test_published_links_are_read_as_they_stand(shared_data: Path) -> None:
    path = shared_data / "ham10000" / "labo" / "class2concepts.json"
    lists: dict[str, list[str]] = json.loads(path.read_text(encoding="utf-8"))
    classes = tuple(ClassLabel(key=f"k{i}", name=name) for i, name in enumerate(lists))
    texts = {normal_form(t): t for listed in lists.values() for t in listed[:40]}
    spec = FilePriors(kind="file", path=path, format="class_to_concepts")
    found = read_priors(concepts(*texts.values()), classes, spec)
    linked = {
        k: {normal_form(t) for t in lists[c.name]}
        for k, c in zip(found.class_keys, classes, strict=True)
    }
    assert [p.sign for p in found.priors] == [int(t in linked[k]) for t in texts for k in linked]
    assert len(found.unmatched) == len(set().union(*linked.values()) - set(texts)) > 1000


def test_published_answers_depend_on_how_a_class_is_spelt(published: Path) -> None:
    said = json.loads(published.read_text(encoding="utf-8"))
    classes = (
        ClassLabel(key="malignant", name="malignant"),
        ClassLabel(key="ak", name="actinic, seborrheic keratosis"),
    )
    questions = list(said["malignant"])
    spec = FilePriors(kind="file", path=published, format="class_to_question_to_answer")
    found = read_priors(concepts(*{statement(q): q for q in questions}), classes, spec)
    assert found.unmatched == ()

    typo, capitals = found.spellings
    assert (typo.names, typo.used) == (("malignant", "maliganant"), False)
    assert (capitals.class_key, capitals.used) == ("ak", True)
    assert typo.questions == len(questions) == 1118
    assert typo.agree / typo.questions == pytest.approx(0.894, abs=5e-4)
    assert typo.kappa == pytest.approx(0.79, abs=5e-3)
    for spelling in found.spellings:
        first, second = ([said[n][q] for q in questions] for n in spelling.names)
        assert spelling.agree == np.sum(np.array(first) == np.array(second))
        assert spelling.kappa == pytest.approx(cohen_kappa_score(first, second))


def test_every_published_question_finds_the_statement_made_of_it(published: Path) -> None:
    said = json.loads(published.read_text(encoding="utf-8"))
    questions = list(said["melanoma"])
    words = [same_words(q) for q in questions]
    assert [q for q, w in zip(questions, words, strict=True) if w != same_words(statement(q))] == []
    merged = len(questions) - len({*words})
    assert merged < 0.02 * len(questions)
