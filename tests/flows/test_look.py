"""`curette look`: who is answered, what is never told, and that decisions are kept."""

import http.client
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import cast
from urllib.parse import quote, urlencode

import numpy as np
import pytest

from curette.flows.look import NewImageDesk, ReviewDesk, listening, open_site, server_of
from curette.flows.review import decided_so_far
from curette.flows.stages import RunOptions
from curette.flows.study import study as run_study
from curette.flows.study_file import load_study
from curette.schemas.artifact import StudyError
from curette.schemas.report import Report
from curette.schemas.review import Decisions
from curette.schemas.screened import ScreenedSet
from curette.schemas.study import Study
from curette.storage.decisions import DecisionShelf
from curette.storage.store import ArtifactStore
from curette.tasks.look.site import Site
from curette.tasks.look.view import SHOWN, StudyView
from tests.browser import needs_browser, opened
from tests.builders.demo import DEMO, SMALL
from tests.builders.finished import FinishedStudy
from tests.builders.images import png_that_says
from tests.builders.look import PUBLISHED, TEST, a_png, spoilt, study_view
from tests.pages import HOSTILE, check_only_our_script_runs, tags_of

HOSTILE_FILE = "../../<script>alert(1)</script>.png"
MAX_PIXELS = 90_000
TOKEN = "t0ken-that-nobody-guesses"
STUDY = Study.model_validate(
    {
        "name": "by-hand",
        "dataset": {"source": {"kind": "synthetic"}},
        "propose": {"sources": [{"kind": "recorded"}]},
        "review": {"mode": "file"},
    }
)
PAGES = ("", "images", "search", "statements", "report.html")


@dataclass
class Browser:
    """Asks a served study, from where it is told to ask."""

    port: int
    store: ArtifactStore

    def ask(
        self,
        path: str,
        *,
        token: str | None = TOKEN,
        method: str = "GET",
        body: str | bytes = "",
        headers: Mapping[str, str] = {},
    ) -> tuple[int, str, http.client.HTTPMessage]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        place = f"/{path}" if token is None else f"/{token}/{path}"
        connection.request(method, place, body or None, dict(headers))
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, content.decode("utf-8", "replace"), answer.headers

    def page(self, path: str) -> str:
        status, page, _ = self.ask(path)
        assert status == 200, page
        return page

    def post(
        self, fields: Mapping[str, str], to: str = "decide", **headers: str
    ) -> tuple[int, str]:
        kind = {"content-type": "application/x-www-form-urlencoded"}
        sent = kind | {name.replace("_", "-"): value for name, value in headers.items()}
        status, page, _ = self.ask(to, method="POST", body=urlencode(fields), headers=sent)
        return status, page

    def decide(self, **fields: str) -> tuple[int, str]:
        """Fill in the form, and confirm what the next page asks."""
        status, page = self.post(fields)
        assert status == 200, page
        return self.post(hidden_fields(page))

    def send(
        self,
        content: bytes,
        field: str = "image",
        token: str = TOKEN,
        headers: Mapping[str, str] = {},
    ) -> tuple[int, str]:
        """Search by an image, as the form of the page sends it."""
        mark = "----WebKitFormBoundaryx7MA4YWxkTrZu0gW"
        head = f'content-disposition: form-data; name="{field}"; filename="{HOSTILE_FILE}"'
        body = f"--{mark}\r\n{head}\r\ncontent-type: image/png\r\n\r\n".encode()
        body += content + f"\r\n--{mark}--\r\n".encode()
        kind = {"content-type": f"multipart/form-data; boundary={mark}", **headers}
        status, page, _ = self.ask(
            "search-image", token=token, method="POST", body=body, headers=kind
        )
        return status, page

    def withdraw(self, concept_id: str) -> tuple[int, str]:
        """Ask to withdraw what was decided, and confirm what the next page asks."""
        status, page = self.post({"concept_id": concept_id}, "withdraw")
        return self.post(hidden_fields(page), "withdraw") if status == 200 else (status, page)


