"""What a published column tells of a person: names, days, numbers of records, free text.

The kinds are those that HIPAA's Safe Harbor takes out of health data (45 CFR 164.514(b)(2)).
Columns are judged by their names and the form of their values. Findings count values, and quote
none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pandas as pd

_PEOPLE = {
    *("surname", "forename", "firstname", "lastname", "fullname", "patientname", "initials"),
    *("vorname", "nachname", "prenom", "physician", "doctor", "radiologist", "surgeon"),
    *("clinician", "dermatologist", "pathologist", "referrer", "nurse", "arzt", "medecin"),
}
_WHOSE_NAME = {
    *("patient", "subject", "person", "first", "last", "full", "given", "family", "middle"),
    *("maiden", "mother", "father", "referring", "attending", "user"),
}
_BIRTH = {"dob", "birth", "birthdate", "birthday", "dateofbirth", "born", "geburtsdatum"}
_NUMBERS = {
    *("mrn", "ssn", "nhs", "pid", "patientid", "accession", "passport", "insurance", "policy"),
    *("phone", "telephone", "mobile", "fax", "email", "mail", "address", "street", "zip"),
    *("zipcode", "postcode", "postal", "plz", "ip"),
}
_WHOSE_NUMBER = {
    *("patient", "subject", "person", "record", "medical", "hospital", "case", "exam", "visit"),
    *("encounter", "order", "health", "social", "account"),
}
_NUMBER_WORDS = {"id", "no", "nr", "number", "num", "identifier", "key", "code"}
_DAY = re.compile(
    r"(?:1[89]|20)\d\d[-/.]?(?:0?[1-9]|1[0-2])[-/.]?(?:0?[1-9]|[12]\d|3[01])(?:[T ].*)?"
    r"|(?:0?[1-9]|[12]\d|3[01])[-/. ]+(?:\d{1,2}|[A-Za-z]{3,9})\.?,?[-/. ]+(?:1[89]|20)?\d\d"
    r"|(?:0?[1-9]|1[0-2])/(?:0?[1-9]|[12]\d|3[01])/(?:1[89]|20)?\d\d"
)
_PERSON = re.compile(r"(?:dr|mr|mrs|ms|prof|herr|frau|mme)\b\.? .+|[^\W\d]+\^[^\W\d].*", re.I)
_CONTACT = re.compile(
    r"[^@\s]+@[^@\s]+\.\w+|\d{3}-\d{2}-\d{4}|(?:/|~/|[A-Za-z]:\\|\w+://)\S+|\\\\\S+"
)
_MOST, _SOME = 0.8, 0.05
_WORDS, _LONG = 5, 100
_FEW, _SPREAD = 10, 1000

Find = Callable[[set[str], "pd.Series[str]", "pd.Series[Any]", "pd.Series[str]"], str | None]


def privacy_findings(
    name: str, values: pd.Series[Any], groups: pd.Series[str]
) -> dict[str, str | None]:
    """Return what is wrong with publishing a column of metadata, by kind; None where nothing is.

    Args:
        name: the column's, as the study knows it.
        values: one for each image.
        groups: images that share one, such as a patient's, share whatever is the patient's.
    """
    here = values.notna()
    texts = values[here].map(str).str.strip()
    return {
        kind: _said(name, find(_words(name), texts, values[here], groups[here]))
        for kind, find in FINDINGS.items()
    }


def _said(name: str, found: str | None) -> str | None:
    return None if found is None else f"{name}: {found}"


def _words(name: str) -> set[str]:
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = [word.lower() for word in re.findall(r"[^\W_]+", parted)]
    return {*words, "".join(words)}


def _person(
    words: set[str], texts: pd.Series[str], values: pd.Series[Any], groups: pd.Series[str]
) -> str | None:
    del values, groups
    if words & _PEOPLE or words == {"name"} or ("name" in words and words & _WHOSE_NAME):
        return "its name says that it holds names of people"
    named = texts.str.fullmatch(_PERSON).sum()
    return f"{named:,} values look like names of people" if named > _SOME * len(texts) else None


def _day(
    words: set[str], texts: pd.Series[str], values: pd.Series[Any], groups: pd.Series[str]
) -> str | None:
    del groups
    if pd.api.types.is_datetime64_any_dtype(values):
        return "it holds days"
    days = texts.str.removesuffix(".0").str.fullmatch(_DAY).sum()
    if days > _SOME * len(texts):
        return f"{days:,} values are days"
    years = texts.str.fullmatch(r"(?:1[89]|20)\d\d(?:\.0)?").sum()
    is_birth = bool(words & _BIRTH) and years < _MOST * len(texts)
    return "its name says that it holds days of birth" if is_birth else None


def _number(
    words: set[str], texts: pd.Series[str], values: pd.Series[Any], groups: pd.Series[str]
) -> str | None:
    if words & _NUMBERS or (words & _NUMBER_WORDS and words & _WHOSE_NUMBER):
        return "its name says that it holds numbers of records, or addresses"
    contacts = texts.str.fullmatch(_CONTACT).sum()
    if contacts > _SOME * len(texts):
        return f"{contacts:,} values are addresses or paths"
    different, of = texts.nunique(), groups.nunique()
    if pd.api.types.is_numeric_dtype(values):
        whole = not bool((values.astype(float) % 1).any())
        if not whole or float(values.max()) - float(values.min()) < _SPREAD:
            return None  # a measurement, or an age
    if different >= _FEW and different > of / 2:
        return f"it is nearly unique: {different:,} values in {of:,} groups of images"
    return None


def _free_text(
    words: set[str], texts: pd.Series[str], values: pd.Series[Any], groups: pd.Series[str]
) -> str | None:
    del words, values, groups
    different = pd.Series(texts.unique(), dtype="str")
    long = int((different.str.count(r"\S+") >= _WORDS).sum())
    is_prose = long >= _FEW or bool((different.str.len() > _LONG).any())
    return f"it is free text: {long:,} different values of many words" if is_prose else None


FINDINGS: dict[str, Find] = {
    "people?": _person,
    "days?": _day,
    "records?": _number,
    "prose?": _free_text,
}
"""Column of findings -> what finds them."""
