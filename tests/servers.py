"""A real HTTP server on this machine that behaves, or misbehaves, like chat completions."""

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    """One chat completion."""

    content: str | None
    finish_reason: str = "stop"
    refusal: str | None = None


@dataclass(frozen=True)
class Status:
    """Any other HTTP answer."""

    code: int
    body: str = '{"error": {"message": "told to fail"}}'
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Reset:
    """The connection breaks before an answer comes."""


Reply = Answer | Status | Reset
Behaviour = Callable[[dict[str, Any]], Reply]


@dataclass
class ChatServer:
    """What was asked of the server, in the order in which it came."""

    base_url: str
    behave: Behaviour
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    under_way: int = 0
    most_under_way: int = 0

    def formats(self) -> list[str | None]:
        """Return the response format of each request."""
        return [body.get("response_format", {}).get("type") for body in self.bodies]


@contextmanager
def chat_server(behave: Behaviour) -> Iterator[ChatServer]:
    """Run a server on a free port of 127.0.0.1 whose answer to a request's body is `behave`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length", 0))
            body = json.loads(self.rfile.read(length))
            with server.lock:
                server.bodies.append(body)
                server.keys.append(self.headers.get("authorization"))
                server.under_way += 1
                server.most_under_way = max(server.most_under_way, server.under_way)
            try:
                self.reply(server.behave(body))
            finally:
                with server.lock:
                    server.under_way -= 1

        def reply(self, reply: Reply) -> None:
            match reply:
                case Answer():
                    self.send(200, json.dumps(_completion(reply)))
                case Status():
                    self.send(reply.code, reply.body, reply.headers)
                case Reset():
                    linger = struct.pack("ii", 1, 0)  # close at once, with a reset
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    self.close_connection = True
                    self.connection.close()

        def send(self, code: int, text: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
            content = text.encode()
            self.send_response(code)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            for name, value in headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def finish(self) -> None:
            if self.connection.fileno() != -1:  # it is where the connection was reset
                super().finish()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing on stderr."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True  # a client that keeps its connection does not keep us
    server = ChatServer(f"http://127.0.0.1:{http.server_port}/v1", behave)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


def in_turn(first: Reply, *more: Reply) -> Behaviour:
    """Give these replies one after the other, the last one for ever."""
    left = [first, *more]
    lock = threading.Lock()

    def behave(body: dict[str, Any]) -> Reply:
        with lock:
            return left.pop(0) if len(left) > 1 else left[0]

    return behave


def _completion(answer: Answer) -> dict[str, Any]:
    message = {"role": "assistant", "content": answer.content, "refusal": answer.refusal}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": "tiny-1",
        "choices": [{"index": 0, "message": message, "finish_reason": answer.finish_reason}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
    }