def hidden_fields(page: str) -> dict[str, str]:
    return {
        a["name"] or "": a.get("value") or ""
        for tag, a in tags_of(page)
        if tag == "input" and a.get("type") == "hidden" and a.get("name")
    }


@contextmanager
def served(site: Site, store: ArtifactStore) -> Iterator[Browser]:
    with listening(0) as place:
        port = place.getsockname()[1]
        server = server_of(site, TOKEN, port)
        thread = threading.Thread(target=server.run, args=([place],))
        thread.start()
        try:
            yield Browser(port, store)
        finally:
            server.should_exit = True
            thread.join()


def a_site(view: StudyView, store: ArtifactStore, study: Study = STUDY) -> Site:
    desk = ReviewDesk(study, store, view.published.class_keys, view.screened, view.chosen)

    def read(image_id: str) -> bytes:
        if view.rows[image_id] == 0:
            raise FileNotFoundError(image_id)
        return a_png(view.rows[image_id])

    report = Report(html="<!doctype html><header></header>our report", data_docs="checks")
    return Site(
        view,
        read,
        desk,
        lambda text: PUBLISHED.pool_vectors[len(text) % 18],
        "",
        NewImageDesk(
            MAX_PIXELS,
            {},
            None,
            {sha256(a_png(row)).hexdigest() for row in view.published.rows("test").tolist()},
            lambda pixels: PUBLISHED.vectors[cast(tuple[int, ...], pixels.getpixel((0, 0)))[0]],
        ),
        report,
    )


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    store = ArtifactStore(tmp_path / "store")
    with served(a_site(study_view(), store), store) as found:
        yield found


FIRST = next(iter(study_view().statements.values()))
IMAGE = str(PUBLISHED.images["image_id"][int(PUBLISHED.rows("train")[1])])


# --- who is answered ----------------------------------------------------------------------------


def test_only_who_has_the_token_is_answered(browser: Browser) -> None:
    for path in (*PAGES, f"pixels?id={IMAGE}", "nowhere"):
        for token in (None, "wrong", TOKEN[:-1], f"{TOKEN}x", "ü"):
            status, said, _ = browser.ask(path, token=token and quote(token))
            assert status == 403, (path, token)
            assert TOKEN not in said
    assert browser.ask("decide", token="wrong", method="POST")[0] == 403
    assert browser.ask("", method="OPTIONS")[0] in (403, 405)


def test_a_name_that_was_made_to_point_here_is_not_answered(browser: Browser) -> None:
    for host in ("evil.example", f"evil.example:{browser.port}", "127.0.0.1", "127.0.0.1:1", ""):
        assert browser.ask("", headers={"host": host})[0] == 403, host
    for host in ("127.0.0.1", "localhost"):
        assert browser.ask("", headers={"host": f"{host}:{browser.port}"})[0] == 200


def test_a_form_on_another_page_decides_nothing(browser: Browser) -> None:
    fields = {"concept_id": FIRST.concept_id, "verdict": "drop", "reviewer": "Eve"}
    fields |= {"confirmed": "yes", "instead_of": "none"}
    for elsewhere in ("http://evil.example", f"http://127.0.0.1:{browser.port + 1}", "null"):
        assert browser.post(fields, origin=elsewhere)[0] == 403
    for site in ("cross-site", "same-site"):
        assert browser.post(fields, sec_fetch_site=site)[0] == 403
    assert decided_so_far(STUDY, browser.store).decisions == ()
    assert browser.post(fields, origin=f"http://127.0.0.1:{browser.port}")[0] == 303
    assert len(decided_so_far(STUDY, browser.store).decisions) == 1


def test_every_answer_forbids_what_our_pages_do_not_need(browser: Browser) -> None:
    for path in (*PAGES, f"thumbnail?id={IMAGE}", f"image?id={IMAGE}", "data_docs.html", "nowhere"):
        _, _, headers = browser.ask(path)
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "same-origin"
        if path in ("report.html", "data_docs.html"):
            assert policy.startswith("sandbox"), "it is made of more than our templates"
            assert "allow-same-origin" not in policy
        else:
            assert "unsafe-inline" not in policy.partition("script-src")[2]
    assert browser.ask("", token="wrong")[2]["content-security-policy"]


