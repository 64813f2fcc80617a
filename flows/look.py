"""A finished study's pages, served to one person on this machine: `curette look`."""

import secrets
import socket
import sys
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import cast

import numpy as np
import uvicorn
from jaxtyping import Float32
from PIL import Image
from starlette.types import ASGIApp

from curette.flows.finished import last_report
from curette.flows.new_images import Windows, admitted, in_eight_bits, same_encoder
from curette.flows.review import decided_so_far, keep_decisions
from curette.flows.sequence import remembered
from curette.flows.stages import RunOptions
from curette.schemas.artifact import Ref, StudyError
from curette.schemas.candidates import concept_id
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.concepts import ConceptSet
from curette.schemas.embeddings import StudyEmbeddings, TextEmbeddings
from curette.schemas.evaluation import Evaluation
from curette.schemas.heads import EXPLAINED
from curette.schemas.images import ImageDataset
from curette.schemas.machine import Machine
from curette.schemas.probe import Heads
from curette.schemas.report import Report
from curette.schemas.review import Decision, Decisions
from curette.schemas.screened import ScreenedSet
from curette.schemas.settings.encoder import (
    OpenClipEncoder,
    PrecomputedEncoder,
    TransformersEncoder,
)
from curette.schemas.study import Study
from curette.schemas.validation import ValidatedConceptDataset
from curette.storage.images import ImageShelf, image_reader
from curette.storage.store import ArtifactStore
from curette.tasks.explain.page import notices as notices_of
from curette.tasks.ingest.listing import ImageBytes, Refusal
from curette.tasks.ingest.verify import verify_image
from curette.tasks.look.site import Encode, Site
from curette.tasks.look.view import StudyView, Told
from curette.tasks.methods.encoder.pixels import Window, read_rgb
from curette.tasks.methods.explanation import printable
from curette.tasks.review.sheet import read_decision

EncodeImage = Callable[[Image.Image], Float32[np.ndarray, " dim"]]

_BEHIND = (
    "This is the last finished run: the study, what was decided, or curette changed since. Run the "
    "study again to bring it up to date."
)


def open_site(study: Study, options: RunOptions) -> Site:
    """Return the pages of a study that was run to its end.

    Where the study, its decisions or the code changed since, it is the last run that is shown, and
    the pages say so.

    Raises:
        StudyError: it was never run to its end in this store.
    """
    store = ArtifactStore(options.store.resolve())
    report_ref, notices = last_report(study.name, store), [_BEHIND]
    if (result := remembered(study, options)) and Report.kind in result.made:
        report_ref, notices = result.made[Report.kind], []
    inputs = store.manifest(report_ref).recipe.inputs
    published = store.load(ConceptDataset, Ref.parse(inputs["published"]))
    validated = store.load(ValidatedConceptDataset, published.validated_ref)
    screened = store.load(ScreenedSet, validated.screened_ref)
    vectors = store.load(StudyEmbeddings, validated.embeddings_ref)
    head = store.load(Heads, Ref.parse(inputs["probe"])).head(EXPLAINED)
    chosen = store.load(ConceptSet, validated.concepts_ref)
    evaluated = Ref.parse(inputs["evaluation"])
    told: dict[str, Told] = {}
    if evaluated.kind == Evaluation.kind:
        predictions = store.load(Evaluation, evaluated).predictions
        told = {p.image_id: Told(p.label, p.predicted[head.facts.name]) for p in predictions}
    notices += notices_of(published, head.facts.edits)
    encode, encode_image = _encoders(study, options.machine, published)
    dataset = store.load(ImageDataset, validated.dataset_ref)
    test = published.images.iloc[published.rows("test")]
    return Site(
        view=StudyView(
            published, screened, chosen, store.load(TextEmbeddings, vectors.texts_ref), head, told
        ),
        read=_reader(dataset, store),
        desk=ReviewDesk(study, store, published.class_keys, screened, chosen),
        encode=encode,
        why_no_search=""
        if encode
        else "Search by text is left out: the study has no encoder that "
        "makes a vector of a new text.",
        new_images=NewImageDesk(
            study.dataset.max_pixels,
            dataset.windows,
            study.dataset.grey_range and Window(*study.dataset.grey_range),
            frozenset(test["sha256"]),
            encode_image,
        )
        if encode_image
        else None,
        report=store.load(Report, report_ref),
        notices=tuple(notices),
        reviewer=study.review.reviewer,
    )


