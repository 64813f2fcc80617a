"""The suites of Great Expectations: what must hold of each table, in its words and in ours.

Each expectation carries our sentence (`description`), what to do where it fails (`notes`) and
whether that rejects (`critical`) or is only shown (`warning`).
"""

from collections.abc import Sequence
from typing import Any

from curette.schemas.images import SPLITS
from curette.schemas.index import Duplicates
from curette.schemas.settings.validate import ValidationSpec

Expectation = Any

COSINE_TOLERANCE = 2.5e-3
"""Two vectors whose norms may each be 0.1 % above 1 have a cosine of at most 1.002."""


def image_expectations(class_keys: Sequence[str], duplicates: Duplicates) -> list[Expectation]:
    """What must hold of `tables.image_table`."""
    import great_expectations.expectations as gxe

    resplit = "Give ingest the column that names the {} and let it split, or mend the given splits."
    return [
        gxe.ExpectColumnValuesToBeUnique(
            column="image_id",
            severity="critical",
            description="every image id stands once",
            notes="Two rows of the source share an id: choose another id column.",
        ),
        gxe.ExpectColumnValuesToMatchRegex(
            column="sha256",
            regex="^[0-9a-f]{64}$",
            severity="critical",
            description="every image has the sha256 of its bytes",
            notes="Without it equal images cannot be told: run the study again from ingest.",
        ),
        gxe.ExpectColumnValuesToBeInSet(
            column="split",
            value_set=list(SPLITS),
            severity="critical",
            description="every split is train, validation or test",
            notes="Map the names in the data's split column to these three.",
        ),
        gxe.ExpectColumnDistinctValuesToContainSet(
            column="split",
            value_set=list(SPLITS),
            severity="critical",
            description="no split is empty",
            notes="Choose on validation and measure on test images: each split needs some.",
        ),
        gxe.ExpectColumnValuesToBeInSet(
            column="label",
            value_set=list(class_keys),
            severity="critical",
            description="every training and validation image has a label of the class set",
            notes="List every label of the data under `classes`, or drop the images.",
        ),
        _no_finding(
            "held out?",
            "no test image shows its label",
            "Test labels are kept apart for the last evaluation: run again from ingest.",
        ),
        _no_finding(
            "same bytes, two labels?",
            "no image has two labels",
            "The source lists one file under two classes: decide on one or drop both.",
        ),
        _no_finding(
            "same bytes, two splits?",
            "no image stands in two splits",
            "Copies of a file are spread over the given splits: keep the copies together.",
        ),
        *(
            _no_finding(
                f"{name}, two splits?",
                f"no {name} stands in two splits",
                resplit.format("patient" if name == "subject" else "lesion"),
            )
            for name in ("subject", "lesion", "group")
        ),
        _no_finding(
            "look-alikes, two splits?",
            "no image is a near-duplicate of one in an earlier split",
            f"The index found {duplicates.images_found}, in {duplicates.clusters_found} clusters. "
            "Compare them: images of one patient "
            "without a common id make the test too easy.",
            severity="warning",
        ),
        _no_finding(
            "patient in its id?",
            "no image id holds the id of its subject or lesion",
            "Subjects and lesions go out under pseudonyms, and so do image ids that hold them: run "
            "again with --refresh ingest.",
        ),
        _no_finding(
            "unnamed subject?",
            "the images say which patient each is of, or look as if each were of another",
            "Images of one patient in two splits make the test too easy: give a `subject_column`.",
            severity="warning",
        ),
        _no_finding(
            "vector?", "every image has its vector in its row", "Run again with --refresh embed."
        ),
        _no_finding(
            "index?", "the index is of the vectors of all images", "Run again with --refresh index."
        ),
    ]


def metadata_expectations() -> list[Expectation]:
    """What must hold of `tables.metadata_table`: nothing that is published tells who it is of."""
    drop = "Take the column out of `dataset.metadata`"
    clear = "; or say under `validation.cleared` why it identifies nobody."
    return [
        _no_finding("people?", "no published column holds names of people", f"{drop}{clear}"),
        _no_finding(
            "days?",
            "no published column holds days, such as of birth or of a visit",
            f"{drop}, or keep ages or years instead{clear}",
        ),
        _no_finding(
            "records?",
            "no published column holds numbers of records, addresses, or nearly unique values",
            f"{drop}: what tells patients apart is a `subject_column`, which goes out under "
            f"pseudonyms{clear}",
        ),
        _no_finding(
            "prose?",
            "no published column is free text",
            f"{drop}: reports have `dataset.report_column`, which is never published{clear}",
        ),
        _no_finding(
            "cleared?",
            "no column that seems to identify patients was cleared by the study",
            "Whoever is given the dataset should know the reason: look whether it still holds.",
            severity="warning",
        ),
    ]