def test_a_body_that_is_too_long_or_no_form_is_refused(browser: Browser) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    ask = browser.ask
    assert ask("decide", method="POST", body="reason=" + "x" * 20_000, headers=form)[0] == 413
    assert ask("decide", method="POST", body="x" * 20)[0] == 415
    assert ask("decide", method="POST", body=b"\xff=\xfe", headers=form)[0] == 400
    assert ask("decide", method="POST", body="a=b&" * 300, headers=form)[0] == 400
    assert ask("decide")[0] == 405
    assert ask("search?text=" + "x" * 301)[0] == 400


# --- what is shown ------------------------------------------------------------------------------


def test_images_come_by_their_ids_and_by_nothing_else(browser: Browser) -> None:
    status, _, headers = browser.ask(f"pixels?id={IMAGE}")
    assert (status, headers["content-type"]) == (200, "image/png")
    assert browser.ask(f"thumbnail?id={IMAGE}")[2]["content-type"] == "image/jpeg"
    secret = browser.store.root / "secret.png"
    secret.parent.mkdir(parents=True)
    secret.write_bytes(a_png(1))
    for strange in ("../secret.png", str(secret), "..%2f..%2fetc%2fpasswd", "%00", "", "shelf:0"):
        for what in ("pixels", "thumbnail", "image"):
            assert browser.ask(f"{what}?id={strange}")[0] == 404, strange
    for path in ("../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd", "pixels/../../x", "images/x"):
        assert browser.ask(path)[0] in (403, 404)
    gone = str(PUBLISHED.images["image_id"][0])
    assert browser.ask(f"pixels?id={gone}")[0] == 404, "only its vector is known"


def test_test_images_bring_neither_label_nor_score(browser: Browser) -> None:
    row = int(PUBLISHED.rows("test")[0])
    page = browser.page(f"image?id={PUBLISHED.images['image_id'][row]}")
    about, _, nearest = page.partition('id="nearest"')
    assert "Test split: label held out." in about
    assert not re.search(r"class [abc]|decided as", about.partition("<main>")[2])
    shown = re.findall(r"thumbnail\?id=(img\d+)", nearest)
    assert shown, "training images"
    assert not {*shown} & TEST.labels.keys()
    found = browser.page("search?text=sign")
    assert not {*re.findall(r"thumbnail\?id=(img\d+)", found)} & TEST.labels.keys()
    wall = browser.page("images?split=test")
    assert not re.search(r"<figcaption>class", wall)
    assert "Labels of test images are held out" in wall


def test_a_search_shows_images_scores_and_statements(browser: Browser) -> None:
    page = browser.page("search?text=sign+0")
    assert page.count("thumbnail?id=") == 24
    for part in ("Scores by class", "Images that show it most", "Statements most like it"):
        assert part in page
    assert "class a (" in page, "in the figure"
    [link, *_] = re.findall(r'href="(statement\?id=\w+&amp;new_text=sign%200)#decide"', page)
    form = browser.page(link.replace("&amp;", "&"))
    assert 'name="new_text" value="sign 0"' in form
    assert 'value="reword" required checked' in form
    empty = browser.page("search?text=+")
    assert "thumbnail" not in empty


