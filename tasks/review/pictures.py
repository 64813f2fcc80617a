"""The pictures by which a person names what was found among images, as Markdown."""

from collections.abc import Callable, Sequence

from curette.tasks.methods.page.pictures import PictureBook
from curette.tasks.review.form import Nameless, unmarked

_SHOWN, _SIZE_PX = 6, 128


def picture_page(names: Sequence[Nameless], read: Callable[[str], bytes]) -> str:
    """Return the training images that show most of each, under the words it goes by.

    Each is told by its id, so that whoever withdraws an image finds where it stands.

    Args:
        names: what is asked about.
        read: image id -> bytes; raises `FileNotFoundError` where there are no pixels.
    """
    book = PictureBook(read, _SIZE_PX)
    parts = []
    for n in names:
        shown = []
        for image in n.found.images[:_SHOWN]:
            name = unmarked(image)
            book.css(image)
            picture = book.pictures[image]
            shown.append(f"![{name}]({picture.uri})" if picture else f"{name} (no pixels)")
        parts.append(f"## {unmarked(n.concept.text)}\n\n{' '.join(shown)}\n")
    return "\n".join(parts)
