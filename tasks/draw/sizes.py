"""All training and validation images, and the first few concepts of several orders.

The study selects as many as are enough; heads on fewer, on more, on LaBo's and on any tell what the
number and the choice are worth. Nothing is drawn but the random orders.
"""

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.draws import Draw, Draws
from curette.schemas.settings.draw import SizeSpec
from curette.schemas.settings.select import SelectSpec
from curette.schemas.shifts import UnusableDraw
from curette.tasks.methods.selection.orders import order_concepts


def draw(published: ConceptDataset, _: SelectSpec, spec: SizeSpec) -> Draws:
    """Take the first concepts of each order; a number that there are not says so."""
    ids, most = published.images["image_id"].to_numpy(), len(published.pool)
    train, validation = (
        tuple(ids[published.rows(split)].tolist()) for split in ("train", "validation")
    )
    sizes = [size for size in spec.concepts if size <= most]
    ways = order_concepts(published, max(sizes, default=1), spec.random_draws)
    return Draws(
        protocol="sizes",
        draws=tuple(
            Draw(
                title=f"{way} {number + 1}, {size} concept{'s' * (size > 1)}",
                seed=number,
                way=way,
                size=size,
                image_ids=train,
                validation_ids=validation,
                concept_ids=tuple(published.pool[row].concept_id for row in choose(size)),
            )
            for way, orders in ways.items()
            for number, choose in enumerate(orders)
            for size in sizes
        ),
        unusable=tuple(
            UnusableDraw(title=f"{size} concepts", reason=f"there are {most} to choose from")
            for size in spec.concepts
            if size > most
        ),
    )