def test_an_image_that_is_sent_finds_the_nearest_outside_the_test_split(browser: Browser) -> None:
    row = int(PUBLISHED.rows("validation")[0])
    kept = sorted(browser.store.root.rglob("*"))
    status, page = browser.send(a_png(row))
    assert status == 200
    assert sorted(browser.store.root.rglob("*")) == kept, "nothing of it is written"
    cosines = PUBLISHED.vectors @ PUBLISHED.vectors[row]
    cosines[PUBLISHED.rows("test")] = -1
    by_hand = PUBLISHED.images["image_id"].to_numpy()[np.argsort(-cosines)[:SHOWN]]
    assert re.findall(r"thumbnail\?id=(img\d+)", page) == by_hand.tolist()
    assert not {*by_hand} & TEST.labels.keys()
    assert len(re.findall(r">sign \d of [abc]</a>", page)) == SHOWN
    assert "data:image/jpeg;base64," in page
    assert "alert(1)" not in page, "the name of the file is told nowhere"
    check_only_our_script_runs(page)


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        (b"", 400, "Choose a file with an image in it."),
        (b"GIF89a, or so it says", 422, "broken-image"),
        (b"<svg onload=alert(1)></svg>", 422, "broken-image"),
        (a_png(1)[:-40], 422, "broken-image"),
        (png_that_says(301, 300), 422, "it says it is 301 x 300 pixels; dataset.max_pixels is"),
        (png_that_says(60_000, 60_000), 422, "too-many-pixels"),
        (b"x" * (32 * 2**20), 413, "An image to search by has at most 32 MiB."),
    ],
    ids=["none", "no image", "markup", "cut", "large", "bomb", "many bytes"],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_is_no_image_to_search_by_gets_one_answer(
    browser: Browser, content: bytes, status: int, said: str
) -> None:
    answered, page = browser.send(content)
    assert answered == status
    assert said in page
    assert page.count('class="notices problems"') == 1
    assert "thumbnail?id=" not in page
    assert 'action="search-image"' in page, "another can be sent"
    assert "<svg onload" not in page


def test_a_test_image_that_is_sent_is_refused(browser: Browser) -> None:
    status, page = browser.send(a_png(int(PUBLISHED.rows("test")[0])))
    assert status == 422
    assert "test split, and no score of those is shown here" in page
    assert "thumbnail?id=" not in page


