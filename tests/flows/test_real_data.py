"""The studies of real data run to the end; where the data is absent they are skipped, saying so."""

import json
from pathlib import Path

import pytest

from curette.flows.stages import RunOptions
from curette.flows.study import study
from curette.flows.study_file import load_study
from curette.schemas.study import Study
from curette.tasks.stage import stage_names, why_skipped

pytestmark = [pytest.mark.usefixtures("prefect_server"), pytest.mark.slow]

STUDIES = Path(__file__).parents[2] / "flows" / "studies"


def titles_of(study: Study) -> set[str]:
    return {title for title in stage_names() if not why_skipped(title, study)}


def _few_of(listed: Path, into: Path) -> Path:
    """Write down some of the 400 statements that there are of each class."""
    statements = json.loads(listed.read_text())
    into.write_text(json.dumps({name: texts[:60] for name, texts in statements.items()}))
    return into


def test_ham10000_runs_on_some_of_its_images(shared_data: Path, tmp_path: Path) -> None:
    listed = shared_data / "ham10000" / "labo" / "class2concepts.json"
    overrides = [
        f"dataset.source.path={shared_data}/ham10000/HAM10000_metadata.csv",
        f"dataset.source.image_folder={shared_data}/ham10000/images",
        f"propose.sources.0.path={_few_of(listed, tmp_path / 'listed.json')}",
        "dataset.limit=350",
        "validation.min_images_per_class=2",
        "evaluate.resamples=100",
        "few_shots={shots: [1], seeds: 1, heads: [prior]}",
        "probe={epochs: 50, random_draws: 1, nec: [5], heads: [sparse]}",
    ]
    loaded = load_study(STUDIES / "ham10000.yaml", overrides)
    result = study(loaded, RunOptions(store=tmp_path / "store"))
    assert {s.title for s in result.stages} == titles_of(loaded)
    assert result.report is not None
    page = Path(result.report).read_text()
    assert "knows only drawn lesions" in page, "a demo encoder on real images is labelled"
    probe, majority = (
        result.metrics[head]["balanced_accuracy"] for head in ("linear probe", "majority class")
    )
    assert probe.value > majority.value


def test_ph2_runs_on_ready_made_vectors(shared_data: Path, tmp_path: Path) -> None:
    vectors = f"{shared_data}/ph2-clip/ph2_monet_ViT-L-14.npz"
    overrides = [
        f"dataset.source.path={vectors}",
        f"dataset.source.image_folder={shared_data}/ph2-images/images",
        f"propose.sources.0.path={shared_data}/ph2-clip/class2concepts.json",
        f"encoder.path={vectors}",
        "evaluate.resamples=200",
        "few_shots={shots: [1], seeds: 2}",
        "probe={epochs: 50, nec: [5]}",
    ]
    loaded = load_study(STUDIES / "ph2.yaml", overrides)
    result = study(loaded, RunOptions(store=tmp_path / "store"))
    assert {s.title for s in result.stages} == titles_of(loaded)
    assert result.metrics["linear probe"]["macro_auroc"].value > 0.8
    assert result.metrics["majority class"]["macro_auroc"].value == 0.5
