"""What does each head say of each test image?"""

from curette.schemas.questions.predictions import Prediction
from curette.tasks.evaluate.exam import Exam


def measure(exam: Exam) -> tuple[Prediction, ...]:
    """Return the decision of every head about every test image."""
    keys = exam.images.class_keys
    predicted = {name: logits.argmax(axis=1) for name, logits in exam.logits.items()}
    return tuple(
        Prediction(
            image_id=image_id,
            label=keys[exam.images.labels[i]],
            predicted={name: keys[rows[i]] for name, rows in predicted.items()},
        )
        for i, image_id in enumerate(exam.images.ids)
    )
