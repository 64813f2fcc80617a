"""Turn yes/no questions about an image into statements, by a few rules of English grammar."""

import re
from typing import Final

_PART: Final = (
    r"(?:areas?|borders?|boundar(?:y|ies)|cells?|cent(?:er|re)|colou?rs?|colou?ration|contours?|"
    r"convexity|diameter|distribution|edges?|image|lesions?|lines?|margins?|moles?|nests|outline|"
    r"patch(?:es)?|pattern|pigmentation|scar|shape|size|skin|structures?|surface|symmetry|texture|"
    r"vessels?)"
)
_HEAD: Final = rf"(?:[\w-]+\s){{0,2}}?{_PART}(?:\s{_PART})*"
_THING: Final = rf"(?:the|this|these|its)\s{_HEAD}(?:['’]s\s{_HEAD})?"
_SUBJECT: Final = rf"{_THING}(?:\s(?:of|in|inside|within|around|under|on|at)\s{_THING})*"
_STATE: Final = (
    r"(?:visible|present|absent|seen|evident|apparent|observed|identified|noted|arranged|located)"
)
_VERB: Final = (
    r"(?:adhere|appear|bear|contain|demonstrate|differ|display|exhibit|extend|feature|have|include|"
    r"lack|look|possess|present|reveal|show|stand|vary)"
)


def statement(question: str) -> str:
    """Return the statement that a yes/no question asks about.

    | question | statement |
    | --- | --- |
    | Does S show X? | S shows X |
    | Do S show X? | S show X |
    | Is S round? Are S visible? | S is round; S are visible |
    | Is there X? Are there any X? | there is X; there are some X |
    | Can X be seen on S? | X can be seen on S |
    | Can you observe X? Do you see X? | X |

    A question whose subject the rules do not find keeps its words without the auxiliary, which
    still reads as a note ("cardiac silhouette enlarged"). What is no question stays as it is.
    """
    text = re.sub(r"\s+", " ", question).strip().rstrip("?.").strip()
    auxiliary, _, rest = text.partition(" ")
    rest = re.sub(r"\bany\b", "some", rest)
    match auxiliary.lower():
        case "does" | "do" as auxiliary:
            return _of_verb(auxiliary, rest)
        case "is" | "are" as auxiliary:
            return _of_being(auxiliary, rest)
        case "can" | "could":
            return _of_ability(rest)
        case _:
            return text


def _of_verb(auxiliary: str, rest: str) -> str:
    if asked := re.fullmatch(r"you (?:see|observe|notice|identify) (.+)", rest):
        return asked[1]
    found = re.match(rf"(.+?) ({_VERB})\b(?: (or|and) (\w+)$)?(.*)", rest)
    if auxiliary == "do" or not found:
        return rest
    subject, verb, joint, second, remainder = found.groups()
    also = f" {joint} {_third_person(second)}" if second else ""
    return f"{subject} {_third_person(verb)}{also}{remainder}"


def _of_being(be: str, rest: str) -> str:
    if rest.startswith("there "):
        return f"there {be} {rest.removeprefix('there ')}"
    found = re.match(rf"({_SUBJECT}) (.+)", rest) or re.match(rf"(.+?) ({_STATE}\b.*)", rest)
    return f"{found[1]} {be} {found[2]}" if found else rest


def _of_ability(rest: str) -> str:
    if asked := re.fullmatch(r"you (?:see|observe|notice|identify) (.+)", rest):
        return asked[1]
    found = re.match(r"(.+?) (be .+)", rest)
    return f"{found[1]} can {found[2]}" if found else rest


def _third_person(verb: str) -> str:
    if verb == "have":
        return "has"
    if re.search(r"[^aeiou]y$", verb):
        return f"{verb[:-1]}ies"
    return f"{verb}es" if re.search(r"(?:s|x|z|ch|sh|o)$", verb) else f"{verb}s"
