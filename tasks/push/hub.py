"""Files of a folder, committed to a repository of the Hugging Face hub."""

import os
from collections.abc import Sequence
from pathlib import Path

from curette.schemas.artifact import StudyError
from curette.schemas.pushed import Pushed
from curette.schemas.settings.publish import PushSpec

_OURS = ("*.parquet", "data/*.parquet")
"""Tables that an earlier push may have left and this one may not have."""


def push_folder(folder: Path, files: Sequence[str], spec: PushSpec, told: str) -> Pushed:
    """Commit these files; whatever else people keep in the repository stays, but for old tables.

    Args:
        folder: where they are.
        files: their names in it, and in the repository.
        spec: which repository.
        told: what they are, for the commit's message.

    Raises:
        StudyError: there is no token, the hub refuses it, or the repository is public where a
            private one is wanted.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    # Read now: the library itself reads it as it is imported.
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=token_for_the_hub())
    try:
        api.create_repo(spec.repo, repo_type="dataset", private=spec.private, exist_ok=True)
        if spec.private and not api.dataset_info(spec.repo).private:
            raise StudyError(
                f"publish.push: {spec.repo} is there already and is public, so nothing was sent. "
                "Make it private on the hub, name another, or say publish.push.private: false."
            )
        done = api.upload_folder(
            repo_id=spec.repo,
            repo_type="dataset",
            folder_path=folder,
            allow_patterns=list(files),
            delete_patterns=list(_OURS),
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
        url=f"{api.endpoint}/datasets/{spec.repo}",
    )


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
