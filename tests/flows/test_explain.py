"""`curette explain` and `predict` on a small demo: by id and by file, and what is refused."""

import csv
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from curette.flows.explain import Explanations, explain, page_path, tell
from curette.flows.new_files import new_file, write_new
from curette.flows.predict import (
    IN_ONE_FILE,
    Predictions,
    predict,
    predictions_file,
    write_predictions,
)
from curette.flows.runs import RunResult
from curette.flows.stages import RunOptions
from curette.flows.study import study
from curette.flows.study_file import load_study
from curette.schemas.artifact import Recipe, Ref, StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.images import TestLabels
from curette.schemas.probe import Heads
from curette.schemas.settings.encoder import PrecomputedEncoder
from curette.schemas.study import Study
from curette.storage.images import ImageShelf
from curette.storage.store import ArtifactStore
from curette.tasks.explain.page import Explained
from curette.tasks.methods.explanation import ImageExplanation
from curette.tasks.methods.page.decision import more_or_less
from tests.builders.demo import DEMO, SMALL
from tests.builders.finished import FinishedStudy
from tests.pages import check_asks_nobody


@pytest.mark.slow
def test_an_image_is_explained_by_its_id_and_by_its_file(
    finished: FinishedStudy, tmp_path: Path
) -> None:
    chosen, copy = load_study(DEMO, list(SMALL)), finished.copied_to(tmp_path / "store")
    store, options = ArtifactStore(copy.store), RunOptions(store=copy.store)
    result = study(chosen, options.model_copy(update={"before": "evaluate"}))
    given = {name: Ref.parse(ref) for name, ref in result.given.items()}
    images = store.load(ConceptDataset, given["published"]).images
    shutil.rmtree(store.root / TestLabels.kind)

    def why(image: str | Path, study: Study = chosen, result: RunResult = result) -> Explained:
        [x] = explain(study, options, [str(image)], lambda study, options: result).explained
        return x

    for split, known in (("test", "its label is held out"), ("train", "labelled ")):
        row = images[images["split"] == split].iloc[0]
        file = tmp_path / f"{split}.png"
        file.write_bytes(ImageShelf(store.root).get(row["sha256"]))
        by_id, by_file = why(row["image_id"]), why(file)
        assert known in by_id.subject.about
        about = by_id.subject.about[0].lower() + by_id.subject.about[1:]
        assert by_file.subject.about == f"Its bytes are those of {row['image_id']}, {about}"
        one, other = by_id.decision, by_file.decision
        assert [a.name for a in one.answers] == [a.name for a in other.answers]
        for e in (one, other):
            assert sum(p.ahead for p in e.parts) + e.rest + e.start == pytest.approx(e.lead)
        assert one.decision.logit == pytest.approx(other.decision.logit, abs=1e-3)
        assert [x.image_id for x in one.nearest] == [x.image_id for x in other.nearest]
        assert by_id.subject.pixels == by_file.subject.pixels
        told = "\n".join(line.plain for line in tell(Explanations((by_id,), "", ("hair -> 0",))))
        assert f"trained: hair -> 0.\n{row['image_id']}\n  Decided as {one.decision.name}" in told
    both = explain(chosen, options, [str(row["image_id"]), str(file)], lambda *_: result)
    assert both.html.count('class="explained"') == 2
    assert both.html.count("picture heat p") >= 1, "the demo's encoder has vectors of places"
    check_asks_nobody(both.html)

    probe = store.load(Heads, given["probe"])
    heads = [replace(h, weights=-h.weights, bias=-h.bias) for h in probe.heads]
    edited = store.save(replace(probe, heads=tuple(heads)), Recipe(stage="edit", code=""))
    later = result.model_copy(update={"given": result.given | {"probe": str(edited)}})
    turned = why(str(row["image_id"]), result=later).decision
    assert turned.answers[-1].name == one.decision.name, "what comes after the probe counts"

    with Image.open(file) as picture:
        picture.putpixel((0, 0), (1, 2, 3))
        picture.save(tmp_path / "copy.png")
    assert re.fullmatch(
        r"A new image: none of the dataset's has its bytes; but it is a near-duplicate of "
        rf"{row['image_id']} \(cosine (0\.99|1\.0)\d+\), train split, labelled .*",
        why(tmp_path / "copy.png").subject.about,
    )

    near = str(row["image_id"])[:-1] + "9"
    with pytest.raises(StudyError, match=f"{near} is neither an image id .* did you mean subj"):
        why(near)
    (tmp_path / "torn.png").write_bytes(file.read_bytes()[:300])
    with pytest.raises(StudyError, match=r"torn\.png is refused .* \(broken-image\)"):
        why(tmp_path / "torn.png")
    smaller = chosen.model_copy(
        update={"dataset": chosen.dataset.model_copy(update={"max_pixels": 100})}
    )
    with pytest.raises(StudyError, match=r"\(too-many-pixels\).* dataset\.max_pixels is 100"):
        why(file, smaller)
    ready_made = PrecomputedEncoder(kind="precomputed", path=tmp_path / "vectors.npz")
    with pytest.raises(StudyError, match="the study's vectors are precomputed"):
        why(file, chosen.model_copy(update={"encoder": ready_made}))

    check_predictions(
        file, one, lambda to: predict(chosen, options, to, lambda *_: result), tmp_path
    )