def test_an_image_is_taken_from_a_page_of_ours_alone(browser: Browser) -> None:
    content = a_png(int(PUBLISHED.rows("train")[0]))
    for headers in (
        {"origin": "http://evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"host": "evil.example"},
    ):
        assert browser.send(content, headers=headers)[0] == 403
    assert browser.send(content, token="wrong")[0] == 403
    ours = {"origin": f"http://127.0.0.1:{browser.port}"}
    assert browser.send(content, headers=ours)[0] == 200
    assert browser.ask("search-image")[0] == 405
    assert browser.ask("search-image", method="POST", body=content)[0] == 415
    for mark in ("", "; boundary=", "; boundary=elsewhere", "; boundary=ü"):
        kind = {"content-type": f"multipart/form-data{mark}"}
        assert browser.ask("search-image", method="POST", body="--x\r\n", headers=kind)[0] == 400
    assert browser.send(content, field="picture")[0] == 400


def test_without_an_encoder_for_texts_search_is_left_out_and_that_is_said(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    whole = a_site(study_view(), store)
    site = Site(whole.view, whole.read, whole.desk, None, "Vectors are ready-made.")
    with served(site, store) as browser:
        home = browser.page("")
        assert "Vectors are ready-made." in home
        assert "search-image" not in home
        status, page = browser.send(a_png(1))
        assert (status, "Vectors are ready-made." in page) == (404, True)
        assert 'action="search"' not in home
        assert browser.ask("search?text=sign")[0] == 404
        assert "Images that show it most" in browser.page(f"statement?id={FIRST.concept_id}")


def test_texts_of_the_study_stay_text(tmp_path: Path) -> None:
    store, view = ArtifactStore(tmp_path), study_view(spoilt(HOSTILE), told=True)
    first = next(iter(view.statements))
    hostile_id = quote(view.image(int(view.published.rows("train")[1])).image_id)
    with served(a_site(view, store), store) as browser:
        fields = {"concept_id": first, "verdict": "reword", "new_text": f"new {HOSTILE}"}
        asked = browser.post(fields | {"reviewer": HOSTILE, "comment": HOSTILE})
        kept = browser.post(hidden_fields(asked[1]))
        assert (asked[0], kept[0]) == (200, 303)
        paths = ["", "images", "statements", f"statement?id={first}", f"image?id={hostile_id}"]
        paths.append(f"search?text={quote(HOSTILE)}")
        for page in (asked[1], *map(browser.page, paths)):
            tags = tags_of(page)
            assert [tag for tag, _ in tags].count("script") == 1
            assert not any(name.startswith("on") for _, a in tags for name in a)
            assert all(
                (a["src"] or "").startswith(("thumbnail?id=", "pixels?id="))
                for tag, a in tags
                if tag == "img"
            )
            assert "&lt;script&gt;" in page
            assert "{{ 7 * 7 }}" in page
            assert page.count("</style>") == 1
            assert "https://evil" not in re.sub(r"&lt;img src=https://evil", "", page)
            check_only_our_script_runs(page)
        assert browser.ask(f"pixels?id={hostile_id}")[0] == 200


# --- decisions ----------------------------------------------------------------------------------


def test_nothing_is_kept_before_it_is_confirmed(browser: Browser) -> None:
    fields = {"concept_id": FIRST.concept_id, "verdict": "drop", "reviewer": "Ada"}
    status, page = browser.post(fields)
    assert status == 200
    assert f"Ada drops “{FIRST.candidate.text}”." in page
    assert "from the next run of the study on" in page
    assert decided_so_far(STUDY, browser.store).decisions == ()
    assert browser.post(hidden_fields(page))[0] == 303
    [made] = decided_so_far(STUDY, browser.store).decisions
    assert (made.verdict, made.reviewer, made.text) == ("drop", "Ada", FIRST.candidate.text)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", made.decided_on)
    again = browser.page(f"statement?id={FIRST.concept_id}")
    assert "Ada drops" in again
    assert 'name="reviewer" value="Ada"' in again, "the name is filled in the next time"


def test_every_verdict_of_the_sheet_can_be_given(browser: Browser) -> None:
    chosen, *_, dropped = study_view().statements.values()
    kept = [s for s in study_view().statements.values() if not s.place and not s.drop]
    told = [
        browser.decide(concept_id=dropped.concept_id, verdict="keep", reviewer="A"),
        browser.decide(concept_id=kept[0].concept_id, verdict="drop", reviewer="A"),
        browser.decide(
            concept_id=kept[1].concept_id, verdict="reword", new_text="other words", reviewer="A"
        ),
        browser.decide(
            concept_id=kept[2].concept_id, verdict="reassign", new_classes="b", reviewer="A"
        ),
        browser.decide(
            concept_id=chosen.concept_id,
            verdict="exchange",
            new_text=kept[3].candidate.text,
            reviewer="A",
        ),
    ]
    assert [status for status, _ in told] == [303] * 5
    made = {d.concept_id: d for d in decided_so_far(STUDY, browser.store).decisions}
    assert {d.verdict for d in made.values()} == {
        "keep",
        "drop",
        "reword",
        "reassign",
        "exchange",
    }
    assert made[kept[2].concept_id].new_classes == ("b",)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"verdict": "drop"}, "who decided?"),
        ({"verdict": "perhaps", "reviewer": "A"}, "must be one of keep, drop, reword"),
        ({"reviewer": "A"}, "Choose a verdict."),
        ({"verdict": "reword", "reviewer": "A"}, "needs a new text"),
        ({"verdict": "drop", "new_text": "other", "reviewer": "A"}, "no other verdict has one"),
        ({"verdict": "reassign", "new_classes": "z", "reviewer": "A"}, "there is no class"),
        ({"verdict": "exchange", "new_text": "unheard of", "reviewer": "A"}, "let through says"),
    ],
)
def test_what_the_sheet_would_refuse_is_refused_here(
    browser: Browser, fields: dict[str, str], said: str
) -> None:
    status, page = browser.post({"concept_id": FIRST.concept_id} | fields)
    assert status == 422
    assert said in page
    confirmed = {"confirmed": "yes", "instead_of": "none"}
    assert browser.post({"concept_id": FIRST.concept_id} | fields | confirmed)[0] == 422
    assert decided_so_far(STUDY, browser.store).decisions == ()
    assert browser.post({"concept_id": "0" * 12, "verdict": "drop", "reviewer": "A"})[0] == 404


