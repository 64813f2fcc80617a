"""A real HTTP server on this machine that behaves, or misbehaves, like OpenAI's API.

Chat completions, responses, embeddings, files and batches. What it answers is decided by a
function of the request's body, the same for single requests and for the lines of a batch.
"""

import hashlib
import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Answer:
    """One chat completion; an embeddings request gets vectors instead of the content."""

    content: str | None
    finish_reason: str = "stop"
    refusal: str | None = None
    headers: Headers = ()
    tokens: tuple[int, int] | None = (100, 10)
    """Of the question and the answer; None: the server does not say."""


@dataclass(frozen=True)
class Status:
    """Any other HTTP answer."""

    code: int
    body: str | bytes = '{"error": {"message": "told to fail"}}'
    headers: Headers = ()


@dataclass(frozen=True)
class Reset:
    """The connection breaks before an answer comes; in a batch: the line is missing."""


@dataclass(frozen=True)
class Slow:
    """An answer that comes late."""

    seconds: float
    reply: "Reply"


@dataclass(frozen=True)
class Drip:
    """A body of blanks that comes one by one and does not end."""

    seconds: float
    """Between two."""


@dataclass(frozen=True)
class Expired:
    """In a batch: the line was not reached in time."""


Reply = Answer | Status | Reset | Slow | Drip | Expired
Behaviour = Callable[[dict[str, Any]], Reply]


@dataclass
class BatchPlan:
    """How the server's next batches go."""

    looks: int = 1
    """How often a batch is looked at before it has ended."""
    stuck: str = ""
    """Id of a batch that does not end."""
    ending: str = "completed"
    reason: str = "told to fail"


