"""HTTP as bytes: what no client library would send, and what comes back."""

import json
import re
import selectors
import socket
import time
import xml.etree.ElementTree as xml

MOST_AT_ONCE = 1 << 16


class Answer:
    """The first answer on a connection. `sent` is how much of the request the other side took, `closed` whether it then closed."""

    def __init__(self, received, sent, closed):
        head, _, rest = received.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.received, self.sent, self.closed = received, sent, closed
        self.status = int(lines[0].split(" ")[1])
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        length = int(self.headers.get("content-length", len(rest)))
        self.body, self.behind = rest[:length], rest[length:]

    def error(self):
        """`(code, message)`, after the form of the protocol was checked: content type, request id, the document's shape."""
        kind, request_id = self.headers["content-type"], self.headers["x-amzn-requestid"]
        assert re.fullmatch(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", request_id), request_id
        if kind.startswith("application/x-amz-json-1."):
            document = json.loads(self.body)
            return document["__type"], document.get("message", "")
        assert kind.startswith("text/xml"), kind
        document = xml.fromstring(self.body)
        local = {re.sub(r"{.*}", "", each.tag): each.text or "" for each in document.iter()}
        tag = re.sub(r"{.*}", "", document.tag)
        assert tag in ("ErrorResponse", "Response"), tag
        assert local["RequestId" if tag == "ErrorResponse" else "RequestID"] == request_id
        assert tag == "Response" or local["Type"] in ("Sender", "Receiver")
        return local["Code"], local["Message"]

    def __repr__(self):
        return f"{self.received[:600]!r} after {self.sent} bytes, closed: {self.closed}"


def is_whole(received):
    head, end, rest = received.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return bool(end and length and len(rest) >= int(length[1]))


def exchange(address, request, seconds=15, to_the_end=False):
    """Sends and reads at the same time, until the first answer is whole, or with `to_the_end` until the other side closes.
    `None` if it closes, or resets, without an answer. Fails when nothing happens in time."""
    received, sent, closed, end = b"", 0, False, time.monotonic() + seconds
    with socket.create_connection(address, timeout=seconds) as stream, selectors.DefaultSelector() as selector:
        stream.setblocking(False)
        selector.register(stream, selectors.EVENT_READ | selectors.EVENT_WRITE)
        while not closed and (to_the_end or not is_whole(received)):
            ready = selector.select(max(0, end - time.monotonic()))
            if not ready:
                raise AssertionError(f"nothing more within {seconds} s behind {sent} bytes and the answer {received[:300]!r}")
            try:
                if ready[0][1] & selectors.EVENT_READ:
                    part = stream.recv(MOST_AT_ONCE)
                    received, closed = received + part, not part
                elif sent < len(request):
                    sent += stream.send(request[sent : sent + MOST_AT_ONCE])
            except (ConnectionResetError, BrokenPipeError):
                closed = True
            if sent == len(request):
                selector.modify(stream, selectors.EVENT_READ)
    return Answer(received, sent, closed) if received else None


def post(body, *headers, path="/"):
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1:4566", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body
