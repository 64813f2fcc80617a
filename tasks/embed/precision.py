"""Where an encoder runs, and the precision that `auto` stands for there."""

from pathlib import Path
from typing import Literal, TypeVar

from schemas.artifact import StudyError
from schemas.embeddings import OpenClipEncoder, PrecomputedEncoder
from schemas.machine import Machine

Device = Literal["cpu", "cuda"]
Spec = TypeVar("Spec", OpenClipEncoder, PrecomputedEncoder, OpenClipEncoder | PrecomputedEncoder)

_BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
"""What Linux calls the instructions that multiply bfloat16; without them it is slower than fp32."""


def resolve_precision(spec: Spec, machine: Machine) -> Spec:
    """Return the encoder's settings with the precision that `auto` stands for on this machine.

    That is bfloat16 on CUDA and on CPUs with AVX512-BF16 or AMX, else float32. A study resolves
    it before any stage is looked up, so that stages' keys and recipes hold what was used, and a
    run on another kind of machine makes its own vectors rather than mixing them with these.

    Raises:
        StudyError: CUDA is asked for and there is none.
    """
    if not isinstance(spec, OpenClipEncoder) or spec.precision != "auto":
        return spec
    fast = choose_device(machine) == "cuda" or bool(_BFLOAT16_FLAGS & cpu_flags())
    return spec.model_copy(update={"precision": "bfloat16" if fast else "float32"})


def choose_device(machine: Machine) -> Device:
    """Return where encoders run on this machine.

    Raises:
        StudyError: CUDA is asked for and there is none.
    """
    if machine.device == "cpu":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if machine.device == "cuda":
        raise StudyError(
            "the machine's device is `cuda`, but torch finds no GPU: there is none, its driver is "
            "too old, or this is a torch built for CPUs. Use `auto` or `cpu` to go on without."
        )
    return "cpu"


def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Return what Linux says the processor can do; nothing on other systems."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return frozenset()
    flags = next((line for line in lines if line.startswith("flags")), "")
    return frozenset(flags.partition(":")[2].split())
