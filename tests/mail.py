"""A real SMTP server on this machine that takes every mail, and no password but one."""

import base64
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage


@dataclass
class MailServer:
    """What it was sent."""

    port: int = 0
    logins: list[tuple[str, str]] = field(default_factory=list)
    taken: list[tuple[list[str], EmailMessage]] = field(default_factory=list)
    """Who is to get a mail, and the mail."""


@contextmanager
def mail_server(password: str = "") -> Iterator[MailServer]:
    """Serve at 127.0.0.1; with a password, nothing is taken from whoever did not log in with it."""
    kept = MailServer()

    class Session(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            known, to = not password, list[str]()
            self._say("220 ready")
            while line := self.rfile.readline().decode().strip():
                verb, _, rest = line.partition(" ")
                match verb.upper():
                    case "EHLO":
                        self._say("250-here\r\n250 AUTH PLAIN")
                    case "AUTH":
                        _, user, said = base64.b64decode(rest.split()[1]).decode().split("\0")
                        kept.logins.append((user, said))
                        known = said == password
                        self._say("235 welcome" if known else "535 no")
                    case "MAIL":
                        self._say("250 go on" if known else "530 log in first")
                    case "RCPT":
                        to.append(rest.partition("<")[2].partition(">")[0])
                        self._say("250 go on")
                    case "DATA":
                        self._say("354 end with a dot")
                        lines = list(iter(self.rfile.readline, b".\r\n"))
                        mail = message_from_bytes(b"".join(lines), policy=policy.default)
                        kept.taken.append((to, mail))
                        to = []
                        self._say("250 taken")
                    case "QUIT":
                        return self._say("221 bye")
                    case _:
                        self._say("250 fine")
            return None

        def _say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session) as server:
        kept.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield kept
        finally:
            server.shutdown()
