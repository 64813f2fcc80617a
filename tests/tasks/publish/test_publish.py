import re
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from markdown_it import MarkdownIt

from curette.schemas.annotations import Annotations
from curette.schemas.artifact import Recipe, Ref, StudyError
from curette.schemas.candidates import CandidateSet, LlmOrigin
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.images import SPLITS, Rejection
from curette.schemas.review import ReviewFacts
from curette.schemas.settings.publish import PublishSpec
from curette.schemas.validation import Check, ValidatedConceptDataset, ValidationReport
from curette.storage.pseudonyms import Pseudonyms
from curette.storage.store import ArtifactStore
from curette.tasks.publish.task import _settings, publish_concept_dataset
from curette.tasks.stage import Workplace
from tests.builders.annotations import annotations
from tests.builders.small_study import SELECTED, SmallStudy, small_study

SPEC = PublishSpec(title="Spots", licence="cc-by-nc-4.0", citation="@misc{spots}")
WARNING = Check(
    suite="images",
    expectation="no image looks almost like one of another split",
    severity="warning",
    outcome="failed",
    unexpected_count=2,
    examples=("img01 | img19",),
)
PASSED = Check(suite="images", expectation="ids", severity="critical", outcome="passed")


def publish(
    study: SmallStudy,
    store: ArtifactStore,
    spec: PublishSpec = SPEC,
    checks: tuple[Check, ...] = (PASSED,),
    annotated: Annotations | None = None,
) -> Ref[ConceptDataset]:
    """Publish a study as if it had been validated with these checks."""
    recipe = Recipe(stage="validate", code="0" * 64)
    report = store.save(ValidationReport(checks=checks, results={}, data_docs=""), recipe)
    names = ("dataset", "candidates", "screened", "concepts", "priors", "embeddings", "index")
    digests = {n: ref.digest for n, ref in zip(names, study.save(store), strict=True)}
    validated = ValidatedConceptDataset(**digests, report=report.digest)
    read = store.save(annotated, Recipe(stage="annotate", code="")) if annotated else None
    passed = store.save(validated, recipe)
    return publish_concept_dataset.fn(Workplace(store), "small", "", passed, spec, read)


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store")


