"""Sessions, predictions and health over HTTP and WebSocket."""

from __future__ import annotations

import base64
import json
import threading
from contextlib import suppress
from socket import SHUT_RDWR

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

from seriatim.runtime import load

from .conftest import GOLDEN
from .test_sessions import answers_alone, best

TEXT = "to be or not to be"


@pytest.fixture
def client(shared_server):
    with shared_server.client() as opened:
        yield opened


def new_session(client, **body):
    response = client.post("/v1/sessions", json=body)
    assert response.status_code == 201, response.text
    return response.json()["session"]


def step(client, name, seq, x, **body):
    return client.post(f"/v1/sessions/{name}/steps", json={"seq": seq, "x": x, **body})


def test_a_session_from_its_creation_to_its_end(client, language_model):
    name = new_session(client, seed=1)
    answers = [step(client, name, seq, unit).json() for seq, unit in enumerate(TEXT, 1)]
    assert [best(answer) for answer in answers] == answers_alone(language_model, TEXT, 1)
    assert step(client, name, len(TEXT), TEXT[-1]).json() == answers[-1]
    gap = step(client, name, 99, "x")
    assert gap.status_code == 409 and gap.json()["error"]["expected"] == len(TEXT) + 1
    facts = client.get(f"/v1/sessions/{name}").json()
    assert (facts["seq"], facts["position"]) == (len(TEXT), len(TEXT)) and facts["expires"] > facts["created"]
    fork = client.post(f"/v1/sessions/{name}/fork", json={}).json()["session"]
    state = client.get(f"/v1/sessions/{name}/state")
    assert state.headers["seriatim-seq"] == str(len(TEXT)) and state.content.startswith(b"SRTSTATE")
    assert client.put(f"/v1/sessions/{fork}/state", params={"seq": 1}, content=state.content).json()["seq"] == 1
    assert client.delete(f"/v1/sessions/{name}").status_code == 204
    assert client.delete(f"/v1/sessions/{name}").status_code == 204
    assert step(client, name, len(TEXT) + 1, "x").status_code == 410
    assert client.post("/v1/sessions", json={"id": fork}).status_code == 409
    assert step(client, "nobody", 1, "x").status_code == 404


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("/v1/sessions", b'{"id": "a b"}', "id: "),
        ("/v1/sessions", b'{"idd": "a"}', "idd: "),
        ("/v1/sessions", b'{"seed": -1}', "seed: "),
        ("/v1/sessions", b"{", ""),
        ("/v1/sessions", b"[" * 100_000, ""),
        ("/v1/sessions", b"\xff\xfe", ""),
        ("/v1/sessions/a/steps", b'{"seq": 0, "x": "t"}', "seq: "),
        ("/v1/sessions/a/steps", b'{"seq": 1.5, "x": "t"}', "seq: "),
        ("/v1/sessions/a/steps", b'{"seq": "1", "x": "t"}', "seq: "),
        ("/v1/sessions/a/steps", b'{"x": "t"}', "seq: "),
        ("/v1/sessions/a/steps", b'{"seq": 1}', "x: "),
        ("/v1/sessions/a/steps", b'{"seq": 1, "x": "%s"}' % (b"x" * 2000), "x: 2000 characters"),
        ("/v1/predict", b'{"rows": []}', "rows: "),
        ("/v1/predict", b'{"rows": [1]}', "row 1: got int"),
        ("/v1/predict", b'{"rows": ["a"], "ids": ["a"]}', "ids: for forecast models"),
        ("/v1/predict", b'{"rows": ["%s"]}' % (b"x" * 100_001), "row 1: length 100001"),
        ("/v1/generate", b'{"temperature": -1}', "temperature: "),
        ("/v1/generate", b'{"stop": ""}', "stop: "),
        ("/v1/completions", b'{"logprobs": 3}', "logprobs: "),
        ("/v1/completions", b'{"n": 2}', "n: "),
    ],
)
def test_malformed_requests(client, path, content, message):
    response = client.post(path, content=content, headers={"content-type": "application/json"})
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["type"]) == (400, "malformed", "invalid_request_error")
    assert error["message"].startswith(message)


