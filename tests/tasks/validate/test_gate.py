"""Each check is given a study with one thing wrong, and must say so in words."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from curette.schemas.artifact import StudyError
from curette.schemas.candidates import concept_id
from curette.schemas.settings.validate import ValidationSpec
from curette.schemas.validation import Check, ValidationReport
from curette.tasks.validate.gate import build_suites, rejection, run_suites
from curette.tasks.validate.results import checks_of, run_suite
from curette.tasks.validate.tables import score_table
from tests.builders.small_study import SmallStudy, look_alikes, small_study

SPEC = ValidationSpec()


def check(study: SmallStudy, expectation: str, spec: ValidationSpec = SPEC) -> Check:
    """Run the one expectation whose sentence starts so."""
    for name, table, expectations in build_suites(*study.parts(), spec):
        chosen = [e for e in expectations if e.description.startswith(expectation)]
        if chosen:
            (found,) = checks_of(run_suite(name, table, chosen))
            return found
    raise AssertionError(f"no expectation starts with {expectation!r}")


def spoil_image(row: int, **values: Any) -> Callable[[SmallStudy], None]:
    def spoil(study: SmallStudy) -> None:
        for column, value in values.items():
            study.dataset.images.loc[row, column] = value

    return spoil


def spoil_concept(row: int, **values: object) -> Callable[[SmallStudy], None]:
    """Change a concept behind the back of its set, which would refuse some of it."""

    def spoil(study: SmallStudy) -> None:
        concepts = list(study.concepts.concepts)
        concepts[row] = concepts[row].model_copy(update=values)
        study.concepts = study.concepts.model_copy(update={"concepts": tuple(concepts)})
        text = concepts[row].text
        if text not in study.texts.keys:
            keys = list(study.texts.keys)
            keys[row] = text
            study.texts = replace(study.texts, keys=tuple(keys))

    return spoil


def spoil_counts(key: str, split: str, count: int) -> Callable[[SmallStudy], None]:
    def spoil(study: SmallStudy) -> None:
        study.dataset.class_counts[key][split] = count

    return spoil


def without_test_split(study: SmallStudy) -> None:
    images = study.dataset.images
    study.dataset = replace(study.dataset, images=images[images["split"] != "test"])


def same_hash(first: int, second: int) -> Callable[[SmallStudy], None]:
    def spoil(study: SmallStudy) -> None:
        spoil_image(second, sha256=study.dataset.images["sha256"][first])(study)

    return spoil


def index_with(**values: Any) -> Callable[[SmallStudy], None]:
    def spoil(study: SmallStudy) -> None:
        study.index = replace(study.index, **values)

    return spoil


def turn_image_vector(study: SmallStudy) -> None:
    """Another vector of the same length, which the index does not know."""
    study.images.vectors[5] *= -1


def swap_image_vectors(study: SmallStudy) -> None:
    keys = list(study.images.keys)
    keys[3], keys[7] = keys[7], keys[3]
    study.images = replace(study.images, keys=tuple(keys))


def without_text_vector(study: SmallStudy) -> None:
    study.texts = replace(study.texts, keys=("another text", *study.texts.keys[1:]))


def twin_vectors(study: SmallStudy) -> None:
    vectors = study.texts.vectors.copy()
    vectors[3] = vectors[2]
    study.texts = replace(study.texts, vectors=vectors)


def image_blind_encoder(study: SmallStudy) -> None:
    vectors = np.repeat(study.images.vectors[:1], len(study.dataset), axis=0)
    study.images = replace(study.images, vectors=vectors)


def select_only_for_melanoma(study: SmallStudy) -> None:
    """As joint selection may leave it: concepts of all classes, which took up one class's quota."""
    concepts = tuple(
        c.model_copy(update={"selected_for": study.dataset.class_keys})
        for c in study.concepts.concepts
    )
    selections = tuple(
        s if s.class_key == "mel" else s.model_copy(update={"picks": ()})
        for s in study.concepts.selections
    )
    study.concepts = study.concepts.model_copy(
        update={"concepts": concepts, "selections": selections}
    )


def keep_nothing(study: SmallStudy) -> None:
    study.screened = study.screened.model_copy(update={"kept": study.screened.kept[1:]})