@dataclass
class ChatServer:
    """What was asked of the server, in the order in which it came."""

    base_url: str
    behave: Behaviour
    plan: BatchPlan = field(default_factory=BatchPlan)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    """Of chat completions, responses and embeddings, and of the lines of batches."""
    sent: list[tuple[str, str]] = field(default_factory=list)
    """Method and path, and the raw body, of every request of any kind."""
    troubles: dict[str, list[Reply]] = field(default_factory=dict)
    """By method and path: what the next such requests get after they were worked on."""
    keys: list[str | None] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    closing: threading.Event = field(default_factory=threading.Event)
    under_way: int = 0
    """Requests that came and whose answer has not begun: after it a client may send the next."""
    most_under_way: int = 0
    files: dict[str, str] = field(default_factory=dict)
    batches: list[dict[str, Any]] = field(default_factory=list)
    looked: dict[str, int] = field(default_factory=dict)

    def formats(self) -> list[str | None]:
        """Return the response format of each request."""
        return [body.get("response_format", {}).get("type") for body in self.bodies]

    def prompts(self) -> list[str]:
        """Return the first message of each request."""
        return [body["messages"][0]["content"] for body in self.bodies]

    def spoilt(self, sent: str, reply: Reply) -> Reply:
        """Return the trouble that lies in wait for a request, or else its reply."""
        ahead = self.troubles.get(sent)
        return ahead.pop(0) if ahead else reply

    def record(self, body: dict[str, Any]) -> Reply:
        """Write a body down and decide what it gets."""
        with self.lock:
            self.bodies.append(body)
        return self.behave(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True  # a client that keeps its connection does not keep us
    request_queue_size = 256  # many connect at a time, and none may be turned away by chance


@contextmanager
def chat_server(behave: Behaviour) -> Iterator[ChatServer]:
    """Run a server on a free port of 127.0.0.1 whose answer to a request's body is `behave`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # headers and body are two writes

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length", 0)))
            with server.lock:
                server.sent.append((f"POST {self.path}", raw.decode()))
                server.keys.append(self.headers.get("authorization"))
                server.headers.append({k.lower(): v for k, v in self.headers.items()})
                server.under_way += 1
                server.most_under_way = max(server.most_under_way, server.under_way)
            try:
                reply = _posted(server, self.path, raw, self.headers.get("content-type", ""))
                reply = server.spoilt(f"POST {self.path}", reply)
                while isinstance(reply, Slow):
                    server.closing.wait(reply.seconds)
                    reply = reply.reply
            finally:
                with server.lock:
                    server.under_way -= 1
            self.reply(reply)

        def do_GET(self) -> None:
            with server.lock:
                server.sent.append((f"GET {self.path}", ""))
                reply = _got(server, urlsplit(self.path).path)
                self.reply(server.spoilt(f"GET {urlsplit(self.path).path}", reply))

        def reply(self, reply: Reply) -> None:
            match reply:
                case Slow():
                    server.closing.wait(reply.seconds)
                    self.reply(reply.reply)
                case Status():
                    self.send(reply)
                case Drip():
                    self.drip(reply)
                case _:
                    linger = struct.pack("ii", 1, 0)  # close at once, with a reset
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    self.close_connection = True
                    self.connection.close()

        def send(self, status: Status) -> None:
            content = status.body if isinstance(status.body, bytes) else status.body.encode()
            try:
                self.send_response(status.code)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(content)))
                for name, value in status.headers:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the client did not wait

        def drip(self, drip: Drip) -> None:
            with suppress(BrokenPipeError, ConnectionResetError):
                self.send_response(200)
                self.send_header("content-length", "1000000")
                self.end_headers()
                while not server.closing.wait(drip.seconds):
                    self.wfile.write(b" ")
            self.close_connection = True

        def finish(self) -> None:
            if self.connection.fileno() != -1:  # it is where the connection was reset
                super().finish()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing on stderr."""

    http = _Server(("127.0.0.1", 0), Handler)
    server = ChatServer(f"http://127.0.0.1:{http.server_port}/v1", behave)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
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


def text_vector(text: str) -> list[float]:
    """Return the server's vector of a text: eight numbers that depend on it alone."""
    return [byte / 255 - 0.5 for byte in hashlib.sha256(text.encode()).digest()[:8]]


# --- the endpoints --------------------------------------------------------------------------


def _posted(server: ChatServer, path: str, raw: bytes, content_type: str) -> Reply:
    match re.split(r"/v1/|/deployments/[^/]+/", urlsplit(path).path)[-1]:
        case "files":
            return _keep_file(server, raw, content_type)
        case "batches":
            with server.lock:
                number = len(server.batches)
            return _begin_batch(server, f"batch-{number}", json.loads(raw)["input_file_id"])
        case "chat/completions":
            write = _completion
        case "responses":
            write = _response
        case "embeddings":
            write = _embeddings
        case _:
            return Status(404, '{"error": {"message": "no such endpoint"}}')
    body = json.loads(raw)
    return _written(server.record(body), body, write)


def _written(
    reply: Reply, body: dict[str, Any], write: Callable[[Answer, dict[str, Any]], dict[str, Any]]
) -> Reply:
    match reply:
        case Answer():
            return Status(200, json.dumps(write(reply, body)), reply.headers)
        case Slow():
            return Slow(reply.seconds, _written(reply.reply, body, write))
        case _:
            return reply


def _got(server: ChatServer, path: str) -> Reply:
    if path.endswith("/v1/batches"):
        return Status(200, json.dumps({"data": server.batches[::-1], "has_more": False}))
    if found := re.search(r"/files/(.+)/content$", path):
        return Status(200, server.files[found[1]])
    name = path.rpartition("/")[2]
    for batch in server.batches:
        if batch["id"] == name:
            server.looked[name] = server.looked.get(name, 0) + 1
            early = name == server.plan.stuck or server.looked[name] <= server.plan.looks
            status = "in_progress" if early else batch["status"]
            return Status(200, json.dumps({**batch, "status": status}))
    return Status(404, '{"error": {"message": "no such batch"}}')


def _keep_file(server: ChatServer, raw: bytes, content_type: str) -> Status:
    boundary = content_type.partition("boundary=")[2].strip('"').encode()
    parts = [part.partition(b"\r\n\r\n") for part in raw.split(b"--" + boundary)]
    [content] = [body.removesuffix(b"\r\n") for head, _, body in parts if b"filename=" in head]
    with server.lock:
        name = f"file-{len(server.files)}"
        server.files[name] = content.decode()
    return Status(200, json.dumps({"id": name, "object": "file", "purpose": "batch"}))


def _begin_batch(server: ChatServer, name: str, input_file_id: str) -> Status:
    plan = server.plan
    asked = [json.loads(line) for line in server.files[input_file_id].splitlines()]
    answers: list[str] = []
    errors: list[str] = []
    for line in reversed(asked if plan.ending != "failed" else []):  # in any order but the first
        outcome = _line_outcome(server.record(line["body"]), line["body"])
        if outcome is not None:
            fine = outcome["response"] is not None and outcome["response"]["status_code"] == 200
            text = json.dumps({"id": "line", "custom_id": line["custom_id"], **outcome})
            (answers if fine else errors).append(text)
    batch = {"id": name, "object": "batch", "status": plan.ending, "input_file_id": input_file_id}
    with server.lock:
        for kind, lines in (("output_file_id", answers), ("error_file_id", errors)):
            batch[kind] = f"{name}-{kind}" if lines else ""
            server.files[f"{name}-{kind}"] = "\n".join(lines) + "\n"
        problems = {"data": [{"code": "told", "message": plan.reason}]}
        failed = plan.ending == "failed"
        server.batches.append({**batch, "errors": problems if failed else None})
    return Status(200, json.dumps({**batch, "status": "validating"}))


def _line_outcome(reply: Reply, body: dict[str, Any]) -> dict[str, Any] | None:
    match reply:
        case Answer():
            answer = _completion(reply, body)
            return {"response": {"status_code": 200, "body": answer}, "error": None}
        case Status():
            error = {"error": {"message": str(reply.body)}}
            return {"response": {"status_code": reply.code, "body": error}, "error": None}
        case Expired():
            return {"response": None, "error": {"code": "batch_expired", "message": "too late"}}
        case _:
            return None


def _completion(answer: Answer, body: dict[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", "content": answer.content, "refusal": answer.refusal}
    said: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": "tiny-1",
        "choices": [{"index": 0, "message": message, "finish_reason": answer.finish_reason}],
    }
    if answer.tokens:
        prompt, completion = answer.tokens
        said["usage"] = {"prompt_tokens": prompt, "completion_tokens": completion}
    return said


def _response(answer: Answer, body: dict[str, Any]) -> dict[str, Any]:
    content = [{"type": "output_text", "text": answer.content or "", "annotations": []}]
    message = {"id": "msg-1", "type": "message", "role": "assistant", "status": "completed"}
    return {
        "id": "resp-1",
        "object": "response",
        "created_at": 0,
        "model": "tiny-1",
        "status": "completed" if answer.finish_reason == "stop" else "incomplete",
        "output": [{**message, "content": content}],
    }


def _embeddings(answer: Answer, body: dict[str, Any]) -> dict[str, Any]:
    texts: Sequence[str] = [body["input"]] if isinstance(body["input"], str) else body["input"]
    data = [
        {"object": "embedding", "index": place, "embedding": text_vector(text)}
        for place, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": sum(len(text) for text in texts)}
    return {"object": "list", "model": "tiny-embed", "data": data[::-1], "usage": usage}