def class_expectations(test_images: int, spec: ValidationSpec) -> list[Expectation]:
    """What must hold of `tables.class_table`."""
    import great_expectations.expectations as gxe

    recount = "The counts were taken from other images: run again with --refresh ingest."
    return [
        gxe.ExpectColumnValuesToBeBetween(
            column="train images",
            min_value=spec.min_images_per_class,
            severity="critical",
            description=f"every class has at least {spec.min_images_per_class} training images",
            notes="Merge or leave out the rare class, or lower `min_images_per_class`.",
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="validation images",
            min_value=1,
            severity="critical",
            description="every class has validation images",
            notes="Everything is chosen on them: enlarge the validation split.",
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="test images",
            min_value=1,
            severity="warning",
            description="every class has test images",
            notes="What a class without any is worth cannot be measured: enlarge the test split.",
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="times rarer",
            max_value=spec.max_class_imbalance,
            severity="warning",
            description="the largest class has at most "
            f"{spec.max_class_imbalance:g} times the training images of any other",
            notes="Read balanced accuracy, and keep `class_weight: balanced`.",
        ),
        *(
            gxe.ExpectColumnPairValuesToBeEqual(
                column_A=f"{split} images",
                column_B=f"{split} rows",
                severity="critical",
                description=f"the counted {split} images are those of the table",
                notes=recount,
            )
            for split in ("train", "validation")
        ),
        gxe.ExpectColumnSumToBeBetween(
            column="test images",
            min_value=test_images,
            max_value=test_images,
            severity="critical",
            description=f"the counted test images are the {test_images} of the table",
            notes=recount,
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="concepts",
            min_value=spec.min_concepts_per_class,
            severity="critical",
            description="every class has at least "
            f"{spec.min_concepts_per_class} concepts selected for it",
            notes="The screen let too few through, or too few were proposed: see what it "
            "dropped, and ask for more.",
        ),
    ]


def concept_expectations(spec: ValidationSpec) -> list[Expectation]:
    """What must hold of `tables.concept_table`."""
    import great_expectations.expectations as gxe

    return [
        gxe.ExpectColumnValuesToBeUnique(
            column="concept_id",
            severity="critical",
            description="every concept id stands once",
            notes="Run again with --refresh select.",
        ),
        gxe.ExpectColumnValuesToBeUnique(
            column="normal form",
            severity="critical",
            description="no two concepts differ in case, spaces or punctuation alone",
            notes="Put `exact_duplicate` among the gates of the screen.",
        ),
        gxe.ExpectColumnValueLengthsToBeBetween(
            column="normal form",
            min_value=3,
            max_value=spec.max_concept_characters,
            severity="critical",
            description=f"every concept has 3 to {spec.max_concept_characters} characters",
            notes="Put `form` among the gates of the screen.",
        ),
        _no_finding(
            "class name?",
            "no concept names a class",
            "A concept that repeats the class explains nothing: put `class_leak` among the gates "
            "of the screen.",
        ),
        _no_finding(
            "near-duplicate?",
            f"no two concepts have a cosine of {spec.near_duplicate_cosine:g} or more",
            "Where they say the same, put `near_duplicate` among the gates of the screen; where "
            "they do not, this encoder cannot tell them apart, and one of the two is enough.",
            severity="warning",
        ),
        _no_finding(
            "unknown class?",
            "every concept is linked to classes of the data",
            "Concepts and images are of two studies: run again with --refresh propose.",
        ),
        _no_finding(
            "screen?",
            "every concept passed the screen",
            "Concepts and screen are of two runs: run again with --refresh select.",
        ),
        _no_finding("vector?", "every concept has its vector", "Run again with --refresh embed."),
        _no_finding("index?", "every concept is in the index", "Run again with --refresh index."),
    ]


def score_expectations(spec: ValidationSpec) -> list[Expectation]:
    """What must hold of `tables.score_table`."""
    import great_expectations.expectations as gxe

    unit = "Vectors are not of unit length: run again with --refresh embed."
    return [
        gxe.ExpectColumnPairValuesToBeEqual(
            column_A="finite scores",
            column_B="images",
            severity="critical",
            description="every score is a finite number",
            notes="The encoder broke on some images: try precision float32.",
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="lowest",
            min_value=-1 - COSINE_TOLERANCE,
            severity="critical",
            description="no score is below -1",
            notes=unit,
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="highest",
            max_value=1 + COSINE_TOLERANCE,
            severity="critical",
            description="no score is above 1",
            notes=unit,
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="deviation",
            min_value=spec.min_score_std,
            severity="critical",
            description="no concept scores all images alike "
            f"(standard deviation at least {spec.min_score_std:g})",
            notes="The encoder gives the same vector to every image, or does not know the "
            "concept: look at its top images.",
        ),
    ]


def _no_finding(
    column: str, description: str, notes: str, severity: str = "critical"
) -> Expectation:
    """Expect that a column of findings is empty."""
    import great_expectations.expectations as gxe

    return gxe.ExpectColumnValuesToBeNull(
        column=column, severity=severity, description=description, notes=notes
    )
