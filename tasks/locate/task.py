"""The stage `locate`: where in test images with a lesion mask each concept is seen."""

from pathlib import Path

from curette.schemas.artifact import Ref
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.heat_maps import HeatMaps
from curette.schemas.images import ImageDataset
from curette.schemas.machine import Machine
from curette.schemas.settings.encoder import EncoderSpec, PrecomputedEncoder
from curette.schemas.settings.locate import LocateSpec
from curette.schemas.validation import ValidatedConceptDataset
from curette.storage.images import ImageFiles, ImageShelf
from curette.storage.store import ArtifactStore
from curette.tasks.locate import STAGE
from curette.tasks.methods.markdown import escape
from curette.tasks.stage import Workplace, leave_markdown, progress


@STAGE.task
def locate_concepts(
    at: Workplace,
    published: Ref[ConceptDataset],
    encoder: EncoderSpec,
    spec: LocateSpec,
) -> Ref[HeatMaps]:
    """Make heat maps of the selected concepts, or say why there can be none."""
    maps = _maps(at.store.load(ConceptDataset, published), encoder, spec, at.machine, at.store)
    _leave_note(maps)
    return at.store.save(maps, STAGE.recipe())


def _maps(
    published: ConceptDataset,
    encoder: EncoderSpec,
    spec: LocateSpec,
    machine: Machine,
    store: ArtifactStore,
) -> HeatMaps:
    if isinstance(encoder, PrecomputedEncoder):
        return HeatMaps.none("the vectors are precomputed, and they are of whole images")
    validated = store.load(ValidatedConceptDataset, published.validated_ref)
    images = store.load(ImageDataset, validated.dataset_ref)
    masked = len(images.masked_rows("test"))
    if not masked:
        return HeatMaps.none("no test image has a lesion mask")
    from curette.tasks.locate.heat import locate_concepts
    from curette.tasks.methods.encoder.encoder import load_encoder

    loaded = load_encoder(encoder, machine)
    if loaded.identity != published.facts.encoder:
        made = published.facts.encoder
        return HeatMaps.none(
            f"the concept dataset was made with {made.name} ({made.digest[:12]}), and the study "
            f"names {loaded.identity.name} ({loaded.identity.digest[:12]}); the digest is of "
            f"weights, preprocessing and precision, which is {encoder.precision} here"
        )
    ids = [c.concept_id for c in published.concepts]
    vectors = published.pool_vectors[published.pool_rows(ids)]
    files = ImageFiles(Path(images.root).resolve(), ImageShelf(store.root.resolve()))
    with progress("locating concepts", min(masked, spec.images)) as advance:
        return locate_concepts(images, ids, vectors, files.read, loaded, machine, spec, advance)


def _leave_note(maps: HeatMaps) -> None:
    rows, columns = maps.lesion.shape[1:]
    made = f"{len(maps.concept_ids)} concepts on {len(maps.image_ids)} images of {rows} x {columns}"
    left_out = f"; {len(maps.left_out)} masks could not be used" if maps.left_out else ""
    leave_markdown(
        "heat-maps",
        escape(maps.not_computable or f"{made} places{left_out}"),
        "Where in test images with a lesion mask concepts are seen.",
    )
