"""Texts over HTTP: generate, and completions with OpenAI's own client."""

from __future__ import annotations

import json
import time

import pytest

from seriatim.serve import events

openai = pytest.importorskip("openai")


@pytest.fixture
def client(shared_server):
    with openai.OpenAI(base_url=f"{shared_server.url}/v1", api_key="unused", max_retries=0) as opened:
        yield opened


def written(model, prompt, length, **options):
    return "".join(model.generate(prompt, length=length, **options))


def test_openai_client_gets_the_text_of_the_model(client, language_model):
    name = client.models.list().data[0].id
    answer = client.completions.create(model=name, prompt="to be", max_tokens=40, seed=7, temperature=0.7)
    (choice,) = answer.choices
    assert choice.text == written(language_model, "to be", 40, seed=7, temperature=0.7)
    assert choice.finish_reason == "length" and answer.object == "text_completion"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (5, 40, 45)


def test_openai_client_streams(client, language_model):
    stream = client.completions.create(
        model="lstm", prompt="to be", max_tokens=200, seed=7, stream=True, stream_options={"include_usage": True}
    )
    parts = list(stream)
    assert "".join(part.choices[0].text for part in parts if part.choices) == written(
        language_model, "to be", 200, seed=7
    )
    assert [part.choices[0].finish_reason for part in parts if part.choices][-1] == "length"
    assert parts[-1].usage.completion_tokens == 200 and parts[-1].choices == []


@pytest.mark.parametrize("stream", [False, True])
def test_stop_strings_say_why_the_text_ended(client, language_model, stream):
    whole = written(language_model, "to be", 200, seed=7)
    stop = whole[30:32]
    answer = client.completions.create(
        model="lstm", prompt="to be", max_tokens=200, seed=7, stop=[stop, "never there"], stream=stream
    )
    parts = list(answer) if stream else [answer]
    assert "".join(part.choices[0].text for part in parts) == whole[: whole.index(stop)]
    assert parts[-1].choices[0].finish_reason == "stop"
    exactly = client.completions.create(
        model="lstm", prompt="to be", max_tokens=whole.index(stop) + 2, seed=7, stop=stop
    )
    assert exactly.choices[0].finish_reason == "stop"


def test_several_prompts_and_echo(client, language_model):
    answer = client.completions.create(model="lstm", prompt=["to", "be"], max_tokens=5, seed=1, echo=True)
    assert [choice.text for choice in answer.choices] == [
        prompt + written(language_model, prompt, 5, seed=1) for prompt in ("to", "be")
    ]
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert client.completions.create(model="lstm", prompt="", max_tokens=0).choices[0].text == ""


def test_errors_are_those_of_the_openai_client(client, start_server):
    with pytest.raises(openai.NotFoundError):
        client.completions.create(model="other", prompt="x")
    with pytest.raises(openai.BadRequestError, match="logit_bias"):
        client.completions.create(model="lstm", prompt="x", logit_bias={"1": 2})
    guarded = start_server(api_key="a-key-of-sixteen-characters")
    with (
        openai.OpenAI(base_url=f"{guarded.url}/v1", api_key="wrong", max_retries=0) as wrong,
        pytest.raises(openai.AuthenticationError),
    ):
        wrong.completions.create(model="lstm", prompt="x")
    with openai.OpenAI(base_url=f"{guarded.url}/v1", api_key="a-key-of-sixteen-characters") as right:
        assert right.completions.create(model="lstm", prompt="x").choices[0].text
    url = f"{start_server('regress').url}/v1"
    with (
        openai.OpenAI(base_url=url, api_key="x", max_retries=0) as other,
        pytest.raises(openai.BadRequestError, match="this is a regress model"),
    ):
        other.completions.create(model="lstm", prompt="x")


def test_events_have_ids_and_end(shared_server):
    with (
        shared_server.client() as client,
        client.stream("POST", "/v1/completions", json={"prompt": "to", "max_tokens": 300, "stream": True}) as response,
    ):
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["x-accel-buffering"] == "no" and response.headers["cache-control"] == "no-store"
        lines = [line for line in response.iter_lines() if line]
    assert [int(line[4:]) for line in lines if line.startswith("id: ")] == list(range(1, len(lines) // 2 + 1))
    assert lines[-1] == "data: [DONE]"


def test_silence_is_broken_by_heartbeats(start_server, monkeypatch):
    monkeypatch.setattr(events, "HEARTBEAT", 0.02)
    server = start_server()
    whole = events.take_chunk
    monkeypatch.setattr(events, "take_chunk", lambda pieces: time.sleep(0.2) or whole(pieces))
    with server.client() as client:
        text = client.post("/v1/generate", json={"length": 3, "stream": True}).text
    assert text.startswith(": keep-alive\n\n: keep-alive\n\n") and text.endswith("data: [DONE]\n\n")


def test_a_stream_that_takes_too_long_ends_with_an_error(start_server, monkeypatch):
    monkeypatch.setattr(events, "CHUNK", 0.0)
    server = start_server(timeout=1.0)
    with server.client() as client:
        text = client.post("/v1/generate", json={"length": 10_000, "stream": True}).text
        assert 'event: error\ndata: {"error":{"code":"timeout"' in text and "[DONE]" not in text
        assert client.post("/v1/generate", json={"length": 10_000}).status_code == 504


def test_generate_gives_the_text_of_the_model(shared_server, language_model):
    options = {"length": 50, "seed": 3, "top_k": 4, "temperature": 0.5, "stop": ["zz"]}
    with shared_server.client() as client:
        answer = client.post("/v1/generate", json={"prompt": "to be", **options}).json()
        streamed = client.post("/v1/generate", json={"prompt": "to be", "stream": True, **options}).text
    expected = written(language_model, "to be", **options)
    assert answer == {"text": expected, "model": language_model.hash[:12]}
    data = [json.loads(line[6:]) for line in streamed.splitlines() if line.startswith("data: {")]
    assert "".join(part["text"] for part in data) == expected


def test_translations(start_server):
    server = start_server("translate")
    with server.client() as client:
        answer = client.post("/v1/generate", json={"prompt": "the sea and dog are sun", "temperature": 0.0}).json()
        refused = client.post("/v1/generate", json={"prompt": " "})
    expected = written(server.models.current.model, "the sea and dog are sun", 500, temperature=0.0)
    assert answer["text"] == expected and refused.status_code == 400


def test_models_that_write_nothing(start_server):
    with start_server("classify-max").client() as client:
        response = client.post("/v1/generate", json={"prompt": "x"})
    assert response.status_code == 400 and "for models that write text" in response.json()["error"]["message"]
