import pytest


@pytest.fixture(autouse=True)
def model_on_this_machine(key: str) -> None:
    """Have a key for it, and nothing between the client and this machine."""
