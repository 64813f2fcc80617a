"""Files, committed to a repository of the Hugging Face hub."""

import os
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path

from curette.schemas.artifact import StudyError
from curette.schemas.pushed import Pushed
from curette.schemas.settings.publish import PushSpec

_OURS = ("*.parquet", "data/*.parquet", "probe.safetensors")
"""Tables that an earlier push may have left and this one may not have, and heads of other ones."""


def page_of(spec: PushSpec) -> str:
    """Return the address of a repository's page."""
    from huggingface_hub import HfApi

    return f"{HfApi(endpoint=_endpoint()).endpoint}/datasets/{spec.repo}"


def push_files(files: Mapping[str, Path], spec: PushSpec, told: str) -> Pushed:
    """Commit these files; whatever else people keep in the repository stays, but for old
    tables and heads.

    Args:
        files: name in the repository -> where it is.
        spec: which repository.
        told: what they are, for the commit's message.

    Raises:
        StudyError: there is no token, the hub refuses it, or the repository is public where a
            private one is wanted.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi(endpoint=_endpoint(), token=token_for_the_hub())
    try:
        api.create_repo(spec.repo, repo_type="dataset", private=spec.private, exist_ok=True)
        if spec.private and not api.dataset_info(spec.repo).private:
            raise StudyError(
                f"publish.push: {spec.repo} is there already and is public, so nothing was sent. "
                "Make it private on the hub, name another, or say publish.push.private: false."
            )
        there = api.list_repo_files(spec.repo, repo_type="dataset")
        old = [x for x in there if x not in files and any(fnmatch(x, ours) for ours in _OURS)]
        done = api.create_commit(
            spec.repo,
            [
                *(CommitOperationAdd(name, path) for name, path in files.items()),
                *(CommitOperationDelete(name) for name in old),
            ],
            repo_type="dataset",
            commit_message=f"curette: {told}",
        )
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403, 404):
            raise StudyError(
                f"publish.push: the hub refuses to write {spec.repo} (HTTP {status}). The token "
                "must be one that may write there, and the user or organisation must exist."
            ) from None
        raise
    return Pushed(
        repo=spec.repo,
        private=spec.private,
        commit=done.oid,
        url=page_of(spec),
    )


def _endpoint() -> str | None:
    """Return the hub's address, read now: the library itself reads it as it is imported."""
    return os.environ.get("HF_ENDPOINT")


def token_for_the_hub() -> str:
    """Return the token of the environment, or of `hf auth login`; it is kept nowhere.

    Raises:
        StudyError: there is none.
    """
    from huggingface_hub import get_token

    token = get_token()
    if not token:
        raise StudyError(
            "publish.push needs a token of the hub that may write: set HF_TOKEN, or run "
            "`hf auth login`. Or leave publish.push out: nothing is sent then."
        )
    return token
