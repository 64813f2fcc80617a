"""Whether other signs of doubt find a head's mistakes better than its confidence."""

from pydantic import BaseModel, Field

from curette.schemas.metrics import Estimate


class PredictedErrors(BaseModel, frozen=True):
    """Whether a second model, that predicts a head's mistakes, orders images better than the head.

    Orders are compared by the area under the risk-coverage curve, lower is better.
    """

    head: str
    by_confidence: Estimate = Field(description="images answered by highest probability")
    by_prediction: Estimate = Field(description="by the predicted probability of being right")
    difference: Estimate = Field(
        description="by prediction minus by confidence, on the same resamples: below 0 is better"
    )
    in_any_order: Estimate = Field(description="the share of wrong answers: the order of chance")
    weights: dict[str, float] = Field(
        description="sign of doubt -> weight, standardised; above 0: more goes with mistakes"
    )
    learned_from: int = Field(description="validation images")
    mistakes: int = Field(description="wrong decisions among them")


class ErrorPrediction(BaseModel, frozen=True):
    """Signs of doubt beside confidence, learned on validation images."""

    heads: tuple[PredictedErrors, ...] = ()
    not_computable: dict[str, str] = Field(default_factory=dict, description="head -> why not")