RED = Image.new("RGB", (56, 56), "red")


def check_predictions(
    file: Path, decided: ImageExplanation, decide: Callable[[Path], Predictions], tmp_path: Path
) -> None:
    """Check what is said of a folder that holds a file about which it is known what is decided."""
    folder = tmp_path / "clinic"
    (folder / "left").mkdir(parents=True)
    shutil.copy(file, folder / "left" / "a.png")
    (folder / "<b>.png").write_bytes(b"no image")
    said = decide(folder)
    assert [p.file for p in said.rows] == ["<b>.png", "left/a.png"]
    assert [bool(p.refused) for p in said.rows] == [True, False]
    assert said.rows[1].class_name == decided.decision.name
    assert said.rows[1].probability == pytest.approx(decided.decision.probability, abs=1e-4)
    write_predictions(said, tmp_path / "out.csv")
    rows = list(csv.DictReader((tmp_path / "out.csv").open(encoding="utf-8-sig")))
    assert [row["class"] for row in rows] == ["", decided.decision.name]
    first = decided.parts[0]
    assert rows[1]["reason_1"] == more_or_less(first.score > first.mean, first.text)
    assert "everything in one file" in write_predictions(said, tmp_path / "out.html")
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    check_asks_nobody(page)
    assert "&lt;b&gt;.png" in page
    many = replace(said, thumbnails=dict.fromkeys(map(str, range(IN_ONE_FILE + 1)), RED))
    assert "keep the two together" in write_predictions(many, tmp_path / "many.html")
    sheets = [f"many_files/{p.name}" for p in (tmp_path / "many_files").iterdir()]
    assert len(sheets) == 6
    with pytest.raises(StudyError, match="many_files, where thumbnails"):
        predictions_file(tmp_path / "many.html")
    assert predictions_file(tmp_path / "new.html") == tmp_path / "new.html"
    check_asks_nobody((tmp_path / "many.html").read_text(encoding="utf-8"), *sheets)


def test_nothing_is_written_over_another_file(tmp_path: Path) -> None:
    there = tmp_path / "page.html"
    there.write_bytes(b"mine")
    with pytest.raises(StudyError, match="is there already: remove it, or name another"):
        new_file(there, ".html")
    with pytest.raises(StudyError, match="cannot write"):
        write_new(there, b"ours")
    assert there.read_bytes() == b"mine"
    with pytest.raises(StudyError, match=r"a name that ends in \.html, not why\.jpg"):
        new_file(Path("why.jpg"), ".html")
    with pytest.raises(StudyError, match=r"ends in \.csv or \.html"):
        new_file(Path("why.png"), ".csv", ".html")
    with pytest.raises(StudyError, match="the folder of"):
        new_file(tmp_path / "nowhere" / "why.html", ".html")


def test_a_page_is_named_after_its_image() -> None:
    assert page_path(["../photos/my mole.jpg"]) == Path("my_mole-explained.html")
    assert page_path(["a.jpg", "b.jpg"]) == Path("images-explained.html")
