"""What the served pages say; every one works by links and forms, without a script."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
from jaxtyping import Float32

from curette.schemas.images import SPLITS
from curette.schemas.review import Decision, Decisions
from curette.tasks.look.view import Hit, Scored, ShownImage, Statement, StudyView
from curette.tasks.methods.explanation import printable
from curette.tasks.methods.page.charts import Figure, Row, interval_chart
from curette.tasks.methods.page.decision import compose_decision, standing
from curette.tasks.methods.page.numbers import counted, plain, signed
from curette.tasks.methods.page.render import render

_TEMPLATES = Path(__file__).parent / "templates"
_ALL, _COLOURS = "#4d5c59", ("#0f766e", "#b45309", "#1d4ed8", "#b3304f", "#7c3aed", "#0369a1")
_SOME = 12  # images on the first page
_DIGITS = 9  # of a page's number
LONGEST = 300
"""Characters of a statement, as a decision's new text has at most."""
DOES = {
    "keep": "it may be chosen, even where a gate dropped it",
    "drop": "it may not be chosen",
    "reword": "the new text takes its place",
    "reassign": "it speaks for other classes",
    "exchange": "another statement is chosen in its place",
}


@dataclass(frozen=True)
class Pages:
    """The pages of one study."""

    view: StudyView
    searches: bool
    """Whether there is an encoder for texts."""
    sees: bool
    """Whether there is one for images that are sent along."""
    notices: tuple[str, ...]
    reported: bool
    """Whether there is a report."""

    # --- pages ------------------------------------------------------------------------------------

    def home(self, decisions: Decisions, why_no_search: str) -> str:
        """Return the page that the address opens."""
        view, facts = self.view, self.view.published.facts
        return self._render(
            "home",
            "overview",
            description=printable(facts.description),
            encoder=printable(facts.encoder.name),
            counts=[{"split": s, "images": f"{n:,}"} for s, n in view.counts().items()],
            why_no_search=why_no_search,
            text="",
            chosen=[
                self._statement(s, decisions)
                for s in view.statements.values()
                if s.place is not None
            ],
            decided=self._decided(decisions),
            tiles=[self._tile(x) for x in view.wall(split="train").images[:_SOME]],
        )

    def images(self, asked: Mapping[str, str]) -> str:
        """Return one page of the wall; what is asked for stands in the address.

        Args:
            asked: `split`, `label`, `decided`, `wrong`, `page`; what is missing or strange lets all
                images through.
        """
        filters = {name: asked.get(name, "") for name in ("split", "label", "decided", "wrong")}
        number = asked.get("page", "")
        wall = self.view.wall(
            split=filters["split"],
            label=filters["label"],
            decided=filters["decided"],
            wrong=bool(filters["wrong"]),
            page=int(number) if number.isdecimal() and len(number) < _DIGITS else 1,
        )
        set_filters = {name: value for name, value in filters.items() if value}
        steps = {"earlier": wall.page - 1, "later": wall.page + 1}
        return self._render(
            "wall",
            "images",
            tiles=[self._tile(x) for x in wall.images],
            found=counted(wall.total, "image"),
            place=f"page {wall.page} of {wall.pages}",
            steps=[
                {"name": name, "query": urlencode(set_filters | {"page": page})}
                for name, page in steps.items()
                if 1 <= page <= wall.pages
            ],
            filters=filters,
            splits=SPLITS,
            decides=self.view.head is not None,
            test_told=bool(self.view.told),
        )

    def image(self, row: int) -> str:
        """Return the page about one image."""
        shown = self.view.image(row)
        decision = None
        if shown.split != "test" and self.view.explainer is not None:
            published = self.view.published
            group = published.images["group"].iloc[row]
            found = self.view.explainer.explain(published.vectors[row], group)
            decision = compose_decision(found, {"css": "", "alt": "", "name": ""})
        return self._render(
            "image",
            f"image {printable(shown.image_id)}",
            image=self._tile(shown),
            split=shown.split,
            decision=decision,
            nearest=[self._hit(x) for x in self.view.nearest(row)],
        )

    def search(self, text: str, vector: Float32[np.ndarray, " dim"] | None, problem: str) -> str:
        """Return what a text finds; the empty form where there is no vector."""
        return self._render(
            "search",
            "search",
            text=text,
            problem=problem,
            longest=LONGEST,
            scored=None if vector is None else self._scored(self.view.score(vector)),
            alike=[] if vector is None else self._alike(vector),
        )

    def search_image(
        self, problem: str, vector: Float32[np.ndarray, " dim"] | None = None, picture: str = ""
    ) -> str:
        """Return what is like an image that was sent along.

        Args:
            problem: why there is nothing to show.
            vector: of the image; None: only the form is shown.
            picture: address that holds the image, made smaller.
        """
        return self._render(
            "like",
            "search by an image",
            problem=problem,
            picture=picture,
            nearest=[] if vector is None else [self._hit(x) for x in self.view.like(vector)],
            signs=[]
            if vector is None
            else [
                {"id": x.statement.concept_id, "text": printable(x.statement.candidate.text)}
                | {"state": _state(x.statement), "cosine": plain(x.score)}
                | {"standing": standing(x.standing)}
                for x in self.view.signs(vector)
            ],
        )

    def statements(self, decisions: Decisions) -> str:
        """Return all statements in one table."""
        rows = [self._statement(s, decisions) for s in self.view.statements.values()]
        return self._render("statements", "statements", rows=rows)

    def statement(
        self,
        statement: Statement,
        decisions: Decisions,
        filled: Mapping[str, str],
        problems: Sequence[str] = (),
    ) -> str:
        """Return the page about one statement, with the form to decide about it.

        Args:
            statement: the statement.
            decisions: those that there are.
            filled: what the form is filled in with.
            problems: why what was filled in is no decision.
        """
        vector = self.view.vector_of(statement.candidate.text)
        chosen = {part.strip() for part in filled.get("new_classes", "").split("|")}
        exchange = statement.place is not None or filled.get("verdict") == "exchange"
        return self._render(
            "statement",
            f"“{printable(statement.candidate.text)}”",
            statement=self._statement(statement, decisions),
            scored=None if vector is None else self._scored(self.view.score(vector)),
            alike=[] if vector is None else self._alike(vector, statement.concept_id),
            problems=problems,
            filled=filled,
            longest=LONGEST,
            verdicts=[
                {"key": key, "does": does}
                for key, does in DOES.items()
                if key != "exchange" or exchange
            ],
            ticked=[
                {"key": c.key, "name": printable(c.name), "on": c.key in chosen}
                for c in self.view.published.facts.classes
            ],
            substitutes=[
                {
                    "id": s.concept_id,
                    "text": s.text,
                    "cost": f"{signed(s.excess, 4)} ± {s.standard_error:.4f}",
                }
                for s in self.view.substitutes(statement.concept_id)
            ],
        )

    def confirmation(
        self,
        statement: Statement,
        decision: Decision,
        earlier: Decision | None,
        cells: Mapping[str, str],
        counts: str,
    ) -> str:
        """Return the page that asks whether a decision is meant.

        Args:
            statement: what it is about.
            decision: what would be kept.
            earlier: what it takes the place of.
            cells: what the form was filled in with; sent again with the answer.
            counts: when it counts.
        """
        return self._render(
            "confirm",
            "is this meant?",
            statement=self._statement(statement, Decisions(study="", decisions=())),
            action="decide",
            button="Keep this decision",
            said=self._said(decision),
            earlier=self._said(earlier) if earlier else "",
            cells=dict(cells),
            counts=counts,
        )

    def withdrawal(self, statement: Statement, decision: Decision, cells: Mapping[str, str]) -> str:
        """Return the page that asks whether a decision is meant to be withdrawn.

        Args:
            statement: what it is about.
            decision: what would be left out.
            cells: sent again with the answer.
        """
        return self._render(
            "confirm",
            "is this meant?",
            statement=self._statement(statement, Decisions(study="", decisions=())),
            action="withdraw",
            button="Withdraw this decision",
            said=f"This is withdrawn: {self._said(decision)}",
            earlier="",
            cells=dict(cells),
            counts="From the next run of the study on it is as if nobody had decided about it; no "
            "earlier decision comes back.",
        )

    def problem(self, what: str) -> str:
        """Return a page that says why something cannot be shown."""
        return self._render("problem", "not here", what=what)

    def bar(self) -> str:
        """Return the links that go above the report, as HTML."""
        return render("bar.html.j2", [_TEMPLATES], page=self._frame())

    # --- parts ------------------------------------------------------------------------------------

    def _render(self, template: str, title: str, **page: Any) -> str:
        return render(
            f"{template}.html.j2", [_TEMPLATES], page=self._frame() | {"title": title} | page
        )

    def _frame(self) -> dict[str, Any]:
        return {
            "pictures": [],
            "beside": False,
            "name": printable(self.view.published.facts.name),
            "notices": self.notices,
            "searches": self.searches,
            "sees": self.sees,
            "reported": self.reported,
            "classes": [
                {"key": c.key, "name": printable(c.name)} for c in self.view.published.facts.classes
            ],
        }

    def _class(self, key: str | None) -> str:
        """Return a class's name; empty where there is none to tell."""
        names = {c.key: printable(c.name) for c in self.view.published.facts.classes}
        return names.get(key or "", "")

    def _tile(self, x: ShownImage) -> dict[str, Any]:
        label, decided = self._class(x.label), self._class(x.decided)
        return {
            "id": x.image_id,
            "name": printable(x.image_id),
            "split": x.split,
            "label": label or "label held out",
            "decided": decided,
            "wrong": bool(label and decided and label != decided),
            "alt": f"{label or 'image'}, {x.split} split"
            + (f", decided as {decided}" if decided else ""),
            "note": "",
        }

    def _hit(self, hit: Hit) -> dict[str, Any]:
        note = f"cosine {plain(hit.score)}" + (", same patient or lesion" * hit.same_group)
        return self._tile(hit.image) | {"note": note}

    def _scored(self, scored: Scored) -> dict[str, Any]:
        return {
            "most": [self._hit(x) for x in scored.most],
            "least": [self._hit(x) for x in scored.least],
            "figure": self._figure(scored),
        }

    def _figure(self, scored: Scored) -> Figure:
        order = {"": _ALL} | {
            c.key: _COLOURS[k % len(_COLOURS)]
            for k, c in enumerate(self.view.published.facts.classes)
        }
        return interval_chart(
            [
                Row(
                    f"{self._class(s.class_key) or 'all classes'} ({s.images:,})",
                    order[s.class_key],
                    s.median,
                    s.low,
                    s.high,
                )
                for s in scored.spreads
            ],
            "cosine with training images: median and middle half",
        )

    def _alike(self, vector: Float32[np.ndarray, " dim"], but: str = "") -> list[dict[str, Any]]:
        return [
            {"id": s.concept_id, "text": printable(s.candidate.text), "state": _state(s)}
            | {"cosine": plain(cosine)}
            for s, cosine in self.view.alike(vector, but)
        ]

    def _statement(self, s: Statement, decisions: Decisions) -> dict[str, Any]:
        made = next((d for d in decisions.decisions if d.concept_id == s.concept_id), None)
        return {
            "id": s.concept_id,
            "text": printable(s.candidate.text),
            "letter_by_letter": s.candidate.text,
            "classes": ", ".join(self._class(key) or key for key in s.candidate.classes),
            "state": _state(s),
            "kind": "chosen" if s.place else "dropped" if s.drop else "kept",
            "why": printable(s.drop.reason) if s.drop else "",
            "unsure": printable(s.unsure),
            "decided": self._said(made) if made else "",
        }

    def _decided(self, decisions: Decisions) -> list[dict[str, str]]:
        return [
            {"id": d.concept_id, "said": self._said(d)}
            for d in decisions.decisions
            if d.concept_id in self.view.statements
        ]

    def _said(self, d: Decision) -> str:
        """Return a decision in a sentence."""
        old, new = (f"“{printable(text)}”" for text in (d.text, d.new_text))
        classes = ", ".join(self._class(key) or key for key in d.new_classes)
        what = {
            "keep": f"keeps {old}",
            "drop": f"drops {old}",
            "reword": f"rewords {old} to {new}",
            "reassign": f"gives {old} to {classes}",
            "exchange": f"exchanges {old} for {new}",
        }[d.verdict]
        because = f", because: {printable(d.reason)}" if d.reason else ""
        return f"{printable(d.reviewer)} {what}{because}"


def _state(s: Statement) -> str:
    if s.place is not None:
        return f"chosen, number {s.place}"
    return f"dropped by {printable(s.drop.gate)}" if s.drop else "kept, not chosen"
