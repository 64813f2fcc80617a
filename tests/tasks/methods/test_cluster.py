"""Workers of a Ray cluster compute with the libraries of the machine that sent them work."""

import pytest

from curette.schemas.artifact import StudyError
from curette.tasks.methods.cluster import libraries, require_same


def test_a_worker_with_another_library_is_named_with_both_versions() -> None:
    here = libraries()
    assert {"torch", "pillow"} <= here.keys()
    require_same(here, dict(here))
    with pytest.raises(StudyError, match=r"torch is 2\.0 on the Ray worker \S+, and \S+ on the"):
        require_same(here, here | {"torch": "2.0"})
    with pytest.raises(StudyError, match=r"timm is not installed on the Ray worker"):
        require_same(here | {"timm": "1.0"}, {k: v for k, v in here.items() if k != "timm"})
