"""What the machine's settings mean is told to every stage, also where a stage does not take it."""

from pathlib import Path

import pytest
import torch

from curette.flows.stages import RunOptions, Stages
from curette.flows.study_file import load_study
from curette.schemas.artifact import Artifact, Ref
from curette.schemas.machine import Machine
from curette.tasks.methods.threads import usual_threads
from curette.tasks.stage import Stage, Workplace

DEMO = load_study(Path("flows/studies/demo.yaml"))

pytestmark = pytest.mark.usefixtures("prefect_server")


def test_every_stage_computes_with_the_machines_threads(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    @Stage("probe").task
    def look(at: Workplace) -> Ref[Artifact]:
        seen.append((usual_threads(), torch.get_num_threads()))
        return Ref("nothing", "0" * 20)

    for threads in (3, 2, 5):
        machine = Machine(threads=threads)
        Stages(DEMO, RunOptions(store=tmp_path, refresh=("probe",), machine=machine)).run(look)
    assert seen == [(3, 3), (2, 2), (5, 5)]
