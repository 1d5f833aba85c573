"""A registry as small as the tests of pulling need: images that skopeo wrote, tokens, and trouble where it is asked for."""

import base64
import hashlib
import http.server
import json
import pathlib
import select
import socket
import subprocess
import threading
import urllib.parse

USER, PASSWORD = "someone", "secret"


class Registry:
    """Serves what `add` was given, at 127.0.0.1. A private repository wants a token, which wants the password."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.blobs, self.tags, self.requests = {}, {}, []
        self.private, self.failures = set(), 0
        self.stalled, self.released, self.left = threading.Event(), threading.Event(), threading.Event()
        self.stalls = None
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"registry": self}))
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()

    def add(self, archive, repository, tag, *options):
        """Takes an image of an archive as skopeo writes it; gives its digest and the digests of its layers."""
        folder = self.folder / f"{repository.replace('/', '-')}-{tag}"
        subprocess.run(["skopeo", "copy", "--quiet", *options, f"oci-archive:{archive}", f"dir:{folder}"], check=True)
        manifest = (folder / "manifest.json").read_bytes()
        digest = self.put(manifest)
        self.tags[repository, tag] = digest
        for path in folder.iterdir():
            if len(path.name) == 64:
                self.blobs[f"sha256:{path.name}"] = path.read_bytes()
        return digest, [layer["digest"] for layer in json.loads(manifest)["layers"]]

    def put(self, content):
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.blobs[digest] = content
        return digest

    def count(self, part):
        return sum(part in request for request in self.requests)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        registry = self.registry
        registry.requests.append(f"{self.command} {self.path}")
        path = urllib.parse.urlsplit(self.path)
        if path.path == "/token":
            return self.token(urllib.parse.parse_qs(path.query))
        if registry.failures:
            registry.failures -= 1
            return self.error(503, "UNAVAILABLE")
        repository, kind, name = path.path.removeprefix("/v2/").rsplit("/", 2)
        if repository in registry.private and self.headers["Authorization"] != f"Bearer for-{repository}":
            realm = f'Bearer realm="http://{registry.address}/token",service="plain",scope="repository:{repository}:pull"'
            return self.error(401, "UNAUTHORIZED", {"WWW-Authenticate": realm})
        digest = registry.tags.get((repository, name), name)
        content = registry.blobs.get(digest)
        if content is None:
            return self.error(404, "MANIFEST_UNKNOWN" if kind == "manifests" else "BLOB_UNKNOWN")
        headers = {"Docker-Content-Digest": digest}
        if kind == "manifests":
            headers["Content-Type"] = json.loads(content).get("mediaType", "application/vnd.oci.image.manifest.v1+json")
        self.reply(200, content, headers, registry.stalls == digest)

    def token(self, query):
        known = f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"
        if self.headers["Authorization"] != known:
            return self.error(401, "UNAUTHORIZED")
        repository = query["scope"][0].split(":")[1]
        self.reply(200, json.dumps({"token": f"for-{repository}", "expires_in": 300}).encode(), {})

    def error(self, status, code, headers={}):
        message = code.lower().replace("_", " ")
        self.reply(status, json.dumps({"errors": [{"code": code, "message": message}]}).encode(), headers)

    def reply(self, status, content, headers, stalls=False):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if stalls:
            self.wfile.write(content[:1000])
            self.stall()
            content = content[1000:]
        self.wfile.write(content)

    def stall(self):
        """Until the test goes on, or the client leaves."""
        registry = self.registry
        registry.stalled.set()
        while not registry.released.wait(0.02):
            if select.select([self.connection], [], [], 0)[0] and not self.connection.recv(1, socket.MSG_PEEK):
                registry.left.set()
                raise ConnectionAbortedError


class Proxy:
    """Leads every CONNECT to one address, whatever name was asked for."""

    def __init__(self, target):
        self.asked = []
        proxy = self

        class Connect(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_CONNECT(self):
                proxy.asked.append(self.path)
                host, port = target.split(":")
                with socket.create_connection((host, int(port))) as other:
                    self.send_response(200)
                    self.end_headers()
                    self.wfile.flush()
                    relay(self.connection, other)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Connect)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def relay(one, other):
    ends = {one: other, other: one}
    while True:
        for ready in select.select(list(ends), [], [], 60)[0]:
            content = ready.recv(65536)
            if not content:
                return
            ends[ready].sendall(content)
