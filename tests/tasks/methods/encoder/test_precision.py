"""`auto` is settled by what the machine multiplies quickly, before any stage is looked up."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from curette.schemas.artifact import StudyError
from curette.schemas.machine import Machine
from curette.schemas.settings.encoder import OpenClipEncoder, PrecomputedEncoder
from curette.tasks.embed import STAGE as IMAGES_STAGE
from curette.tasks.ingest.synthetic import generate_images
from curette.tasks.methods.encoder.encoder import load_encoder
from curette.tasks.methods.encoder.precision import cpu_flags, resolve_precision

AUTO = OpenClipEncoder(precision="auto")
CPU = Machine(device="cpu")


@pytest.fixture
def flags(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """What the processor is said to be able to do."""
    said: set[str] = set()
    monkeypatch.setattr(
        "curette.tasks.methods.encoder.precision.cpu_flags", lambda: frozenset(said)
    )
    return said


@pytest.mark.parametrize(
    ("flag", "precision"),
    [("avx512_bf16", "bfloat16"), ("amx_bf16", "bfloat16"), ("avx512f", "float32")],
)
def test_auto_is_bfloat16_where_the_processor_multiplies_it(
    flags: set[str], flag: str, precision: str
) -> None:
    flags.add(flag)
    assert resolve_precision(AUTO, CPU).precision == precision


@pytest.mark.parametrize("native", [True, False])
def test_on_cuda_auto_is_bfloat16_only_where_it_is_not_emulated(
    flags: set[str], native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_supported(including_emulation: bool = True) -> bool:
        return including_emulation or native

    flags.add("amx_bf16")  # the CPU's word does not count
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_supported)
    made = resolve_precision(AUTO, Machine(device="cuda"))
    assert made.precision == ("bfloat16" if native else "float32")


@pytest.mark.parametrize(
    ("precision", "device", "wrong"),
    [
        ("auto", "cuda", "precision is `auto`.*head:6379.*Name `bfloat16` or"),
        ("auto", "cpu", "precision is `auto`"),
        ("bfloat16", "auto", "device is `auto`.*head:6379.*Name `cuda` or `cpu`"),
        ("bfloat16", "cuda", None),
        ("float32", "auto", None),
        ("float32", "cuda", None),
    ],
)
def test_what_a_ray_cluster_does_is_named_and_never_taken_from_this_machine(
    flags: set[str], precision: Any, device: Any, wrong: str | None
) -> None:
    spec = OpenClipEncoder(precision=precision)
    machine = Machine(device=device, engine="ray", ray_address="head:6379")
    if wrong:
        with pytest.raises(StudyError, match=wrong):
            resolve_precision(spec, machine)
    else:
        assert resolve_precision(spec, machine) == spec


def test_what_is_named_outright_stays(flags: set[str]) -> None:
    flags.add("avx512_bf16")
    named = OpenClipEncoder(precision="float32")
    ready_made = PrecomputedEncoder(kind="precomputed", path=Path("vectors.npz"))
    assert resolve_precision(named, CPU) == named
    assert resolve_precision(ready_made, CPU) == ready_made


def test_flags_are_those_of_the_first_processor(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu avx512_bf16\n\nprocessor\t: 1\nflags\t\t:\n")
    assert cpu_flags(cpuinfo) == {"fpu", "avx512_bf16"}
    assert cpu_flags(tmp_path / "absent") == frozenset()


def test_auto_is_in_no_identity_and_in_no_key(flags: set[str]) -> None:
    """What it stands for is: vectors of two kinds of machine are never taken for each other."""

    def key() -> str:
        return IMAGES_STAGE.key({"spec": resolve_precision(AUTO, CPU)})

    slow, plain = load_encoder(AUTO, CPU).identity, key()
    flags.add("amx_bf16")
    fast, rounded = load_encoder(AUTO, CPU).identity, key()
    assert slow == load_encoder(OpenClipEncoder(precision="float32"), CPU).identity
    assert fast == load_encoder(OpenClipEncoder(precision="bfloat16"), CPU).identity
    assert slow.digest != fast.digest
    assert plain != rounded
    assert plain == IMAGES_STAGE.key({"spec": OpenClipEncoder(precision="float32")})


def test_bfloat16_stays_within_a_thousandth_of_float32_for_every_image() -> None:
    vectors = []
    for precision in ("float32", "bfloat16"):
        encoder = load_encoder(OpenClipEncoder(precision=precision), CPU)
        rows = [encoder.prepare_image(image.png) for image in generate_images(24, seed=5)]
        vectors.append(encoder.encode_images(encoder.stack(rows)))
    assert np.einsum("id,id->i", *vectors).min() >= 0.999
