"""What corrections tell of other concepts, on drawn concepts that share causes and that do not.

    python -m tests.benchmarks.bench_corrections

Three classes, six concepts; 1,200 images to learn from, 1,500 to test on, corrected least certain
first. Means over 1 to 6 looks at an image, with intervals over groups.
"""

import numpy as np

from tests.tasks.methods.statistics.test_joint_concepts import Corrected, Drawn


def main() -> None:
    """Print a table."""
    for dependent in (True, False):
        drawn = Corrected(Drawn.of(1200, dependent, 1), Drawn.of(1500, dependent, 2))
        by_class = drawn.beliefs(drawn.fitted(coupled=False))
        propagated = drawn.beliefs(drawn.coupled)
        labels = drawn.test.labels[:, None]
        alone = drawn.independent.argmax(2) == labels
        joint = (drawn.logits[:, None] + propagated.class_evidence).argmax(2) == labels
        right = [drawn.right(b) for b in (by_class, propagated)]
        shape = propagated.concepts.shape
        read = np.broadcast_to(drawn.reading.probability(drawn.test.scores)[:, None], shape)
        losses = [drawn.loss(p) for p in (read, by_class.concepts, propagated.concepts)]
        print("sharing causes" if dependent else "drawn one by one")
        for name, found in (
            ("corrections alone", alone),
            ("by the class", right[0]),
            ("propagated", right[1]),
            ("propagated, the head's scores left as they were", joint),
        ):
            print(f"  {name:<50}{found.mean(0).round(3)} mean {found[:, 1:].mean():.4f}")
        for name, gain in (
            ("accuracy, propagated over alone", (right[1] * 1.0 - alone)[:, 1:].mean(1)),
            ("accuracy, propagated over class", (right[1] * 1.0 - right[0])[:, 1:].mean(1)),
            ("log loss, propagated under reading", losses[0] - losses[2]),
            ("log loss, propagated under class", losses[1] - losses[2]),
        ):
            low, high = drawn.interval(gain)
            print(f"  {name:<50}{gain.mean():+.4f} [{low:+.4f}, {high:+.4f}]")


if __name__ == "__main__":
    main()
