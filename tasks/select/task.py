"""The select stage: screened candidates in, the bottleneck's concepts out."""

from prefect import task

from schemas.artifact import Ref
from schemas.concepts import ConceptSet, SelectSpec
from schemas.embeddings import ImageEmbeddings, StudyEmbeddings, TextEmbeddings
from schemas.images import ImageDataset
from schemas.screened import ScreenedSet
from storage.store import ArtifactStore
from tasks.stage import Stage, leave_table

STAGE = Stage(name="select")


@task(name=STAGE.name, cache_policy=STAGE, persist_result=True, result_serializer="json")
def select_concepts(
    dataset: Ref[ImageDataset],
    screened: Ref[ScreenedSet],
    embeddings: Ref[StudyEmbeddings],
    spec: SelectSpec,
    store: ArtifactStore,
) -> Ref[ConceptSet]:
    """Choose each class's concepts, discriminative and diverse, from training images alone."""
    from tasks.select.selection import choose_concepts

    images = store.load(ImageDataset, dataset)
    pool = store.load(ScreenedSet, screened).kept
    vectors = store.load(StudyEmbeddings, embeddings)
    chosen = choose_concepts(
        pool,
        store.load(TextEmbeddings, vectors.texts_ref).take([c.text for c in pool]),
        store.load(ImageEmbeddings, vectors.images_ref).vectors[images.rows("train")],
        images.labels("train"),
        images.class_keys,
        spec,
    )
    leave_table("selected-concepts", _rows(chosen), _summary(chosen))
    recipe = STAGE.recipe(spec, dataset=dataset, screened=screened, embeddings=embeddings)
    return store.save(chosen, recipe)


def _rows(chosen: ConceptSet) -> list[dict[str, object]]:
    concepts = {c.concept_id: c for c in chosen.concepts}
    return [
        {
            "class": selection.class_key,
            "pick": place,
            "concept": concepts[pick.concept_id].text,
            "gain": round(pick.gain, 5),
            "discriminability": f"{concepts[pick.concept_id].discriminability:.3g}",
            "proposed for": ", ".join(concepts[pick.concept_id].classes),
        }
        for selection in chosen.selections
        for place, pick in enumerate(selection.picks, start=1)
    ]


def _summary(chosen: ConceptSet) -> str:
    proven = ", ".join(f"{s.class_key} {s.certificate:.1%}" for s in chosen.selections)
    return f"Selected concepts, best first. Proven share of the optimum: {proven}."