def test_unknown_paths_and_methods(client):
    assert client.get("/v1/nothing").status_code == 404
    assert client.get("/v1/predict").status_code == 405
    assert client.get("/page/../app.py").status_code == 404
    assert client.get("/page/%2e%2e/app.py").status_code == 404


@pytest.mark.parametrize("name", ["classify-max", "regress", "forecast", "tag-crf", "translate", "language-markov"])
def test_predictions_are_those_of_the_model(start_server, name):
    expected = json.loads((GOLDEN / name / "expected.json").read_text())
    with start_server(name).client() as client:
        answer = client.post("/v1/predict", json={"rows": expected["inputs"]}).json()
    model = load(GOLDEN / name)
    assert answer == {
        "model": model.hash[:12],
        "predictions": json.loads(json.dumps(list(model.predict(expected["inputs"])))),
    }


def test_a_forecast_of_a_series_of_the_training(start_server):
    model = load(GOLDEN / "forecast")
    (name, *_) = model._scalers
    history = np.sin(np.arange(60.0)).tolist()
    with start_server("forecast").client() as client:
        answer = client.post("/v1/predict", json={"rows": [history], "ids": [name]}).json()["predictions"]
        session = new_session(client, series=name)
        steps = [step(client, session, seq, value).json()["answer"] for seq, value in enumerate(history, 1)]
    assert answer == [model.forecast(history, id=name)] and steps[-1]["step"] == answer[0]["step"]


def test_a_translation_with_its_alignment(start_server):
    text = "the sea and dog are sun"
    server = start_server("translate")
    with server.client() as client:
        (row,) = client.post("/v1/predict", json={"rows": [text], "alignment": True}).json()["predictions"]
    assert row["alignment"] == server.models.current.model.align(text)
    assert row["alignment"]["source"][:2] == ["the", "sea"]
    with start_server("regress").client() as client:
        assert client.post("/v1/predict", json={"rows": [[[1.0, 2.0]]], "alignment": True}).status_code == 400


def test_models_and_health(client, language_model):
    (facts,) = client.get("/v1/models").json()["data"]
    assert facts["hash"] == language_model.hash and facts["streams"] and facts["task"] == "language"
    assert client.get(f"/v1/models/{facts['id']}").json() == facts
    assert client.get("/v1/models/other").status_code == 404
    assert client.get("/healthz").json() == {"alive": True}
    assert client.get("/readyz").json() == {"ready": True, "warnings": []}


def test_readiness_tells_what_may_be_lost(start_server):
    with start_server(durability="memory").client() as client:
        assert "lost when the server ends" in client.get("/readyz").json()["warnings"][0]


def test_metrics_count_what_happens(start_server):
    server = start_server()
    with server.client() as client:
        name = new_session(client)
        step(client, name, 1, "t"), step(client, name, 1, "t"), step(client, "nobody", 1, "t")
        text = client.get("/metrics").text
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert values["seriatim_steps_total"] == values["seriatim_steps_repeated_total"] == "1"
    assert values["seriatim_sessions_live"] == values["seriatim_sessions_in_memory"] == "1"
    assert values["seriatim_step_seconds_count"] == "3" and values['seriatim_batch_size_bucket{le="1"}'] == "4"
    assert values['seriatim_requests_total{method="POST",status="404"}'] == "1"
    assert float(values["seriatim_step_seconds_sum"]) > 0


def test_openapi_says_which_statuses_there_are(client):
    schema = client.get("/openapi.json").json()
    step_path = schema["paths"]["/v1/sessions/{session}/steps"]["post"]
    assert {"200", "400", "401", "404", "409", "410", "503"} <= set(step_path["responses"])
    assert not any("422" in operation["responses"] for path in schema["paths"].values() for operation in path.values())


def frame(socket, content):
    socket.send(content if isinstance(content, str) else json.dumps(content))
    return json.loads(socket.recv(timeout=60))


