"""How good is each head, by every metric?"""

from collections.abc import Iterator

from curette.schemas.questions.metrics import Metric
from curette.tasks.evaluate.answers import HEAD_METRICS
from curette.tasks.evaluate.exam import Exam, is_defined, with_doubt


def measure(exam: Exam) -> tuple[Metric, ...]:
    """Return every defined metric of every head, with its interval."""
    return tuple(_metrics(exam))


def _metrics(exam: Exam) -> Iterator[Metric]:
    for head, replicates in zip(exam.heads, exam.replicates, strict=True):
        intervals = replicates.intervals(exam.spec.interval, exam.spec.confidence)
        for name, by_resamples in zip(HEAD_METRICS, intervals, strict=True):
            interval = with_doubt(name, by_resamples, exam.bootstrap.groups, exam.spec.confidence)
            if is_defined(interval):
                yield Metric(
                    head=head.name,
                    head_kind=head.kind,
                    nec=head.nec,
                    name=name,
                    value=interval.value,
                    low=interval.low,
                    high=interval.high,
                    method=interval.method,
                )