def serve(site: Site, port: int, say: Callable[[str], None]) -> None:
    """Serve pages at a port of 127.0.0.1 until somebody stops it.

    Args:
        site: the pages.
        port: 0: any that is free.
        say: is told the address, and that it ended.

    Raises:
        StudyError: the port is not to be had.
    """
    with listening(port) as place:
        port = place.getsockname()[1]
        token = secrets.token_urlsafe(24)
        say(f"look: http://127.0.0.1:{port}/{token}/ (for you alone; Ctrl-C ends it)")
        with suppress(KeyboardInterrupt):  # which uvicorn raises again when it has closed
            server_of(site, token, port).run(sockets=[place])
    say("look: ended")


def listening(port: int, host: str = "127.0.0.1") -> socket.socket:
    """Return a socket that is bound to a port of this machine.

    Raises:
        StudyError: the port is not to be had.
    """
    place = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if sys.platform != "win32":  # a port that was just left is free
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        place.bind((host, port))
        place.listen()
    except OSError as error:
        place.close()
        raise StudyError(
            f"port {port} of {host} is not to be had ({error.strerror}): somebody may be using "
            "it. Name another with --port, or none for any that is free."
        ) from None
    return place


def server_of(site: Site, token: str, port: int) -> uvicorn.Server:
    """Return what serves the pages on a socket that is given to it."""
    return quiet_server(site.guarded(token, port))


def quiet_server(app: ASGIApp) -> uvicorn.Server:
    """Return a server that logs nothing and tells nothing of itself."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http="h11",  # which bounds heads
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,  # addresses hold the token
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=2,
        )
    )


@dataclass(frozen=True)
class ReviewDesk:
    """Takes decisions for the study, by the rules of a review sheet."""

    study: Study
    store: ArtifactStore
    class_keys: Sequence[str]
    screened: ScreenedSet
    chosen: ConceptSet

    def decided(self) -> Decisions:
        """Return those that there are now."""
        return decided_so_far(self.study, self.store)

    def counts(self) -> str:
        """Return when a decision counts."""
        if self.study.review.mode == "off":
            return (
                "It will be kept, and will not count yet: the study's review is off; set "
                "review: {mode: file} in the study."
            )
        return "It will be kept, and count from the next run of the study on."

    def read(self, cells: Mapping[str, str]) -> tuple[Decision | None, Sequence[str]]:
        """Return the decision of one form, by the rules of a row of a sheet, or why it is none."""
        row = {**cells, "decided_on": date.today().isoformat()}
        decision, problems = read_decision(row, self.class_keys, self.study.review.reviewer)
        if decision is None:
            return None, [f"{column.replace('_', ' ')}: {what}" for column, what in problems]
        if decision.verdict == "exchange" and (why := self._why_no_exchange(decision)):
            return None, [why]
        return decision, ()

    def keep(self, decision: Decision, instead_of: Decision | None) -> None:
        """Add a decision to the study's.

        Raises:
            StudyError: another one excludes it, or what it takes the place of has changed.
        """

        check = partial(_require_unchanged, decision.concept_id, instead_of)
        keep_decisions(self.study, [decision], self.store, check)

    def withdraw(self, decision: Decision) -> None:
        """Leave a decision out of the study's.

        Raises:
            StudyError: an exchange may rest on it, or it has changed.
        """

        def check(now: Decisions) -> None:
            _require_unchanged(decision.concept_id, decision, now)
            if exchange := _resting_on(decision, now):
                raise StudyError(
                    f"{exchange.reviewer} exchanged “{exchange.text}” for “{exchange.new_text}”, "
                    "which this decision lets through: withdraw that one first"
                )

        keep_decisions(self.study, [], self.store, check, withdrawn=[decision.concept_id])

    def _why_no_exchange(self, decision: Decision) -> str:
        """Say beforehand what selection would refuse an exchange for."""
        wanted = concept_id(decision.new_text)
        let_through = {c.concept_id for c in self.screened.kept}
        # And what the next run will let through.
        let_through |= {_let_through_by(d) for d in self.decided().decisions}
        if decision.concept_id not in self.chosen.ids:
            return "exchange: it is not among the chosen ones, so nothing can take its place"
        if wanted not in let_through:
            return f"new text: no statement that was let through says “{decision.new_text}”"
        if wanted in self.chosen.ids:
            return f"new text: “{decision.new_text}” is chosen already"
        return ""


@dataclass(frozen=True)
class NewImageDesk:
    """Reads images that somebody sends along as `predict` reads those of a folder."""

    max_pixels: int
    windows: Windows
    window: Window | None
    """The values that are black and white in a DICOM file, in place of its own."""
    test_digests: Collection[str]
    """sha256 of test images' bytes."""
    encode: EncodeImage

    def read(self, content: bytes) -> Image.Image:
        """Return an image's pixels.

        Raises:
            StudyError: it is none that the study would take, or one of its test images.
        """
        image = ImageBytes(lambda: content)
        found = verify_image(image, Path(), lambda _: "", self.max_pixels, self.window)
        found = admitted(found, self.windows)
        if isinstance(found, Refusal):
            raise StudyError(
                "This file is refused as an image of the study would be "
                f"({found.reason}): {printable(found.detail)}."
            )
        plain = in_eight_bits(content, found, self.windows, self.window)
        if sha256(plain).hexdigest() in self.test_digests:
            raise StudyError(
                "This is an image of the study's test split, and no score of those is shown here: "
                "whoever chooses words by them has trained on them."
            )
        return read_rgb(plain)

    def vector(self, pixels: Image.Image) -> Float32[np.ndarray, " dim"]:
        """Return an image's unit vector, as heads of the study know it."""
        return self.encode(pixels)