@pytest.fixture
def load(tmp_path: Path, store: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Load a published folder with `datasets`, which may ask nobody."""
    datasets = pytest.importorskip("datasets")

    def refuse(*_: object) -> None:
        raise AssertionError("a dataset on disk was looked for on the network")

    def load_folder(ref: Ref[ConceptDataset], *arguments: str, **options: str) -> Any:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        monkeypatch.setattr(socket.socket, "connect", refuse)
        folder, cache = str(store.path(ref)), str(tmp_path / "cache")
        return datasets.load_dataset(folder, *arguments, cache_dir=cache, **options)

    return load_folder


def card(study: SmallStudy, store: ArtifactStore, **options: Any) -> str:
    return store.load(ConceptDataset, publish(study, store, **options)).card


def test_scores_are_cosines_of_image_and_concept(store: ArtifactStore) -> None:
    study = small_study()
    published = store.load(ConceptDataset, publish(study, store))
    image, concept = 17, 4
    text = study.texts.vectors[study.texts.keys.index(published.concepts[concept].text)]
    cosine = sum(
        float(a) * float(b) for a, b in zip(study.images.vectors[image], text, strict=True)
    )
    assert published.scores[image, concept] == pytest.approx(cosine, abs=1e-6)
    assert published.scores.shape == (60, 6)
    pooled = study.texts.take([c.text for c in study.screened.kept])
    assert np.array_equal(published.pool_vectors, pooled)


def test_the_folder_loads_as_the_card_promises(store: ArtifactStore, load: Any) -> None:
    study = small_study()
    ref = publish(study, store)
    images = load(ref)
    assert {split: len(rows) for split, rows in images.items()} == {
        "train": 36,
        "validation": 12,
        "test": 12,
    }
    label = images["train"].features["label"]
    assert label.names == ["nv", "mel", "bcc"]
    first = images["validation"][5]
    assert (first["image_id"], label.int2str(first["label"])) == ("img33", "mel")
    assert np.allclose(first["vector"], study.images.vectors[33])
    assert set(images["test"]["label"]) == {None}
    concepts = load(ref, "concepts", split="train")
    assert list(concepts["text"]) == list(SELECTED)
    assert concepts[0]["selected_for"] == ["nv"]
    pool = load(ref, "pool", split="train")
    assert len(pool) == 7
    assert len(pool[0]["vector"]) == 16
    dropped = load(ref, "dropped", split="train")
    assert list(dropped["gate"]) == ["class_leak", "visual"]
    assert dropped["reason"][1] == "itching cannot be seen"


def test_a_folder_from_which_nothing_was_dropped_loads(store: ArtifactStore, load: Any) -> None:
    study = small_study()
    study.screened = study.screened.model_copy(update={"dropped": ()})
    ref = publish(study, store)
    assert len(load(ref)["train"]) == 36
    assert [c["config_name"] for c in head(store.load(ConceptDataset, ref).card)["configs"]] == [
        "images",
        "concepts",
        "pool",
        "priors",
    ]


def test_equal_inputs_give_one_artifact(tmp_path: Path) -> None:
    refs = [publish(small_study(), ArtifactStore(tmp_path / name)) for name in ("a", "b")]
    assert refs[0] == refs[1]


def test_no_file_says_where_the_images_lie(store: ArtifactStore) -> None:
    folder = store.path(publish(small_study(), store))
    files = [p for p in folder.rglob("*") if p.is_file()]
    assert len(files) == 10  # the artifact's nine and the manifest
    assert not [p for p in files if b"somewhere/private" in p.read_bytes()]
    published = ConceptDataset.read(folder)
    assert {"location", "mask_location"}.isdisjoint(published.images.columns)


# --- the card -----------------------------------------------------------------------------------


def head(text: str) -> dict[str, Any]:
    return yaml.safe_load(text.removeprefix("---\n").split("\n---\n")[0])


def tables(text: str) -> list[list[list[str]]]:
    """Return every table of the card, row by row, as an independent Markdown reader sees it."""
    reader = MarkdownIt("commonmark", {"html": True}).enable("table")
    found: list[list[list[str]]] = []
    for token in reader.parse(text.split("\n---\n", 1)[1]):
        assert not token.type.startswith("html")
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type == "inline" and token.level > 3 and found and found[-1]:
            found[-1][-1].append("".join(t.content for t in token.children or []))
    return found


def test_the_head_is_what_the_hub_reads(store: ArtifactStore) -> None:
    hub = pytest.importorskip("huggingface_hub")
    text = card(small_study(), store)
    data = hub.DatasetCard(text).data
    assert (data.license, data.pretty_name) == ("cc-by-nc-4.0", "Spots")
    assert data.size_categories == ["n<1K"]
    assert "synthetic" in data.tags
    assert data.configs[0]["default"] is True


def test_the_card_counts_what_is_in_the_tables(store: ArtifactStore) -> None:
    study = small_study()
    study.dataset = replace(
        study.dataset,
        rejected=(
            Rejection(row="9", reason="broken-image", detail="cut off"),
            Rejection(row="10", reason="broken-image", detail="cut off"),
            Rejection(row="11", reason="missing-file", detail="gone"),
        ),
        notes=("The split is by subject.",),
    )
    text = card(study, store)
    contents, images, gates, classes, settings, lineage = tables(text)
    assert [row[:2] for row in contents[1:]] == [
        ["images", "60"],
        ["concepts", "6"],
        ["pool", "7"],
        ["priors", "21"],
        ["dropped", "2"],
    ]
    assert images[2] == ["mel", "melanoma", "12", "4", "4"]
    assert images[-1] == ["all", "", "36", "12", "12"]
    assert gates[1:] == [["class_leak", "1"], ["visual", "1"]]
    assert classes[3] == ["bcc", "3", "2", "90.0%", "branching red vessels; shiny pearly surface"]
    assert ["select", "size.per_class", "2"] in settings
    assert ["screen", "near_duplicate.chance", "0.999"] in settings
    assert lineage[-1] == ["test labels", "f" * 20]
    assert len(lineage) == 10
    assert "9 candidates were proposed, 2 dropped, 7 kept," in text
    assert "Not taken over from the source: 2 broken-image, 1 missing-file." in text
    assert "- The split is by subject." in text
    assert "1 checks before publication: all that must hold passed, without a warning." in text
    assert "    @misc{spots}" in text


def test_the_card_says_what_the_certified_share_speaks_of(store: ArtifactStore) -> None:
    study = small_study()
    jointly = "The classes' concepts were selected jointly"
    sparse = "counts the similarity to 64 nearest neighbours alone"
    text = card(study, store)
    assert jointly not in text
    assert sparse not in text
    study.concepts = study.concepts.model_copy(
        update={
            "scope": "jointly",
            "selections": tuple(
                s.model_copy(update={"neighbours": 64}) for s in study.concepts.selections
            ),
        }
    )
    text = card(study, store)
    assert jointly in text
    assert sparse in text


def test_the_card_names_the_model_and_its_prompts(store: ArtifactStore) -> None:
    study = small_study()
    origins = tuple(
        LlmOrigin(
            model=m, prompt="colour", prompt_sha256=p, request_sha256=f"{m}{p}", recorded=False
        )
        for m, p in (("model-b", "1"), ("model-a", "2"), ("model-a", "1"))
    )
    candidates = [c.model_copy(update={"origins": origins}) for c in study.candidates.candidates]
    study.candidates = CandidateSet(candidates=tuple(candidates), source="two models")
    text = card(study, store)
    assert "- Language models: model-a, model-b;\n  2 different prompts, 3 requests." in text
    assert "a model asked again may answer otherwise" in text
    assert "From files" not in text


@pytest.mark.parametrize(
    ("unreal", "sentence"),
    [
        ("images", "**The images are synthetic.**"),
        ("answers", "**The language model's answers were recorded earlier**"),
        ("encoder", "**The vectors come from the demo encoder**"),
    ],
)
def test_what_is_not_real_is_said_first_and_only_then(
    store: ArtifactStore, unreal: str, sentence: str
) -> None:
    def study(*, images: bool, answers: bool, encoder: bool) -> SmallStudy:
        made = small_study()
        made.dataset = replace(made.dataset, synthetic=images)
        made.candidates = made.candidates.model_copy(update={"recorded": answers})
        identity = made.images.encoder.model_copy(update={"demo": encoder})
        made.images = replace(made.images, encoder=identity)
        return made

    names = ("images", "answers", "encoder")
    said = card(study(**{name: name == unreal for name in names}), store)
    assert 0 < said.index(sentence) < said.index("## How to load it")
    assert sentence not in card(study(**{name: name != unreal for name in names}), store)


def test_warnings_are_shown_with_their_examples(store: ArtifactStore) -> None:
    text = card(small_study(), store, checks=(PASSED, WARNING))
    assert "all that must hold passed, with 1 warning:" in text
    assert "split: 2 found, such as img01 \\| img19." in text


def test_hostile_texts_stay_texts(store: ArtifactStore) -> None:
    hostile = "a | b `c` <script>x()</script> ![i](http://evil.example) [l](javascript:y)\n---\n# T"
    study = small_study()
    labels = tuple(c.model_copy(update={"name": hostile}) for c in study.dataset.classes)
    study.dataset = replace(study.dataset, classes=labels, source=hostile, notes=(hostile,))
    concepts = tuple(c.model_copy(update={"text": hostile}) for c in study.concepts.concepts[:1])
    study.concepts = study.concepts.model_copy(
        update={"concepts": (*concepts, *study.concepts.concepts[1:])}
    )
    kept_first = study.screened.kept[0].text
    study.texts = replace(study.texts, keys=(hostile, *study.texts.keys[1:-1], kept_first))
    text = card(study, store, spec=PublishSpec(title=hostile, citation=hostile, licence=hostile))
    line = " ".join(hostile.split())
    _, images, _, classes, _, _ = tables(text)
    assert {len(row) for row in images} == {5}
    assert {len(row) for row in classes} == {5}
    assert images[1][1] == line
    assert line in classes[1][4]
    assert head(text)["pretty_name"] == line
    assert len(re.findall(r"^# ", text, flags=re.MULTILINE)) == 1


def test_every_word_of_the_card_is_the_same_twice(tmp_path: Path) -> None:
    assert card(small_study(), ArtifactStore(tmp_path / "a")) == card(
        small_study(), ArtifactStore(tmp_path / "b")
    )


def test_what_reports_say_is_published_as_a_models_reading(store: ArtifactStore, load: Any) -> None:
    study = small_study()
    made = annotations(study.dataset, study.concepts.concepts)
    ref = publish(study, store, annotated=made)
    published = store.load(ConceptDataset, ref)
    used = [c.concept_id for c in study.concepts.concepts[:-1]]
    columns = [f"annotation.{i}" for i in used]
    assert [c for c in published.images if str(c).startswith("annotation.")] == columns
    by = {x.concept_id: x for x in published.facts.labelled}
    assert [by[i].source for i in used] == ["reports"] * 5
    answers = made.answers.set_index("image_id")
    for split in SPLITS:
        truth = published.concept_truth(split)
        ids = published.images["image_id"].iloc[published.rows(split)]
        for place, concept_id in enumerate(used):
            said = [answers[concept_id].get(i) for i in ids]
            assert truth.present[:, place].tolist() == [s == "present" for s in said]
            assert truth.known[:, place].tolist() == [s in ("present", "absent") for s in said]
        assert not truth.known[:, -1].any(), "a concept whose answers do not agree is not used"
    loaded = load(ref)
    assert {*columns} <= {*loaded["test"].features}
    assert loaded["test"][columns[0]][-1] is None, "nobody has a report of the last image"
    assert "is no ground truth by" in published.card
    assert (
        "| shiny pearly surface | 20 | 18 | 20 | 1 | 30 | 20 | 0.40 | 0.10 | | kappa 0.10"
        in published.card
    )


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        ("/srv/ward-7/gpt-oss-20b/", "gpt-oss-20b"),
        ("models/ward-7/gpt-oss-20b", "gpt-oss-20b"),
        (r"C:\ward-7\gpt-oss-20b.gguf", "gpt-oss-20b.gguf"),
        ("openai/gpt-oss-20b", "openai/gpt-oss-20b"),
        ("gpt-oss:20b", "gpt-oss:20b"),
    ],
)
def test_who_read_reports_is_published_without_where(
    store: ArtifactStore, model: str, shown: str
) -> None:
    study = small_study()
    made = annotations(study.dataset, study.concepts.concepts)
    facts = made.facts.model_copy(update={"model": model})
    ref = publish(study, store, annotated=replace(made, facts=facts))
    read = store.load(ConceptDataset, ref).facts.annotations
    assert read is not None
    assert read.model == shown
    texts = [p.read_text() for p in store.path(ref).rglob("*") if p.suffix in (".json", ".md")]
    assert len(texts) == 3
    assert not [t for t in texts if made.facts.server in t or "ward-7" in t]


def test_without_annotations_nothing_speaks_of_reports(store: ArtifactStore) -> None:
    ref = publish(small_study(), store)
    published = store.load(ConceptDataset, ref)
    assert "report" not in (store.path(ref) / "facts.json").read_text()
    assert "annotation" not in published.card
    assert "annotations" not in store.manifest(ref).recipe.inputs


def test_the_card_tells_the_settings_of_the_screen_also_of_a_reviewed_set(
    store: ArtifactStore,
) -> None:
    screened, by_person = (
        small_study().screened,
        ReviewFacts(applied=(), not_found=(), undecided=()),
    )
    before = store.save(screened, Recipe(stage="screen", code="", spec={"max_words": 9}))
    after = store.save(
        screened.model_copy(update={"review": by_person}),
        Recipe(stage="review", code="", inputs={"screened": str(before)}),
    )
    for ref in (before, after):
        assert _settings("screen", ref, store) == {"max_words": 9}


def test_patients_go_out_under_pseudonyms_of_the_store(store: ArtifactStore) -> None:
    study = small_study()
    study.dataset = replace(study.dataset, synthetic=False)
    ref = publish(study, store)
    images = study.dataset.images
    key = Pseudonyms(store.root)
    published = store.load(ConceptDataset, ref).images
    assert published["subject"].tolist() == [key.of("subject", i) for i in images["subject"]]
    files = b"".join(path.read_bytes() for path in store.path(ref).rglob("*.parquet"))
    assert b"patient1" not in files


def test_drawn_patients_are_nobody(store: ArtifactStore) -> None:
    study = small_study()
    published = store.load(ConceptDataset, publish(study, store)).images
    assert published["subject"].tolist() == study.dataset.images["subject"].tolist()


def with_sex(study: SmallStudy) -> SmallStudy:
    """Return a study whose metadata has another column."""
    images = study.dataset.images
    sex = np.array(["f", "m"])[images["group"].str[3:].astype(int).to_numpy() // 2 % 2]
    return replace(study, dataset=replace(study.dataset, images=images.assign(**{"meta.sex": sex})))


def test_an_erased_column_is_in_no_vector_and_not_published(store: ArtifactStore) -> None:
    study = with_sex(small_study())
    ref = publish(study, store, SPEC.model_copy(update={"erase": ("sex",)}))
    published = store.load(ConceptDataset, ref)
    assert "meta.sex" not in published.images
    assert published.facts.erasure is not None
    (column,) = published.facts.erasure.columns
    assert (column.before, column.after) == (None, None), "of too few groups to be measured"
    assert column.told in published.card
    seen = published.seen(study.images.vectors)
    np.testing.assert_allclose(seen, published.vectors, atol=1e-6)
    rows = published.rows("train")
    sex = (study.dataset.images["meta.sex"].iloc[rows] == "f").to_numpy()
    for told in (published.vectors[rows], published.scores[rows]):
        gap = told[sex].mean(axis=0) - told[~sex].mean(axis=0)
        np.testing.assert_allclose(gap, 0, atol=1e-5)


def test_where_nothing_is_erased_recipes_and_files_say_nothing_of_it(store: ArtifactStore) -> None:
    ref = publish(small_study(), store)
    assert "erase" not in store.manifest(ref).recipe.spec
    facts = (store.path(ref) / "facts.json").read_text()
    assert "erasure" not in facts
    published = store.load(ConceptDataset, ref)
    assert published.seen(published.vectors) is published.vectors


@pytest.mark.parametrize(
    ("column", "told"),
    [("height", "no column of metadata; there are: age"), ("age", "between 2 and 20 can be")],
)
def test_a_column_that_cannot_be_erased_is_refused(
    store: ArtifactStore, column: str, told: str
) -> None:
    with pytest.raises(StudyError, match=told):
        publish(small_study(), store, SPEC.model_copy(update={"erase": (column,)}))
