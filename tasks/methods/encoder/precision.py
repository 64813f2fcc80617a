"""Where an encoder runs, and the precision that `auto` stands for there."""

from pathlib import Path
from typing import Literal, TypeVar

from curette.schemas.artifact import StudyError
from curette.schemas.machine import Machine
from curette.schemas.settings.encoder import EncoderSpec, LoadedEncoder, PrecomputedEncoder

Device = Literal["cpu", "cuda"]
Spec = TypeVar("Spec", LoadedEncoder, PrecomputedEncoder, EncoderSpec)

_BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
"""What Linux calls the instructions that multiply bfloat16; without them it is slower than fp32."""


def resolve_precision(spec: Spec, machine: Machine) -> Spec:
    """Return the encoder's settings with the precision that `auto` stands for on this machine.

    That is bfloat16 on GPUs that have it natively and on CPUs with AVX512-BF16 or AMX, else
    float32. A study resolves it before any stage is looked up, so that stages' keys and recipes
    hold what was used, and a run on another kind of machine makes its own vectors rather than
    mixing them with these.

    Raises:
        StudyError: CUDA is asked for and there is none; or a Ray cluster encodes the images, and
            this machine cannot tell what that multiplies fast, or on what.
    """
    if isinstance(spec, PrecomputedEncoder):
        return spec
    if machine.ray_address is not None:
        _require_named(spec, machine)
    if spec.precision != "auto":
        return spec
    fast = _has_bfloat16(choose_device(machine))
    return spec.model_copy(update={"precision": "bfloat16" if fast else "float32"})


def _require_named(spec: LoadedEncoder, machine: Machine) -> None:
    if spec.precision == "auto":
        raise StudyError(
            f"the encoder's precision is `auto`, but the Ray cluster {machine.ray_address} encodes "
            "the images, and what its workers multiply fast is not known here. Name `bfloat16` or "
            "`float32`."
        )
    if spec.precision == "bfloat16" and machine.device == "auto":
        raise StudyError(
            f"the machine's device is `auto`, but the Ray cluster {machine.ray_address} encodes "
            "the images, and bfloat16 rounds otherwise on a CPU than on a GPU. Name `cuda` or "
            "`cpu`."
        )


def _has_bfloat16(device: Device) -> bool:
    if device == "cpu":
        return bool(_BFLOAT16_FLAGS & cpu_flags())
    import torch

    # Older GPUs emulate it, slower than they multiply float32.
    return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def image_device(machine: Machine) -> Device:
    """Return where a study's images are encoded: by the workers of a Ray cluster, or here.

    Raises:
        StudyError: CUDA is asked for here and there is none.
    """
    if machine.ray_address is not None and machine.device != "auto":
        return machine.device
    return choose_device(machine)


def choose_device(machine: Machine) -> Device:
    """Return where encoders run on this machine.

    Beside a Ray cluster of GPUs this machine may have none: then it encodes texts on its CPU.

    Raises:
        StudyError: CUDA is asked for here and there is none.
    """
    if machine.device == "cpu":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if machine.device == "cuda" and machine.ray_address is None:
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
