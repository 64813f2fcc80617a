"""What erasing a column leaves for a fresh probe, on images that the erasure has not seen."""

import numpy as np
import pandas as pd

from curette.tasks.publish.erasure import erase_columns
from tests.builders.images import image_dataset


def test_a_probe_finds_the_column_before_and_nothing_after() -> None:
    generator = np.random.default_rng(0)
    count = 900
    sex = generator.permutation(np.repeat(["f", "m", None], [400, 400, 100]))
    table = pd.DataFrame(
        {
            "image_id": [f"{i:04d}" for i in range(count)],
            "sha256": [f"{i:064x}" for i in range(count)],
            "location": "",
            "split": generator.permutation(np.repeat(["train", "validation", "test"], 300)),
            "group": [f"g{i}" for i in range(count)],
            "meta.sex": sex,
        }
    )
    table["label"] = [None if split == "test" else "a" for split in table["split"]]
    vectors = generator.normal(size=(count, 8)).astype(np.float32)
    vectors[:, 2] += 2 * (sex == "f")
    erasure = erase_columns(("sex",), image_dataset(table), vectors)
    (column,) = erasure.columns
    assert column.values == 2
    assert column.before is not None
    assert column.after is not None
    assert column.before.low > 0.75
    assert column.after.low < 0.5 < column.after.high + 0.05
    assert column.after.high < 0.65
    assert "who knows nothing has 0.500" in column.told
    kept = [i for i in range(8) if i != 2]
    np.testing.assert_allclose(erasure.apply(vectors)[:, kept], vectors[:, kept], atol=0.5)
