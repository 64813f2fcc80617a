"""Every kind of head on one card; whatever is keyed by head is read off the cards.

A new head is a card here and its training in `tasks/probe/`. By its card it is trained, measured,
held against others, drawn and told wherever it takes part.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator
from pydantic.json_schema import WithJsonSchema

Inputs = Literal["nothing", "vectors", "scores", "unit scores", "scores and vectors"]
Protocol = Literal["all images", "few shots", "shifts", "folds", "sizes"]
Role = Literal["concepts", "probe", "baseline", "control", "floor"]

DRAWN: dict[Protocol, str] = {
    "few shots": "few_shots",
    "shifts": "shifts",
    "folds": "folds",
    "sizes": "sizes",
}
"""What trains on drawn images rather than on all: protocol -> the part of a study that asks."""
_AS_IN: dict[Protocol, Protocol] = {"folds": "all images", "sizes": "all images"}
"""Where heads take part as they do elsewhere; of sizes only those that answer by concepts."""
EVERYWHERE: frozenset[Protocol] = frozenset({"all images", "few shots", "shifts"})


@dataclass(frozen=True)
class HeadCard:
    """What is true of all heads of a kind."""

    kind: str
    title: str
    """What a reader calls it; the family of the head that all images train."""
    inputs: Inputs
    role: Role
    """What it is for: an answer by concepts, a tuned probe of image vectors, another baseline, a
    control (the right training on wrong or random concepts), or a floor that learned nothing."""
    colour: str
    """Of its lines and points; what stands on one chart differs."""
    baselines: tuple[str, ...] = ()
    """Kinds that it is held against with all images; those that were not trained are left out."""
    without_concepts: tuple[str, ...] = ()
    """With few shots: what it is without its concepts, or with wrong ones."""
    protocols: frozenset[Protocol] = EVERYWHERE
    always: frozenset[Protocol] = frozenset()
    """Where it is trained whether a study names it or not."""
    comes_with: tuple[str, ...] = ()
    """Heads that bring it along, but for few shots."""
    drawn: bool = False
    """Whether chance deals it anew in every draw, with all images too."""
    along_nec: str = ""
    """What the concepts are called where it is also trained at fixed numbers of effective ones."""
    borrows: bool = False
    """Whether it is trained only where another study's images teach concepts, and always then."""
    in_overview: bool = True
    """Whether it is on the first chart of few shots where heads are many."""

    @property
    def looks_at_concepts(self) -> bool:
        """Whether concepts are behind some of its columns."""
        return self.inputs not in ("nothing", "vectors")

    @property
    def weighs_concepts(self) -> bool:
        """Whether it has one weight a class and concept, and nothing else to answer by."""
        return self.role == "concepts" and self.inputs == "scores"

    @property
    def worth_curves(self) -> bool:
        """Whether its calibration, risk and confusions are told too."""
        return self.role not in ("control", "floor")

    def choosable(self, protocol: Protocol) -> bool:
        """Return whether a study says if it is trained."""
        return protocol in self.protocols and protocol not in self.always and not self.borrows


def _cards(*cards: HeadCard) -> dict[str, HeadCard]:
    return {card.kind: card for card in cards}


EXPLAINED = "concept_bottleneck"
"""The head whose decisions are taken apart, and that the report's first line tells."""
UNEDITED = "unedited"
"""The same as it was before a person edited it."""
BORROWED = "borrowed"
"""The head whose directions another study's labelled images taught."""
REFERENCE = "linear_probe"
"""What every head is held against under shifts and with few shots."""
BEST_PROBE = "best_probe"
"""With few shots: whichever tuned probe is best on the resample itself."""

