"""A file of a form, taken out in memory: what is searched by is never written anywhere.

Starlette's reader of such forms needs one more package and keeps large files on disk meanwhile.
"""

from email.message import Message
from email.parser import HeaderParser

FORM = "multipart/form-data"


def uploaded(content_type: str, body: bytes, field: str) -> bytes:
    """Return the bytes of a form's file; none where there is no such field, or no such form.

    Parts stand between lines of two hyphens and the boundary that the content type names, after a
    head and an empty line each (RFC 2046, 5.1.1, and RFC 7578).

    Args:
        content_type: of the request.
        body: of the request.
        field: name of the form's field.
    """
    kind = Message()
    kind["content-type"] = content_type
    boundary = (kind.get_boundary() or "").encode("latin-1", "replace")
    if not boundary:
        return b""
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary)[1:]:
        head, _, content = part.partition(b"\r\n\r\n")
        told = HeaderParser().parsestr(head.decode("utf-8", "replace").lstrip())
        if told.get_param("name", header="content-disposition") == field:
            return content
    return b""
