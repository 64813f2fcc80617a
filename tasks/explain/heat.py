"""Pictures of where concepts are seen on an image."""

from collections.abc import Sequence

from PIL import Image

from curette.schemas.concept_dataset import ConceptDataset
from curette.tasks.explain.page import Heat
from curette.tasks.methods.encoder.encoder import ClipEncoder
from curette.tasks.methods.encoder.heat import encoder_view, heat_of_batch, why_no_heat
from curette.tasks.methods.explanation import ConceptPart
from curette.tasks.methods.page.heat_picture import draw_heat

_PX = 240


def heat_by(encoder: ClipEncoder, published: ConceptDataset) -> Heat | None:
    """Return what draws where concepts are seen; None where the encoder cannot tell."""
    if why_no_heat(encoder):
        return None
    view = encoder_view(encoder)

    def heat(pixels: Image.Image, parts: Sequence[ConceptPart]) -> Sequence[Image.Image]:
        if not parts:
            return ()
        vectors = published.pool_vectors[published.pool_rows(p.concept_id for p in parts)]
        maps = heat_of_batch(encoder, encoder.preprocess(pixels)[None], vectors)[0]
        return [draw_heat(pixels, places.tolist(), view, None, _PX) for places in maps]

    return heat
