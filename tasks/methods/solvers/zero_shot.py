"""Training-free baselines: class prompts, and the concept matrix search of Sparse-CBM.

Both need no label and no image but the one they judge.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from curette.tasks.methods.solvers.linear import LinearHead


def class_prompt_head(
    class_vectors: Float[Tensor, "class dim"], *, scale: float = 100.0
) -> LinearHead:
    """Return CLIP's zero-shot head, logits = scale * x . t_k (Radford et al., 2021, section 3.1).

    Args:
        class_vectors: the mean of each class's prompt vectors; made unit here.
        scale: CLIP's logit scale.

    Raises:
        ValueError: a class has a zero vector.
    """
    if not class_vectors.any(1).all():
        raise ValueError(
            "a class prompt has a zero vector, which resembles nothing; usually its text was empty "
            "when it was embedded. Look at the class names, then embed them again."
        )
    weights = scale * normalize(class_vectors.double(), dim=1)
    return LinearHead(weights, weights.new_zeros(len(weights)))


def search_concept_matrix(
    image_scores: Float[Tensor, "image concept"],
    class_scores: Float[Tensor, "class concept"],
) -> Float[Tensor, "image class"]:
    """Return how well the concepts of an image fit those of a class (Sparse-CBM's CMS).

    With V the scores of images, T those of class prompts, both with rows of unit length, it is
    V_i . T_k, and the largest over k is the predicted class (Semenov et al., 2024, section 4).

    Args:
        image_scores: cosine of image and concept.
        class_scores: cosine of class prompt and concept, of the same concepts.

    Raises:
        ValueError: a row is zero, so that it has no direction.
    """
    for name, rows in (("image", image_scores), ("class", class_scores)):
        if not rows.any(1).all():
            raise ValueError(
                f"the concept scores of an {name} are all zero; usually an empty text or a blank "
                "image was embedded. Look at it, then embed it again."
                if name == "image"
                else "the concept scores of a class are all zero; usually its prompt was empty. "
                "Look at the class names, then embed them again."
            )
    images, classes = (normalize(rows.double(), dim=1) for rows in (image_scores, class_scores))
    return torch.as_tensor(images @ classes.T)


def concept_matrix_head(
    concept_vectors: Float[Tensor, "concept dim"],
    class_vectors: Float[Tensor, "class dim"],
    *,
    scale: float = 100.0,
) -> LinearHead:
    """Return the search by cosine as a head on an image's scores of unit length, times a scale.

    On raw scores, and on image vectors with the concepts folded in, logits are longer by the length
    of the image's scores, and the answers the same.
    """
    of_classes = class_vectors.double() @ concept_vectors.double().T
    of_each_concept_alone = torch.eye(len(concept_vectors), dtype=torch.float64)
    weights = scale * search_concept_matrix(of_each_concept_alone, of_classes).T
    return LinearHead(weights, weights.new_zeros(len(weights)))
