"""Two texts that say the same have the same letters."""

from curette.schemas.passages import letters


def test_marks_case_blanks_and_punctuation_are_no_letters() -> None:
    assert letters("Naevus, 4_mm. <b>No</b> vessels!\n") == "naevus4mmnovessels"
    assert letters("Ödem < 3 mm") == "ödem3mm"
