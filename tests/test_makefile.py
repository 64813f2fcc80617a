"""What `make` would do, by `make --dry-run`."""

import re
import subprocess
from pathlib import Path

PROJECT = Path(__file__).parents[1]


def test_without_a_gpu_torch_alone_comes_from_elsewhere_and_cuda_from_nowhere() -> None:
    locked = re.findall(r'^name = "(.+)"$', (PROJECT / "uv.lock").read_text(), re.MULTILINE)
    gpu = {name for name in locked if name.startswith(("cuda-", "nvidia-"))}
    assert gpu

    sync, alone = _steps("TORCH=cpu")
    assert set(re.findall(r"--no-install-package (\S+)", sync)) == {"torch", "torchvision"} | gpu
    assert "--torch-backend cpu" in alone

    (usual,) = _steps()
    assert "--no-install-package" not in usual


def _steps(*choice: str) -> list[str]:
    """Return the commands of uv that set up an environment of which nothing is there."""
    done = subprocess.run(
        ["make", "--dry-run", "--always-make", "setup", "UV=/bin/true", *choice],
        cwd=PROJECT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = done.stdout.replace("\\\n", " ").splitlines()
    return [line for line in lines if re.match(r"/bin/true (sync|export) ", line)]
