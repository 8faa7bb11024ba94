"""Who may talk to the server, and how slow or greedy clients are handled."""

from __future__ import annotations

import socket
import time

import pytest
from websockets.exceptions import InvalidStatus

from seriatim.errors import UsageError
from seriatim.options import fill
from seriatim.serve.options import ServeOptions, read_environment

KEY = "a-key-of-sixteen-characters"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": f"Bearer {KEY}x"}, 401),
        ({"authorization": f"Basic {KEY}"}, 401),
        ({"authorization": KEY}, 401),
        ({"authorization": f"Bearer {KEY}"}, 200),
        ({"authorization": f"bearer  {KEY}"}, 200),
    ],
)
def test_key(start_server, headers, status):
    server = start_server(api_key=KEY)
    with server.client(**headers) as client:
        for path in ("/v1/models", "/metrics"):
            response = client.get(path)
            assert response.status_code == status
        assert client.get("/healthz").status_code == client.get("/").status_code == 200
    if status == 401:
        assert response.headers["www-authenticate"] == "Bearer" and KEY not in response.text
        with pytest.raises(InvalidStatus), server.socket(**headers):
            pass
    else:
        with server.socket(**headers) as socket:
            socket.ping()


def test_key_in_the_address_is_refused(start_server):
    with start_server(api_key=KEY).client(authorization=f"Bearer {KEY}") as client:
        for name in ("api_key", "API_KEY", "key", "token", "access_token"):
            response = client.get("/v1/models", params={name: KEY})
            assert (response.status_code, response.json()["error"]["code"]) == (400, "key_in_url")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "localhost.evil.example", "", "[::2]"])
def test_host_of_another_site_is_refused(shared_server, host):
    with shared_server.client(host=host) as client:
        assert client.get("/v1/models").status_code in (400, 403)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:7", "[::1]:7", "LOCALHOST:1"])
def test_names_of_this_machine_are_accepted(shared_server, host):
    with shared_server.client(host=host) as client:
        assert client.get("/v1/models").status_code == 200


def test_pages_of_other_sites_are_refused(shared_server):
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1", f"http://{shared_server.host}.evil.example"):
        with shared_server.client(origin=origin) as client:
            response = client.post("/v1/sessions", json={})
            assert (response.status_code, response.json()["error"]["code"]) == (403, "origin")
        with pytest.raises(InvalidStatus), shared_server.socket(origin=origin):
            pass
    with shared_server.client(origin=f"http://{shared_server.host}") as client:
        response = client.post("/v1/sessions", json={})
        assert response.status_code == 201
        assert not any(name.startswith("access-control") for name in response.headers)
        assert client.options("/v1/sessions").status_code == 405


def test_headers_of_the_page(shared_server):
    with shared_server.client() as client:
        headers = client.get("/").headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff" and "server" not in headers
        assert client.get("/v1/models").headers["cache-control"] == "no-store"


def test_allowed_hosts(start_server):
    server = start_server(allowed_hosts=("models.example",))
    with server.client(host="models.example:8000") as client:
        assert client.get("/healthz").status_code == 200
    with server.client(host="other.example") as client:
        assert client.get("/healthz").status_code == 403


def test_a_slow_body_ends_and_holds_up_nobody(start_server):
    server = start_server(timeout=2.0)
    host, _, port = server.host.partition(":")
    slow = [socket.create_connection((host, int(port))) for _ in range(20)]
    for connection in slow:
        connection.sendall(b"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
    with server.client() as client:
        name = client.post("/v1/sessions", json={}).json()["session"]
        assert client.post(f"/v1/sessions/{name}/steps", json={"seq": 1, "x": "t"}).status_code == 200
    for connection in slow:
        connection.settimeout(60)
        assert b"408" in connection.recv(1000)
        connection.close()


def test_a_client_that_does_not_read_holds_up_nobody(start_server):
    server = start_server()
    with server.socket() as greedy:
        greedy.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(50):
            greedy.send('[{"op": "describe", "session": "x"}' + ',{"op": "describe", "session": "x"}' * 900 + "]")
        with server.client() as client:
            name = client.post("/v1/sessions", json={}).json()["session"]
            assert client.post(f"/v1/sessions/{name}/steps", json={"seq": 1, "x": "t"}).status_code == 200
        greedy.socket.shutdown(socket.SHUT_RDWR)


def test_a_request_that_takes_too_long(start_server, monkeypatch):
    server = start_server(timeout=0.2)
    monkeypatch.setattr(type(server.models.current.model), "predict", lambda self, rows: iter([time.sleep(1)]))
    with server.client() as client:
        response = client.post("/v1/predict", json={"rows": ["x"]})
        assert (response.status_code, response.json()["error"]["code"]) == (504, "timeout")


def test_too_many_sessions_say_when_to_try_again(start_server):
    with start_server(max_sessions=1).client() as client:
        assert client.post("/v1/sessions", json={}).status_code == 201
        response = client.post("/v1/sessions", json={})
        assert response.status_code == 503 and int(response.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"host": "0.0.0.0"}, "host: other machines reach 0.0.0.0, so --api-key"),
        ({"host": "models.example"}, "so --api-key"),
        ({"host": "::", "api_key": "short"}, "api_key: wanted at least 16"),
        ({"state": "redis://x", "durability": "normal"}, "durability: for state in a file"),
    ],
)
def test_options_that_are_not_safe_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        fill(ServeOptions, options).check()


def test_safe_options():
    for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost"):
        ServeOptions(host=host).check()
    ServeOptions(host="0.0.0.0", api_key=KEY).check()


def test_each_option_is_a_variable_of_the_environment():
    texts = {
        "HOST": "::1", "PORT": "7", "STATE": "redis://x", "DURABILITY": "normal", "API_KEY": KEY, "MAX_SESSIONS": "3",
        "MAX_IN_MEMORY": "2", "IDLE": "2h", "TIMEOUT": "5s", "MAX_BODY": "2MB", "MAX_LENGTH": "9",
        "MAX_CONNECTIONS": "4", "ALLOWED_HOSTS": "a,b",
    }  # fmt: skip
    options = ServeOptions(**read_environment({f"SERIATIM_{name}": text for name, text in texts.items()}))
    assert set(texts) == {name.upper() for name in vars(options)}
    assert (options.port, options.idle, options.max_body) == (7, 7200.0, 2_000_000)
    assert options.allowed_hosts == ("a", "b")
    with pytest.raises(UsageError, match="SERIATIM_PORT: got 'x', wanted a whole number"):
        read_environment({"SERIATIM_PORT": "x"})
