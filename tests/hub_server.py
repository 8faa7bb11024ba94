"""A stand-in for the Hugging Face hub on 127.0.0.1: repositories in memory, and the few calls that tests need."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Hub:
    """The repositories: for each its commits, each a mapping of names to contents."""

    commits: dict[str, list[dict[str, bytes]]] = field(default_factory=dict)
    tokens: list[str | None] = field(default_factory=list)
    endpoint: str = ""

    def files(self, repo: str) -> dict[str, bytes]:
        """The files of the last commit."""
        return self.commits[repo][-1]


@contextmanager
def running_hub() -> Iterator[Hub]:
    """Run the stand-in until the block ends."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            hub.tokens.append(self.headers.get("Authorization"))
            if self.path == "/api/repos/create":
                request = json.loads(body)
                name = (
                    f"{request['organization']}/{request['name']}" if request.get("organization") else request["name"]
                )
                hub.commits.setdefault(name, [{}])
                self.send({"url": f"{hub.endpoint}/{name}", "id": name, "name": name})
            elif self.path == "/api/validate-yaml":
                self.send({"errors": [], "warnings": []})
            elif match := re.fullmatch(r"/api/models/(.+?)/preupload/[^/]+", self.path):
                files = json.loads(body)["files"]
                modes = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in files]
                self.send({"files": modes})
            elif match := re.fullmatch(r"/api/models/(.+?)/commit/[^/?]+(\?.*)?", self.path):
                lines = [json.loads(line) for line in body.splitlines()]
                values = [line["value"] for line in lines if line["key"] == "file"]
                new = {value["path"]: base64.b64decode(value["content"]) for value in values}
                hub.commits[match[1]].append({**hub.files(match[1]), **new})
                sha = sha_of(len(hub.commits[match[1]]))
                self.send({"commitUrl": f"{hub.endpoint}/{match[1]}/commit/{sha}", "commitOid": sha})
            else:
                self.send({"error": "not found"}, 404)

        def do_GET(self) -> None:
            if match := re.fullmatch(r"/api/models/(.+?)(/revision/[^/?]+)?(\?.*)?", self.path):
                name, is_tree = match[1], "/tree/" in match[1]
                name = name.split("/tree/")[0]
                if name not in hub.commits:
                    self.send({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
                elif is_tree:
                    entries = [
                        {"type": "file", "path": path, "size": len(content), "oid": git_oid(content)}
                        for path, content in hub.files(name).items()
                    ]
                    self.send(entries)
                else:
                    siblings = [{"rfilename": path} for path in hub.files(name)]
                    sha = sha_of(len(hub.commits[name]))
                    self.send(
                        {"id": name, "modelId": name, "sha": sha, "siblings": siblings, "tags": [], "private": False}
                    )
            elif match := re.fullmatch(r"/(.+?)/resolve/[^/]+/(.+)", self.path):
                content = hub.files(match[1])[match[2]]
                headers = {"X-Repo-Commit": sha_of(len(hub.commits[match[1]])), "ETag": f'"{git_oid(content)}"'}
                self.send(content, 200, headers)
            else:
                self.send({"error": "not found"}, 404)

        do_HEAD = do_GET  # noqa: N815

        def send(self, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
            raw = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(raw)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(raw)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def sha_of(number: int) -> str:
    return hashlib.sha1(str(number).encode()).hexdigest()


def git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