def metadata(name: str, values: Sequence[Any]) -> Callable[[SmallStudy], None]:
    def spoil(study: SmallStudy) -> None:
        images = study.dataset.images
        column = {f"meta.{name}": list(values) * (len(images) // len(values))}
        study.dataset = replace(study.dataset, images=images.assign(**column))

    return spoil


def subject_unnamed(study: SmallStudy) -> None:
    study.dataset = replace(study.dataset, unnamed_subject="file names look like ids")


def subject_in_id(study: SmallStudy) -> None:
    spoil_image(5, image_id="P77-5", subject="P77")(study)
    study.dataset = replace(study.dataset, synthetic=False)


DEFECTS = [
    # metadata
    (metadata("dr", ["Dr. Quill"]), "no published column holds names of people", "^dr: .*people$"),
    (metadata("seen", ["2021-03-04"]), "no published column holds days", "^seen: .* are days$"),
    (metadata("MRN", [1]), "no published column holds numbers of records", "^MRN: "),
    (metadata("said", ["x" * 101]), "no published column is free text", "^said: "),
    # images
    (subject_unnamed, "the images say which patient each is of", "^file names look like ids$"),
    (subject_in_id, "no image id holds the id of its subject or lesion", "^P77-5$"),
    (spoil_image(5, image_id="img04"), "every image id stands once", "^img04$"),
    (spoil_image(5, sha256="ABC"), "every image has the sha256", "^img05: sha256 = ABC$"),
    (spoil_image(5, split="val"), "every split is train, validation or test", "split = val$"),
    (without_test_split, "no split is empty", "^nothing is test$"),
    (spoil_image(5, label="scc"), "every training and validation image has a label", "label = scc"),
    (
        spoil_image(5, label=None),
        "every training and validation image has a label",
        "^img05: label",
    ),
    (
        spoil_image(19, label="nv"),
        "no test image shows its label",
        "^test image img19 has a label$",
    ),
    (same_hash(0, 20), "no image has two labels", r"^image img00: nv \(1\), mel \(1\)$"),
    (same_hash(0, 19), "no image stands in two splits", r"^image img00: train \(1\), test \(1\)$"),
    (
        spoil_image(19, subject="patient1"),
        "no subject stands in two splits",
        r"^subject patient1: train \(2\), test \(1\)$",
    ),
    (
        lambda study: [spoil_image(row, lesion="spot")(study) for row in (11, 12)],
        "no lesion stands in two splits",
        r"^lesion spot: train \(1\), validation \(1\)$",
    ),
    (
        spoil_image(19, group="img00"),
        "no group stands in two splits",
        r"^group img00: train \(2\), test \(1\)$",
    ),
    (
        index_with(duplicates=look_alikes("img01", "img19")),
        "no image is a near-duplicate of one in an earlier split",
        r"^img19 \(test\) is nearly equal to img01 \(train\), cosine 0\.9991$",
    ),
    (swap_image_vectors, "every image has its vector in its row", "^img03$"),
    (index_with(image_ids=("img00",)), "the index is of the vectors of all images", "^img01$"),
    (turn_image_vector, "the index is of the vectors of all images", "^img00$"),
    # classes
    (
        spoil_counts("bcc", "train", 9),
        "every class has at least 10 training",
        "bcc: train images = 9",
    ),
    (spoil_counts("bcc", "validation", 0), "every class has validation images", "^bcc:"),
    (spoil_counts("bcc", "test", 0), "every class has test images", "^bcc:"),
    (
        spoil_counts("mel", "train", 300),
        "the largest class has at most 20 times",
        "nv: times rarer = 25",
    ),
    (
        spoil_counts("mel", "train", 13),
        "the counted train images",
        "^mel: train images = 13, train rows = 12$",
    ),
    (spoil_counts("mel", "validation", 5), "the counted validation images", "^mel: "),
    (select_only_for_melanoma, "every class has at least 1 concepts", "^nv: concepts = 0$"),
    # concepts
    (
        spoil_concept(1, concept_id=concept_id("brown pigment network")),
        "every concept id stands once",
        f"^{concept_id('brown pigment network')}$",
    ),
    (
        spoil_concept(1, text="Brown  pigment network."),
        "no two concepts differ in case",
        "normal form = brown pigment network",
    ),
    (spoil_concept(1, text="x"), "every concept has 3 to 300 characters", "normal form = x$"),
    (spoil_concept(1, text="y" * 301), "every concept has 3 to 300 characters", "= y{301}$"),
    (
        spoil_concept(1, text="Melanoma-like veil"),
        "no concept names a class",
        "^'Melanoma-like veil' names the class 'melanoma'$",
    ),
    (
        spoil_concept(1, text="a mole's rim"),
        "no concept names a class",
        "^'a mole's rim' names the class 'mole'$",
    ),
    (
        twin_vectors,
        "no two concepts have a cosine of 0.98",
        r"^'blue-white veil' and 'jagged border', cosine 1\.0000$",
    ),
    (
        spoil_concept(1, selected_for=("scc",)),
        "every concept is linked to classes of the data",
        "^'even round outline' is linked to scc$",
    ),
    (keep_nothing, "every concept passed the screen", "^'brown pigment network'$"),
    (without_text_vector, "every concept has its vector", "^'brown pigment network'$"),
    (index_with(concept_ids=()), "every concept is in the index", "^'brown pigment network'$"),
    # scores
    (
        image_blind_encoder,
        "no concept scores all images alike",
        "^brown pigment network: deviation",
    ),
]


@pytest.mark.parametrize(
    ("spoil", "expectation", "example"),
    DEFECTS,
    ids=[f"{number}-{sentence}" for number, (_, sentence, _) in enumerate(DEFECTS)],
)
def test_a_planted_defect_is_found_and_named(
    spoil: Callable[[SmallStudy], object], expectation: str, example: str
) -> None:
    study = small_study()  # in which every check passes: see below
    spoil(study)
    found = check(study, expectation)
    assert found.outcome == "failed"
    assert found.unexpected_count > 0
    assert any(re.search(example, text) for text in found.examples), found.examples


def test_test_images_that_were_counted_elsewhere_are_found() -> None:
    study = small_study()
    study.dataset.class_counts["nv"]["test"] = 5
    found = check(study, "the counted test images are the 12")
    assert (found.outcome, found.observed) == ("failed", "13")
    report = ValidationReport(checks=(found,), results={}, data_docs="")
    assert "the counted test images are the 12 of the table; found 13." in rejection(report, "here")


def test_what_a_study_clears_passes_and_its_reason_is_kept() -> None:
    study = small_study()
    metadata("dr", ["Dr. Quill"])(study)
    why = "brand names of a dermatoscope"
    spec = ValidationSpec(cleared={"dr": why})
    assert check(study, "no published column holds names", spec).outcome == "passed"
    found = check(study, "no column that seems to identify", spec)
    assert (found.severity, found.outcome) == ("warning", "failed")
    [said] = found.examples
    assert said.startswith("dr: ")
    assert said.endswith(f"look like names of people. Cleared by the study: {why}")
    without = check(study, "no published column holds names")
    assert "`validation.cleared`" in without.remedy


def test_only_what_is_there_and_needs_it_is_cleared() -> None:
    study = small_study()
    metadata("hand", ["left", "right"])(study)
    spec = ValidationSpec(cleared={"hand": "which hand it was"})
    assert check(study, "no column that seems to identify", spec).outcome == "passed"
    with pytest.raises(StudyError, match=r"cleared: nose is no metadata .* columns are: .*hand"):
        build_suites(*study.parts(), ValidationSpec(cleared={"nose": "which nose it was"}))
    with pytest.raises(ValueError, match="at least 10 characters"):
        ValidationSpec(cleared={"hand": ""})


@pytest.mark.parametrize(
    ("score", "expectation"),
    [
        (np.nan, "every score is a finite number"),
        (np.inf, "every score is a finite number"),
        (-1.01, "no score is below -1"),
        (1.01, "no score is above 1"),
    ],
)
def test_an_impossible_score_is_found(score: float, expectation: str) -> None:
    *_, (name, table, expectations) = build_suites(*small_study().parts(), SPEC)
    scores = np.random.default_rng(0).uniform(-0.5, 0.5, size=(20, 2)).astype(np.float32)
    scores[7, 1] = score
    spoilt = score_table(scores, ["dots", "veil"])
    failed = [c for c in checks_of(run_suite(name, spoilt, expectations)) if c.outcome != "passed"]
    assert [c.expectation for c in failed] == [expectation]
    assert failed[0].examples[0].startswith("veil: ")
    assert len(table.columns) == len(spoilt.columns)


def test_scores_are_described_as_numpy_would() -> None:
    scores = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    table = score_table(scores, ["a", "b", "c"])
    assert np.allclose(table["mean"], scores.mean(axis=0), atol=1e-6)
    assert np.allclose(table["deviation"], scores.std(axis=0), atol=1e-6)
    assert np.array_equal(table["lowest"], scores.min(axis=0).astype(np.float64))
    assert np.array_equal(table["highest"], scores.max(axis=0).astype(np.float64))


@pytest.fixture(scope="module")
def clean_report() -> ValidationReport:
    return run_suites(build_suites(*small_study().parts(), SPEC))


def test_a_clean_study_passes_every_check(clean_report: ValidationReport) -> None:
    assert [c for c in clean_report.checks if c.outcome != "passed"] == []
    suites = {"images", "metadata", "classes", "concepts", "scores"}
    assert {c.suite for c in clean_report.checks} == suites


def test_every_check_has_a_test_that_plants_its_defect(clean_report: ValidationReport) -> None:
    planted = [sentence for _, sentence, _ in DEFECTS]
    planted += ["no column that seems to identify"]
    planted += ["every score", "no score is below", "no score is above", "the counted test images"]
    unplanted = [
        c.expectation for c in clean_report.checks if not c.expectation.startswith(tuple(planted))
    ]
    assert unplanted == []


def test_warnings_do_not_reject() -> None:
    study = small_study()
    index_with(duplicates=look_alikes("img01", "img19"))(study)
    study.dataset.class_counts["bcc"]["test"] = 0
    report = run_suites(build_suites(*study.parts(), SPEC)[:1])
    assert report.failed == ()
    assert [c.expectation for c in report.warnings] == [
        "no image is a near-duplicate of one in an earlier split"
    ]


def test_a_check_that_breaks_counts_as_failed_and_says_so() -> None:
    suites = build_suites(*small_study().parts(), SPEC)
    name, table, expectations = next(suite for suite in suites if suite[0] == "scores")
    result = run_suite(name, table.drop(columns="deviation"), expectations)
    (broken,) = [c for c in checks_of(result) if c.outcome != "passed"]
    assert broken.outcome == "error"
    assert 'The column "deviation" in BatchData does not exist' in broken.examples[0]
    report = ValidationReport(checks=(broken,), results={}, data_docs="")
    assert report.failed == (broken,)
    assert "the check itself broke: Error: The column" in rejection(report, "here")


def test_a_rejection_names_what_failed_how_often_where_and_what_to_do() -> None:
    study = small_study()
    spoil_image(19, subject="patient1")(study)
    spoil_concept(1, text="a mole's rim")(study)
    suites = build_suites(*study.parts(), SPEC)
    report = run_suites([suite for suite in suites if suite[0] in ("images", "concepts")])
    assert rejection(report, "store/data_docs.html").splitlines() == [
        "The concept dataset is rejected: 2 of 25 checks failed.",
        "- images: no subject stands in two splits; 1 found, such as subject patient1: train (2), "
        "test (1).",
        "  Give ingest the column that names the patient and let it split, or mend the given "
        "splits.",
        "- concepts: no concept names a class; 1 found, such as 'a mole's rim' names the class "
        "'mole'.",
        "  A concept that repeats the class explains nothing: put `class_leak` among the gates of "
        "the screen.",
        "Every check with its findings: store/data_docs.html",
    ]


def test_at_most_five_different_examples_are_shown() -> None:
    study = small_study()
    for row in range(12):
        spoil_image(row, label="scc")(study)
    found = check(study, "every training and validation image has a label")
    assert found.unexpected_count == 12
    assert found.examples == tuple(f"img{row:02d}: label = scc" for row in range(5))


def test_a_test_label_is_never_repeated_in_the_report() -> None:
    study = small_study()
    study.dataset.images.loc[19, "label"] = "the-secret-label"
    report = run_suites(build_suites(*study.parts(), SPEC)[:1])
    assert [c.expectation for c in report.failed] == ["no test image shows its label"]
    assert "the-secret-label" not in f"{report.checks}{report.results}{report.data_docs}"


# --- the page -----------------------------------------------------------------------------------


class Links(HTMLParser):
    """Collects what a page would load, and the elements it has."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.tags: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.loaded += [v or "" for k, v in attrs if k in {"src", "href", "srcset", "action"}]


def test_the_page_asks_nothing_of_anyone(clean_report: ValidationReport) -> None:
    page = Links(clean_report.data_docs)
    assert page.loaded
    assert all(link.startswith("#") for link in page.loaded)
    assert not page.tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
    assert "url(" not in clean_report.data_docs
    assert "@import" not in clean_report.data_docs
    assert "default-src 'none'" in clean_report.data_docs


def test_the_page_shows_every_expectation(clean_report: ValidationReport) -> None:
    assert [c for c in clean_report.checks if c.expectation not in clean_report.data_docs] == []
    assert clean_report.data_docs.count("fa-check-circle") - 1 == len(clean_report.checks)


def test_hostile_texts_are_shown_and_not_obeyed() -> None:
    study = small_study()
    hostile = "<script>alert(1)</script><img src=http://evil.example/x onerror=y> & ${x} mole"
    spoil_concept(1, text=hostile)(study)
    report = run_suites(build_suites(*study.parts(), SPEC)[3:4])
    page = Links(report.data_docs)
    assert [c.expectation for c in report.failed] == ["no concept names a class"]
    assert not page.tags & {"script", "img"}
    assert all(link.startswith("#") for link in page.loaded)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in report.data_docs
