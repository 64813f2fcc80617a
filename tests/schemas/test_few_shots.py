"""What few shots may be asked with."""

import pytest
from pydantic import ValidationError

from curette.schemas.settings.draw import FewShotSpec
from curette.schemas.settings.probe import ProbeSpec


def test_shots_rise_from_one_on() -> None:
    for shots in ((0, 1), (2, 1), (1, 1)):
        with pytest.raises(ValidationError, match="rising numbers from 1 on"):
            FewShotSpec(shots=shots)


def test_how_heads_are_trained_is_the_probes_setting_alone() -> None:
    for name in ("l2_values", "class_weight"):
        assert name in ProbeSpec.model_fields
        with pytest.raises(ValidationError, match=f"{name}\n.*Extra inputs are not permitted"):
            FewShotSpec.model_validate({name: ProbeSpec.model_fields[name].default})
