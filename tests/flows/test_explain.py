"""`curette explain` on a small demo: an image by its id and by its file, and what is refused."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from curette.flows.explain import ExplainedImage, explain, picture_path, save_picture, tell
from curette.flows.runs import RunResult
from curette.flows.stages import RunOptions
from curette.flows.study import study
from curette.flows.study_file import load_study
from curette.schemas.artifact import Recipe, Ref, StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.images import TestLabels
from curette.schemas.probe import Probe
from curette.schemas.settings.encoder import PrecomputedEncoder
from curette.schemas.study import Study
from curette.storage.images import ImageShelf
from curette.storage.store import ArtifactStore
from tests.builders.demo import DEMO, SMALL
from tests.builders.finished import FinishedStudy


@pytest.mark.slow
def test_an_image_is_explained_by_its_id_and_by_its_file(
    finished: FinishedStudy, tmp_path: Path
) -> None:
    chosen = load_study(DEMO, list(SMALL))
    store = ArtifactStore(finished.copied_to(tmp_path / "store"))
    options = RunOptions(store=store.root)
    result = study(chosen, options.model_copy(update={"before": "evaluate"}))
    assert {s.state for s in result.stages} == {"cached"}
    given = {name: Ref.parse(ref) for name, ref in result.given.items()}
    images = store.load(ConceptDataset, given["published"]).images
    shutil.rmtree(store.root / TestLabels.kind)

    def why(image: str | Path, study: Study = chosen, result: RunResult = result) -> ExplainedImage:
        return explain(study, options, str(image), lambda study, options: result)

    for split, known in (("test", "its label is held out"), ("train", "labelled ")):
        row = images[images["split"] == split].iloc[0]
        file = tmp_path / f"{split}.png"
        file.write_bytes(ImageShelf(store.root).get(row["sha256"]))
        by_id, by_file = why(row["image_id"]), why(file)
        assert known in by_id.about
        assert by_file.about == f"its bytes are those of {row['image_id']}, {by_id.about}"
        one, other = by_id.explanation, by_file.explanation
        assert [a.name for a in one.answers] == [a.name for a in other.answers]
        for e in (one, other):
            added = sum(p.added for p in e.parts) + e.rest + e.baseline
            assert added == pytest.approx(e.decision.logit)
        assert one.decision.logit == pytest.approx(other.decision.logit, abs=1e-3)
        assert [x.images[0].image_id for x in one.examples] == [
            x.images[0].image_id for x in other.examples
        ]
        shown, same = (x.picture.crop((0, 0, 340, 340)) for x in (by_id, by_file))
        np.testing.assert_array_equal(np.asarray(shown), np.asarray(same))
        told = "\n".join(line.plain for line in tell(by_id))
        assert f"{row['image_id']}: {one.decision.name}" in told

    probe = store.load(Probe, given["probe"])
    heads = [replace(h, weights=-h.weights, bias=-h.bias) for h in probe.heads]
    edited = store.save(replace(probe, heads=tuple(heads)), Recipe(stage="edit", code=""))
    later = result.model_copy(update={"given": result.given | {"probe": str(edited)}})
    turned = why(str(row["image_id"]), result=later).explanation
    assert turned.answers[-1].name == one.decision.name, "what comes after the probe counts"

    with Image.open(file) as picture:
        picture.putpixel((0, 0), (1, 2, 3))
        picture.save(tmp_path / "copy.png")
    assert re.fullmatch(
        r"a new image: none of the dataset's has its bytes; but it looks almost like "
        rf"{row['image_id']} \(cosine (0\.99|1\.0)\d+\), train split, labelled .*",
        why(tmp_path / "copy.png").about,
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


def test_a_picture_is_never_written_over_another_file(tmp_path: Path) -> None:
    there = tmp_path / "photo.png"
    there.write_bytes(b"mine")
    with pytest.raises(StudyError, match="is there already: remove it, or name another"):
        picture_path("some_id", there)
    with pytest.raises(StudyError, match="cannot write the picture"):
        save_picture(Image.new("RGB", (1, 1)), there)
    assert there.read_bytes() == b"mine"


def test_a_picture_is_named_after_its_image(tmp_path: Path) -> None:
    assert picture_path("../photos/my mole.jpg", None) == Path("my_mole-explained.png")
    with pytest.raises(StudyError, match=r"a name that ends in \.png, not why\.jpg"):
        picture_path("some_id", Path("why.jpg"))
    with pytest.raises(StudyError, match="the folder of"):
        picture_path("some_id", tmp_path / "nowhere" / "why.png")