def test_decisions_that_exclude_each_other_are_told_so(browser: Browser) -> None:
    first, second = [*study_view().statements.values()][:2]
    browser.decide(concept_id=first.concept_id, verdict="drop", reviewer="Ada")
    status, page = browser.decide(
        concept_id=second.concept_id,
        verdict="reword",
        new_text=first.candidate.text,
        reviewer="Bob",
    )
    assert status == 409
    assert "two decisions exclude each other" in page
    assert len(decided_so_far(STUDY, browser.store).decisions) == 1


def test_who_confirms_over_a_newer_decision_is_asked_again(browser: Browser) -> None:
    about = {"concept_id": FIRST.concept_id}
    _, asked = browser.post(about | {"verdict": "drop", "reviewer": "Ada"})
    browser.decide(**about, verdict="keep", reviewer="Bob")
    status, page = browser.post(hidden_fields(asked))
    assert status == 200
    assert "It takes the place of an earlier decision: Bob keeps" in page
    assert [d.reviewer for d in decided_so_far(STUDY, browser.store).decisions] == ["Bob"]
    assert browser.post(hidden_fields(page))[0] == 303
    assert [d.reviewer for d in decided_so_far(STUDY, browser.store).decisions] == ["Ada"]


def test_of_decisions_made_at_once_none_is_lost(browser: Browser) -> None:
    statements = [*study_view().statements.values()]
    outcomes: list[int] = []

    def drop(concept_id: str) -> None:
        outcomes.append(browser.decide(concept_id=concept_id, verdict="drop", reviewer="A")[0])

    threads = [threading.Thread(target=drop, args=(s.concept_id,)) for s in statements]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [303] * len(statements)
    assert len(decided_so_far(STUDY, browser.store).decisions) == len(statements)


def test_a_decision_is_withdrawn_once_that_is_confirmed_and_stays_in_the_store(
    browser: Browser,
) -> None:
    other = [*study_view().statements][1]
    browser.decide(concept_id=other, verdict="keep", reviewer="Bob")
    only_bobs = decided_so_far(STUDY, browser.store)
    browser.decide(concept_id=FIRST.concept_id, verdict="keep", reviewer="Bob")
    browser.decide(concept_id=FIRST.concept_id, verdict="drop", reviewer="Ada")
    shelf = DecisionShelf(browser.store.root, Decisions)
    before = shelf.get(STUDY.name)
    assert 'action="withdraw"' in browser.page(f"statement?id={FIRST.concept_id}")
    status, asked = browser.post({"concept_id": FIRST.concept_id}, "withdraw")
    assert status == 200
    assert f"This is withdrawn: Ada drops “{FIRST.candidate.text}”." in asked
    assert shelf.get(STUDY.name) == before, "nothing happens before it is confirmed"
    assert browser.post(hidden_fields(asked), "withdraw")[0] == 303
    assert decided_so_far(STUDY, browser.store) == only_bobs, "no earlier decision comes back"
    page = browser.page(f"statement?id={FIRST.concept_id}")
    assert "Ada drops" not in page
    assert 'action="withdraw"' not in page
    assert before is not None
    kept = {d.concept_id: d.reviewer for d in browser.store.load(Decisions, before).decisions}
    assert kept == {other: "Bob", FIRST.concept_id: "Ada"}


def test_without_a_decision_there_is_nothing_to_withdraw(browser: Browser) -> None:
    status, page = browser.withdraw(FIRST.concept_id)
    assert status == 409
    assert "Nobody has decided about it, so there is nothing to withdraw." in page
    assert browser.withdraw("0" * 12)[0] == 404
    assert DecisionShelf(browser.store.root, Decisions).get(STUDY.name) is None