def test_websocket_serves_many_sessions(shared_server, language_model):
    with shared_server.socket() as socket:
        created = frame(socket, [{"op": "create", "seed": seed} for seed in range(3)])
        names = [entry["session"] for entry in created]
        outputs = []
        for seq, unit in enumerate(TEXT, 1):
            outputs.append(frame(socket, [{"op": "step", "session": n, "seq": seq, "x": unit} for n in names]))
        for index in range(3):
            assert [best(row[index]) for row in outputs] == answers_alone(language_model, TEXT, index)
        name = names[0]
        assert frame(socket, {"op": "describe", "session": name})["seq"] == len(TEXT)
        state = frame(socket, {"op": "get_state", "session": name})
        assert base64.b64decode(state["state"]).startswith(b"SRTSTATE") and state["seq"] == len(TEXT)
        put = {"op": "put_state", "session": name, "seq": len(TEXT) + 1, "state": state["state"]}
        assert frame(socket, put)["position"] == len(TEXT)
        fork = frame(socket, {"op": "fork", "session": name})["session"]
        assert frame(socket, {"op": "close", "session": fork}) == {}
        gone = frame(socket, {"op": "step", "session": fork, "seq": 1, "x": "t"})["error"]
        assert (gone["status"], gone["code"]) == (410, "session_closed")
        gap = frame(socket, {"op": "step", "session": name, "seq": 77, "x": "t"})["error"]
        assert (gap["status"], gap["expected"]) == (409, len(TEXT) + 2)


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "[", "null", "7", '"step"', "{}", '{"op": "jump"}', '{"op": "step"}', "[1]", '[{"op": "step"}]',
        '{"op": "step", "session": "../x", "seq": 1, "x": "t"}',
        '{"op": "put_state", "session": "a", "seq": 1, "state": "?"}',
        "[" * 50_000, '{"op": "step", "session": "a", "seq": 1e400, "x": NaN}',
        json.dumps({"op": "step", "session": "a", "seq": 1, "x": "x" * 3000}), json.dumps([{"op": "create"}] * 1001),
    ],
)  # fmt: skip
def test_malformed_frames_are_answered_and_the_connection_goes_on(shared_server, content):
    with shared_server.socket() as socket:
        answer = frame(socket, content)
        for entry in answer if isinstance(answer, list) else [answer]:
            assert (entry["error"]["status"], entry["error"]["code"]) == (400, "malformed")
        socket.send(b"\x00\xff")
        assert json.loads(socket.recv())["error"]["message"] == "frame: bytes, wanted text"
        assert "session" in frame(socket, {"op": "create"})


def test_one_bad_operation_of_a_frame_does_not_hurt_the_others(shared_server):
    with shared_server.socket() as socket:
        name = frame(socket, {"op": "create"})["session"]
        step = {"op": "step", "session": name, "x": "t"}
        answers = frame(socket, [step | {"seq": 1}, step | {"seq": "x"}, 7, step | {"seq": 2}])
        assert [answer.get("seq") for answer in answers] == [1, None, None, 2]


def test_oversized_bodies_and_frames(start_server):
    server = start_server(max_body=2000)
    with server.client() as client:
        declared = client.post("/v1/predict", json={"rows": ["x" * 3000]})
        assert declared.status_code == 413 and declared.json()["error"]["code"] == "too_large"
        chunked = client.post("/v1/predict", content=(b"x" * 500 for _ in range(9)))
        assert chunked.status_code == 413
        assert client.post("/v1/predict", json={"rows": ["x" * 1000]}).status_code == 200
    with server.socket() as socket, pytest.raises(ConnectionClosed):
        socket.send("x" * 3000)
        socket.recv(timeout=60)


def test_clients_that_vanish_in_the_middle(shared_server):
    def vanish(index):
        with suppress(OSError), shared_server.socket() as socket:
            name = frame(socket, {"op": "create"})["session"]
            socket.send(json.dumps([{"op": "step", "session": name, "seq": seq, "x": "t"} for seq in range(1, 50)]))
            socket.socket.shutdown(SHUT_RDWR)

    threads = [threading.Thread(target=vanish, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with shared_server.client() as client:
        assert step(client, new_session(client), 1, "t").status_code == 200
