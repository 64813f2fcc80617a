import pytest
from hypothesis import given
from hypothesis import strategies as st

from curette.tasks.methods.llm.quoting import quotable
from curette.tasks.propose.quotes import find_quote, tidy

# Letters, blanks of many kinds, marks, control characters, and characters that nobody sees.
HOSTILE = st.text(
    alphabet="ab.é \t\n\r\x00\x07\x1f\x85<>/\u200b\u202e\xad\xa0\u2028\ue000", max_size=60
)


@given(HOSTILE | st.text(max_size=60))
def test_a_tidied_text_is_what_prompts_show(text: str) -> None:
    assert tidy(text).shown == quotable(text, 10 * len(text) + 1)


@given(HOSTILE | st.text(max_size=60))
def test_each_character_shown_comes_from_its_place(text: str) -> None:
    tidied = tidy(text)
    assert len(tidied.places) == len(tidied.shown)
    assert list(tidied.places) == sorted(set(tidied.places.tolist()))
    for place, character in zip(tidied.places, tidied.shown, strict=True):
        assert text[place] == character or character == " "


@given(HOSTILE, st.data())
def test_what_is_shown_of_a_text_is_found_in_it(text: str, data: st.DataObject) -> None:
    words = quotable(text, 1000).split()
    if not words:
        return
    first = data.draw(st.integers(0, len(words) - 1))
    last = data.draw(st.integers(first, len(words) - 1))
    quote = " ".join(words[first : last + 1])
    place = find_quote(quote, text)
    assert place is not None
    assert quotable(text[slice(*place)], 1000) == quote


@pytest.mark.parametrize(
    ("quote", "stands"),
    [
        ("brown lines of equal width", "brown lines\n  of equal\twidth"),
        ("  brown lines\nof equal width ", "brown lines\n  of equal\twidth"),
        ("equal width; a diameter < 6 mm", "equal\twidth; a diameter < 6 mm"),
        ("equal width; a diameter 6 mm", "equal\twidth; a diameter < 6 mm"),
        ("see melanoma", "see mel\x00\u200banoma"),
    ],
)
def test_a_quote_may_differ_by_what_a_prompt_tidies(quote: str, stands: str) -> None:
    text = (
        "Here are brown lines\n  of equal\twidth; a diameter < 6 mm. Do not see mel\x00\u200banoma"
    )
    if "melanoma" in quote:
        text = text.replace("\x00", "")
        stands = stands.replace("\x00", "")
    place = find_quote(quote, text)
    assert place is not None
    assert text[slice(*place)] == stands


@pytest.mark.parametrize(
    "quote",
    [
        "Brown lines",  # another case
        "brown  lines of unequal width",
        "brown lines of equal wid",  # ends inside a word
        "rown lines",  # begins inside one
        "brown lines ... width",
        '"brown lines"',
        "",
        " \n",
        "<>",
    ],
)
def test_another_wording_is_not_found(quote: str) -> None:
    assert find_quote(quote, "Here are brown lines of equal width.") is None


def test_a_word_that_only_ends_like_the_quote_is_passed_over() -> None:
    text = "an asymmetric shape, then a symmetric shape"
    assert find_quote("symmetric shape", text) == (28, 43)
    assert text[28:43] == "symmetric shape"
