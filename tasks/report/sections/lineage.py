"""What was made from what, by which code and settings?"""

import json
from typing import Any

from curette.schemas.artifact import Manifest
from curette.tasks.report.material import Draft


def compose(draft: Draft) -> dict[str, Any]:
    """Return the manifest of every artifact that the report rests on."""
    lineage = draft.material.lineage
    return {
        "meaning": f"{len(lineage)} artifacts, each addressed by its content; the same study on "
        "the same data gives the same addresses.",
        "artifacts": [_artifact(manifest) for manifest in lineage],
    }


def _artifact(manifest: Manifest) -> dict[str, Any]:
    return {
        "stage": manifest.recipe.stage,
        "ref": f"{manifest.kind}/{manifest.digest}",
        "inputs": manifest.recipe.inputs,
        "code": manifest.recipe.code[:20],
        "commit": manifest.code_commit,
        "spec": json.dumps(manifest.recipe.spec, indent=1, sort_keys=True, ensure_ascii=False),
    }