def _require_unchanged(about: str, present: Decision | None, now: Decisions) -> None:
    if next((d for d in now.decisions if d.concept_id == about), None) != present:
        raise StudyError("somebody decided about it meanwhile: look at that, and go on")


def _let_through_by(decision: Decision) -> str:
    """Return the id of the concept that a decision lets through; empty: none."""
    if decision.verdict == "reword":
        return concept_id(decision.new_text)
    return decision.concept_id if decision.verdict in ("keep", "reassign") else ""


def _resting_on(decision: Decision, now: Decisions) -> Decision | None:
    """Return an exchange for what a decision lets through."""
    let_through = _let_through_by(decision)
    return next((d for d in now.exchanges if concept_id(d.new_text) == let_through), None)


def _reader(dataset: ImageDataset, store: ArtifactStore) -> Callable[[str], bytes]:
    read = image_reader(dataset, ImageShelf(store.root))
    locations = dict(zip(dataset.images["image_id"], dataset.images["location"], strict=True))
    return lambda image_id: read(locations[image_id])


def _encoders(
    study: Study, machine: Machine, published: ConceptDataset
) -> tuple[Encode | None, EncodeImage | None]:
    """Return what encodes a text, and an image, as the study's are; None: nothing does.

    The encoder is loaded when it is first asked.
    """
    spec, identity = study.encoder, published.facts.encoder
    if isinstance(spec, PrecomputedEncoder):
        return None, None
    one_at_a_time = threading.Lock()

    def encode_image(pixels: Image.Image) -> Float32[np.ndarray, " dim"]:
        with one_at_a_time:
            encoder = same_encoder(spec, machine, identity, "an image")
            vectors = encoder.encode_images(encoder.preprocess(pixels)[None])
            return cast(np.ndarray, published.seen(vectors)[0])

    if not isinstance(spec, OpenClipEncoder | TransformersEncoder):
        return None, encode_image

    def encode(text: str) -> Float32[np.ndarray, " dim"]:
        from curette.tasks.methods.encoder.text_vectors import read_statements

        with one_at_a_time:
            encoder = same_encoder(spec, machine, identity, text)
            return cast(np.ndarray, read_statements([text], spec, encoder)[0])

    return encode, encode_image