def test_a_page_elsewhere_and_one_without_the_token_withdraw_nothing(browser: Browser) -> None:
    browser.decide(concept_id=FIRST.concept_id, verdict="drop", reviewer="Ada")
    asked = browser.post({"concept_id": FIRST.concept_id}, "withdraw")[1]
    fields = hidden_fields(asked)
    assert browser.post(fields, "withdraw", origin="http://evil.example")[0] == 403
    assert browser.post(fields, "withdraw", sec_fetch_site="cross-site")[0] == 403
    assert browser.post(fields, "withdraw", host="evil.example")[0] == 403
    assert browser.ask("withdraw", token="wrong", method="POST", body=urlencode(fields))[0] == 403
    assert browser.ask("withdraw", method="POST", body=urlencode(fields))[0] == 415
    assert browser.ask(f"withdraw?{urlencode(fields)}")[0] == 405
    assert len(decided_so_far(STUDY, browser.store).decisions) == 1


def test_who_withdraws_what_was_decided_anew_meanwhile_is_asked_again(browser: Browser) -> None:
    about = {"concept_id": FIRST.concept_id}
    browser.decide(**about, verdict="drop", reviewer="Ada")
    asked = browser.post(about, "withdraw")[1]
    browser.decide(**about, verdict="keep", reviewer="Bob")
    status, page = browser.post(hidden_fields(asked), "withdraw")
    assert status == 200
    assert "This is withdrawn: Bob keeps" in page
    assert [d.reviewer for d in decided_so_far(STUDY, browser.store).decisions] == ["Bob"]


def test_what_an_exchange_rests_on_is_withdrawn_after_it(browser: Browser) -> None:
    chosen, *_, dropped = study_view().statements.values()
    browser.decide(concept_id=dropped.concept_id, verdict="keep", reviewer="Ada")
    exchange = {"verdict": "exchange", "new_text": dropped.candidate.text, "reviewer": "Bob"}
    assert browser.decide(concept_id=chosen.concept_id, **exchange)[0] == 303
    status, page = browser.withdraw(dropped.concept_id)
    assert status == 409
    assert "withdraw that one first" in page
    assert browser.withdraw(chosen.concept_id)[0] == 303
    assert browser.withdraw(dropped.concept_id)[0] == 303
    assert decided_so_far(STUDY, browser.store).decisions == ()


def test_where_the_review_is_off_it_is_said_that_nothing_counts_yet(tmp_path: Path) -> None:
    off = STUDY.model_copy(update={"review": STUDY.review.model_copy(update={"mode": "off"})})
    store = ArtifactStore(tmp_path)
    with served(a_site(study_view(), store, off), store) as browser:
        fields = {"concept_id": FIRST.concept_id, "verdict": "drop", "reviewer": "Ada"}
        assert "review: {mode: file}" in browser.post(fields)[1]


# --- in a browser -------------------------------------------------------------------------------


