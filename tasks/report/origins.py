"""Where a concept comes from, in a few words."""

from collections import Counter
from collections.abc import Sequence

from curette.schemas.candidates import (
    CaptionOrigin,
    DiscoveredOrigin,
    DocumentOrigin,
    FileOrigin,
    LlmOrigin,
    Origin,
    ReviewOrigin,
)

_QUOTE = 240  # characters of a quote that are shown


def origin_line(origins: Sequence[Origin]) -> str:
    """Return where a concept comes from, in a few words."""
    told = Counter(_place(origin) for origin in origins)
    return " · ".join(
        place if times == 1 else f"{place}, {times} times" for place, times in told.items()
    )


def _place(origin: Origin) -> str:
    match origin:
        case LlmOrigin(pair=pair):
            asked = f", round {origin.round}: {' or '.join(pair)}" if pair else ""
            return f"{origin.model}{asked}"
        case DocumentOrigin():
            return f"{origin.document}, characters {origin.start} to {origin.end}"
        case CaptionOrigin():
            return f"{origin.model}, shown {origin.image_id}"
        case FileOrigin():
            return f"{origin.file}:{origin.line}"
        case ReviewOrigin():
            return f"reworded by {origin.reviewer}"
        case DiscoveredOrigin():
            return f"found among images by {origin.method}, number {origin.number}"


def quote_of(origins: Sequence[Origin]) -> str:
    """Return the first passage of a document that a concept rests on, "" where there is none."""
    quote = next((o.quote for o in origins if o.kind == "document"), "")
    return quote if len(quote) <= _QUOTE else f"{quote[:_QUOTE]}…"