CARDS: dict[str, HeadCard] = _cards(
    HeadCard(
        kind=REFERENCE,
        title="linear probe",
        inputs="vectors",
        role="probe",
        colour="#1d4ed8",
        baselines=("majority",),
        always=EVERYWHERE,
    ),
    HeadCard(
        kind=EXPLAINED,
        title="concept bottleneck",
        inputs="scores",
        role="concepts",
        colour="#0f766e",
        baselines=(REFERENCE, "random_concepts", UNEDITED, "majority"),
        without_concepts=("random_concepts",),
        always=frozenset({"all images", "shifts"}),
    ),
    HeadCard(
        kind="labo",
        title="LaBo bottleneck",
        inputs="scores",
        role="concepts",
        colour="#ca8a04",
        baselines=(REFERENCE, EXPLAINED),
        without_concepts=("random_concepts",),
        in_overview=False,
    ),
    HeadCard(
        kind=UNEDITED,
        title="concept bottleneck, unedited",
        inputs="scores",
        role="baseline",
        colour="#94a3b8",
        protocols=frozenset(),  # it is not trained, but what the bottleneck was
    ),
    HeadCard(
        kind="sparse",
        title="sparse",
        inputs="scores",
        role="concepts",
        colour="#65a30d",
        baselines=(REFERENCE, "random_sparse"),
        comes_with=("hybrid",),
        along_nec="selected",
        in_overview=False,
    ),
    HeadCard(
        kind="hybrid",
        title="hybrid",
        inputs="scores and vectors",
        role="concepts",
        colour="#0891b2",
        baselines=(REFERENCE, EXPLAINED),
    ),
    HeadCard(
        kind="prior",
        title="prior",
        inputs="scores",
        role="concepts",
        colour="#7c3aed",
        baselines=(REFERENCE, "random_concepts"),
        without_concepts=("averaged_linear_probe", "shuffled_prior"),
    ),
    HeadCard(
        kind="pulled_hybrid",
        title="pulled hybrid",
        inputs="scores and vectors",
        role="concepts",
        colour="#be185d",
        without_concepts=("averaged_linear_probe",),
        protocols=frozenset({"few shots"}),
    ),
    HeadCard(
        kind="grounded",
        title="concept bottleneck, grounded",
        inputs="scores",
        role="concepts",
        colour="#be185d",
        baselines=(REFERENCE, EXPLAINED, "random_directions"),
        protocols=frozenset({"all images"}),
    ),
    HeadCard(
        kind=BORROWED,
        title="concept bottleneck, borrowed directions",
        inputs="scores",
        role="concepts",
        colour="#9d174d",
        baselines=(REFERENCE, EXPLAINED, "grounded", "random_borrowed"),
        protocols=frozenset({"all images"}),
        borrows=True,
    ),
    HeadCard(
        kind="zero_shot",
        title="zero-shot",
        inputs="vectors",
        role="baseline",
        colour="#b45309",
        baselines=("majority",),
    ),
    HeadCard(
        kind="concept_matrix",
        title="concept matrix search",
        inputs="unit scores",
        role="concepts",
        colour="#a16207",
        baselines=("zero_shot", "majority"),
        protocols=frozenset({"all images", "few shots"}),
        in_overview=False,
    ),
    HeadCard(
        kind="averaged_linear_probe",
        title="averaged linear probe",
        inputs="vectors",
        role="baseline",
        colour="#60a5fa",
        protocols=frozenset({"few shots"}),
    ),
    HeadCard(
        kind="nearest_mean",
        title="nearest mean",
        inputs="vectors",
        role="probe",
        colour="#6b7280",
        protocols=frozenset({"few shots"}),
        in_overview=False,
    ),
    HeadCard(
        kind="shrinkage_discriminant",
        title="shrinkage discriminant",
        inputs="vectors",
        role="probe",
        colour="#111827",
        protocols=frozenset({"few shots"}),
        in_overview=False,
    ),
    HeadCard(
        kind="random_concepts",
        title="random concepts",
        inputs="scores",
        role="control",
        colour="#475569",
        always=frozenset({"all images", "shifts"}),
        drawn=True,
    ),
    HeadCard(
        kind="random_sparse",
        title="random sparse",
        inputs="scores",
        role="control",
        colour="#94a3a0",
        protocols=frozenset({"all images"}),
        comes_with=("sparse", "hybrid"),
        drawn=True,
        along_nec="drawn at random",
    ),
    HeadCard(
        kind="random_directions",
        title="random directions",
        inputs="scores",
        role="control",
        colour="#94a3a0",
        protocols=frozenset({"all images"}),
        comes_with=("grounded",),
        drawn=True,
    ),
    HeadCard(
        kind="random_borrowed",
        title="random in place of borrowed directions",
        inputs="scores",
        role="control",
        colour="#a3a094",
        protocols=frozenset({"all images"}),
        borrows=True,
        drawn=True,
    ),
    HeadCard(
        kind="shuffled_prior",
        title="shuffled prior",
        inputs="scores",
        role="control",
        colour="#a78bfa",
        protocols=frozenset({"few shots"}),
        drawn=False,  # with all images it would be, but takes long
        in_overview=False,
    ),
    HeadCard(
        kind="shuffled_labels",
        title="shuffled labels",
        inputs="scores",
        role="floor",
        colour="#a8847a",
        drawn=True,
        in_overview=False,
    ),
    HeadCard(
        kind="majority",
        title="majority class",
        inputs="nothing",
        role="floor",
        colour="#94a3a0",
        always=frozenset({"all images", "shifts"}),
    ),
)


def card_of(kind: str) -> HeadCard:
    """Return the card of a kind.

    Raises:
        ValueError: there is none.
    """
    if kind not in CARDS:
        raise ValueError(f"there is no head {kind}; there are {', '.join(CARDS)}")
    return CARDS[kind]


def choosable(protocol: Protocol) -> tuple[str, ...]:
    """Return the kinds of which a study says whether they are trained."""
    return tuple(card.kind for card in CARDS.values() if card.choosable(protocol))


def trained(
    protocol: Protocol, asked: Iterable[str], *, borrowing: bool = False
) -> tuple[str, ...]:
    """Return what is trained where a study asks for these: them, what they bring, and the rest.

    What is asked for and takes no part is left out.

    Args:
        protocol: where.
        asked: the kinds that the study names.
        borrowing: whether another study's images teach concepts.
    """
    named, by_concepts = set(asked), protocol == "sizes"
    protocol = _AS_IN.get(protocol, protocol)
    brings = protocol != "few shots"
    return tuple(
        card.kind
        for card in CARDS.values()
        if protocol in card.protocols
        and (card.role == "concepts" or not by_concepts)
        and (
            protocol in card.always
            or card.kind in named
            or (card.borrows and borrowing)
            or (brings and not named.isdisjoint(card.comes_with))
        )
    )


def _one_of(protocol: Protocol) -> Callable[[str], str]:
    def check(kind: str) -> str:
        if kind not in choosable(protocol):
            raise ValueError(f"must be one of {', '.join(choosable(protocol))}")
        return kind

    return check


def _known(kind: str) -> str:
    return card_of(kind).kind


def _known_or_best(kind: str) -> str:
    return kind if kind == BEST_PROBE else _known(kind)


def _names(kinds: Iterable[str]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "enum": list(kinds)})


HeadKind = Annotated[str, AfterValidator(_known), _names(CARDS)]
ChosenHead = Annotated[str, AfterValidator(_one_of("all images")), _names(choosable("all images"))]
ChosenFewShotHead = Annotated[
    str, AfterValidator(_one_of("few shots")), _names(choosable("few shots"))
]
FewShotBaseline = Annotated[str, AfterValidator(_known_or_best), _names([*CARDS, BEST_PROBE])]