@needs_browser
def test_a_person_filters_decides_withdraws_and_searches_by_an_image(
    browser: Browser, tmp_path: Path
) -> None:
    def rows() -> list[str]:
        seen = "[...document.querySelectorAll('#rows > tr')].filter((r) => !r.hidden)"
        texts: list[str] = page.js(f"{seen}.map((r) => r.querySelector('a').textContent)")
        return texts

    def click(selector: str) -> None:
        page.follow(f"document.querySelector('{selector}').click()")

    def notice() -> str:
        return str(page.js("document.querySelector('.notices')?.textContent ?? ''"))

    dropped = study_view().screened.dropped
    address = f"http://127.0.0.1:{browser.port}/{TOKEN}/"
    with opened(address, tmp_path / "profile") as page:
        click("nav a[href=statements]")
        assert len(rows()) == len(study_view().statements)
        page.js(
            "(() => { const s = document.querySelector('[name=kind]'); s.value = 'dropped'; "
            "s.dispatchEvent(new Event('input', {bubbles: true})); })()"
        )
        assert rows() == [d.candidate.text for d in dropped]
        click("#rows > tr:not([hidden]) a")
        page.js("document.querySelector('[name=verdict][value=keep]').click()")
        page.js("document.querySelector('[name=reviewer]').value = 'Ada'")
        click(".decide button")
        assert decided_so_far(STUDY, browser.store).decisions == (), "before it is confirmed"
        click("#confirm button")
        (made,) = decided_so_far(STUDY, browser.store).decisions
        kept = (dropped[0].candidate.text, "keep", "Ada")
        assert (made.text, made.verdict, made.reviewer) == kept
        assert "Ada keeps" in notice()
        click("#withdraw button")
        click("#confirm button")
        assert decided_so_far(STUDY, browser.store).decisions == ()
        click("nav a[href=search]")
        row = int(PUBLISHED.rows("train")[0])
        (tmp_path / "mine.png").write_bytes(a_png(row))
        page.choose_file("input[type=file]", tmp_path / "mine.png")
        click("form[enctype] button")
        nearest = page.js("document.querySelector('img[src^=thumbnail]').getAttribute('src')")
        assert quote(str(PUBLISHED.images["image_id"][row])) in nearest
        ours = [e for e in page.errors if '"source": "network"' not in e]
        assert ours == [], "but for thumbnails: images made by hand have no pixels"


# --- the command --------------------------------------------------------------------------------


def test_a_study_that_was_never_run_and_a_port_that_is_taken_are_told(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"never run to its end in .*: `curette run` it first"):
        open_site(STUDY, RunOptions(store=tmp_path))
    with listening(0) as place:
        port = place.getsockname()[1]
        with pytest.raises(StudyError, match=rf"port {port} .* --port"):
            listening(port)


@pytest.mark.slow
def test_a_decision_counts_in_the_next_run_and_the_pages_say_until_then_that_they_are_behind(
    finished: FinishedStudy, tmp_path: Path
) -> None:
    copy = finished.copied_to(tmp_path / "store")
    store = ArtifactStore(copy.store)
    study, options = load_study(DEMO, list(SMALL)), RunOptions(store=copy.store)
    site = open_site(study, options)
    assert not [n for n in site.notices if "last finished run" in n]
    statement = next(s for s in site.view.statements.values() if s.place == 1)
    test_labels = {i: told.label for i, told in site.view.told.items()}
    assert len(test_labels) == len(site.view.published.rows("test"))
    assert site.encode is not None
    text = statement.candidate.text
    ours, kept = site.encode(text), site.view.vector_of(text)
    assert kept is not None
    assert ours @ kept == pytest.approx(1, abs=1e-5)
    reviewed = load_study(DEMO, [*SMALL, "review.mode=file"])
    with served(open_site(reviewed, options), store) as browser:
        about = {"concept_id": statement.concept_id, "verdict": "drop", "reviewer": "Ada"}
        assert browser.decide(**about)[0] == 303
        assert "This is the last finished run" in browser.page("")
        shown = str(site.view.published.images["image_id"][0])
        assert browser.ask(f"pixels?id={shown}")[0] == 200
        images = site.view.published.images["image_id"]
        own, held_out = (str(images[site.view.published.rows(s)[0]]) for s in ("train", "test"))
        page = browser.send(site.read(own))[1]
        assert re.findall(r"thumbnail\?id=([^\"]+)", page)[0] == own, "as the study encoded it"
        assert "cosine 1.000" in page
        assert browser.send(site.read(held_out))[0] == 422
        assert "Five kinds of skin lesion" in browser.page("report.html")
    made = run_study(reviewed, options.model_copy(update={"until": "review"})).made
    screened = store.load(ScreenedSet, made[ScreenedSet.kind])
    assert screened.review is not None
    assert [d.text for d in screened.review.applied] == [text]
    assert statement.concept_id not in {c.concept_id for c in screened.kept}
