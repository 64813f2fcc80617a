"""The questions that the evaluation answers, one file each.

A question is a file here, whose `measure` answers it, and a field of `Evaluation` of the same name.
Under that name too are the records of the answer, `schemas/questions/<name>.py`, and how the report
tells it: `tasks/report/sections/<name>.py` and `tasks/report/templates/sections/<name>.html.j2`.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from curette.schemas.evaluation import Evaluation
from curette.tasks.evaluate.exam import Exam

Question = Callable[[Exam], object]

QUESTIONS: dict[str, Question] = {
    name: import_module(f"{__name__}.{name}").measure
    for name in Evaluation.model_fields
    if Path(__file__).with_name(f"{name}.py").is_file()
}
"""Field of `Evaluation` -> what answers it."""
