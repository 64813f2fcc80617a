import pytest


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A key in the environment, and no proxy between the client and this machine."""
    key = "sk-do-not-show-this-1234"
    monkeypatch.setenv("SOME_KEY", key)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    # Every client reads all certificates that it trusts; over plain HTTP none is needed.
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path_factory.getbasetemp()))
    return key
