from pathlib import Path

import pytest

from curette.tasks.propose.questions import statement


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (
            "Does the lesion appear as irregular dark skin areas?",
            "the lesion appears as irregular dark skin areas",
        ),
        ("Does the lesion have a dark centre?", "the lesion has a dark centre"),
        ("Does the lesion possess a rim?", "the lesion possesses a rim"),
        ("Does the colour of the lesion vary?", "the colour of the lesion varies"),
        ("Does the colour vary or change?", "the colour varies or changes"),
        ("Do the lesions contain vessels?", "the lesions contain vessels"),
        ("Does it show any dots?", "it shows some dots"),
        ("Is the lesion asymmetrical?", "the lesion is asymmetrical"),
        ("Is the lesion's surface flat?", "the lesion's surface is flat"),
        ("Is the lesion's outer edge sharp?", "the lesion's outer edge is sharp"),
        ("Is the border of the lesion irregular?", "the border of the lesion is irregular"),
        ("Is the skin around the lesion red?", "the skin around the lesion is red"),
        ("Are the borders jagged?", "the borders are jagged"),
        ("Are tree-like vessels present?", "tree-like vessels are present"),
        ("Are there blood vessels in it?", "there are blood vessels in it"),
        ("Is there a whitish rim?", "there is a whitish rim"),
        ("Can white streaks be seen on the skin?", "white streaks can be seen on the skin"),
        ("Can you observe brown dots in the centre?", "brown dots in the centre"),
        ("Do you see a rough surface?", "a rough surface"),
        ("Is the cardiac silhouette enlarged?", "the cardiac silhouette enlarged"),
        ("a network of brown lines", "a network of brown lines"),
        ("  Is  the lesion\tround ?  ", "the lesion is round"),
    ],
)
def test_a_question_becomes_the_statement_it_asks_about(question: str, expected: str) -> None:
    assert statement(question) == expected


def test_no_real_question_stays_a_question(shared_data: Path) -> None:
    lines = (shared_data / "knobo" / "skin_PubMed.txt").read_text(encoding="utf-8").splitlines()
    auxiliaries = {"does", "do", "is", "are", "can", "could"}
    statements = [statement(line) for line in lines]
    assert not [s for s in statements if s.endswith("?") or s.split()[0].lower() in auxiliaries]
    unresolved = [
        s for s, q in zip(statements, lines, strict=True) if len(s.split()) < len(q.split())
    ]
    assert len(unresolved) <= 0.7 * len(lines)  # an auxiliary is dropped only before a verb
