"""The rules of sessions, without a network."""

from __future__ import annotations

import json
from typing import Any

import pytest

from seriatim.runtime import load
from seriatim.serve.models import Models
from seriatim.serve.operations import Close, Create, Describe, Fork, GetState, PutState, Step
from seriatim.serve.refusals import Refusal
from seriatim.serve.sessions import Sessions
from seriatim.serve.sqlite_store import SqliteStore
from seriatim.serve.store import Record, StoreError

from .conftest import GOLDEN, LANGUAGE

TEXT = "to be or not to be, that is the question"


def ask(sessions: Sessions, operation: Any) -> Any:
    """Carry out one operation; a refusal is raised, an answer is decoded."""
    (result,) = sessions.handle([operation])
    if isinstance(result, Refusal):
        raise result
    return json.loads(result) if isinstance(result, bytes) else result


def refusal(sessions: Sessions, operation: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        ask(sessions, operation)
    return caught.value


def answers_alone(model: Any, text: str, seed: int) -> list[Any]:
    """The most probable unit and its log-probability after each unit, by a stream without a server."""
    stream = model.stream(seed=seed)
    rows = [stream.step(unit) for unit in text]
    return [(int(row.argmax()), float(row.max())) for row in rows]


def best(answer: dict[str, Any]) -> tuple[int, float]:
    first = answer["answer"]["next"][0]
    return first["unit"], first["log_probability"]


def test_steps_give_what_the_stream_gives(sessions, language_model):
    ask(sessions, Create("a", seed=1))
    answers = [ask(sessions, Step("a", seq, unit)) for seq, unit in enumerate(TEXT, 1)]
    assert [best(answer) for answer in answers] == answers_alone(language_model, TEXT, 1)
    assert [answer["seq"] for answer in answers] == list(range(1, len(TEXT) + 1))
    assert len(answers[0]["answer"]["next"]) == 5


def test_last_step_repeated_returns_the_stored_answer_and_changes_nothing(sessions):
    ask(sessions, Create("a"))
    first = ask(sessions, Step("a", 1, "t"))
    before = ask(sessions, GetState("a"))
    assert ask(sessions, Step("a", 1, "t")) == first
    assert ask(sessions, GetState("a")) == before
    assert sessions.steps_taken == 1 and sessions.steps_repeated == 1


@pytest.mark.parametrize("seq", [0, 1, 4, 10**15])
def test_a_gap_is_refused_with_the_expected_number(sessions, seq):
    ask(sessions, Create("a"))
    for number in (1, 2):
        ask(sessions, Step("a", number, "t"))
    refused = refusal(sessions, Step("a", seq, "t"))
    assert (refused.status, refused.code, refused.expected) == (409, "wrong_seq", 3)
    assert ask(sessions, Describe("a"))["seq"] == 2


def test_a_number_used_again_for_another_input_is_refused(sessions):
    ask(sessions, Create("a"))
    ask(sessions, Step("a", 1, "t"))
    refused = refusal(sessions, Step("a", 1, "x"))
    assert (refused.status, refused.code, refused.expected) == (409, "seq_reused", 2)


@pytest.mark.parametrize("operation", [Step("b", 1, "t"), GetState("b"), Describe("b"), Close("b"), Fork("b", "c")])
def test_unknown_session(sessions, operation):
    assert (refusal(sessions, operation).status, refusal(sessions, operation).code) == (404, "unknown_session")


def test_existing_session_is_refused(sessions):
    ask(sessions, Create("a"))
    ask(sessions, Step("a", 1, "t"))
    assert refusal(sessions, Create("a")).status == 409
    assert refusal(sessions, Fork("a", "a")).status == 409
    assert ask(sessions, Describe("a"))["seq"] == 1


@pytest.mark.parametrize("x", ["", None, True, 10**6, -1, [1], {}, 1.5])
def test_malformed_input_is_refused_and_does_not_hurt_the_others(sessions, language_model, x):
    for name in "abc":
        ask(sessions, Create(name, seed=1))
    results = sessions.handle([Step("a", 1, "t"), Step("b", 1, x), Step("c", 1, "t")])
    assert isinstance(results[1], Refusal) and results[1].status == 400 and results[1].message.startswith("x: ")
    for result in (results[0], results[2]):
        assert best(json.loads(result)) == answers_alone(language_model, "t", 1)[0]
    assert ask(sessions, Describe("b"))["seq"] == 0


def test_an_error_in_one_step_does_not_hurt_the_others(sessions, monkeypatch):
    for name in "abc":
        ask(sessions, Create(name))
    model = sessions.models.current.model
    whole = type(model).advance

    def advance(self, states, inputs):
        if any(units == model.read_input("n") for units in inputs):
            raise RuntimeError("planted")
        return whole(self, states, inputs)

    monkeypatch.setattr(type(model), "advance", advance)
    results = sessions.handle([Step("a", 1, "t"), Step("b", 1, "n"), Step("c", 1, "t")])
    assert [getattr(result, "status", 200) for result in results] == [200, 500, 200]
    assert ask(sessions, Describe("b"))["seq"] == 0


def test_too_many_sessions(language_models, store):
    sessions = Sessions(language_models, store, max_sessions=2)
    results = sessions.handle([Create("a"), Create("b"), Create("c")])
    assert isinstance(results[2], Refusal) and results[2].status == 503 and results[2].retry_after
    ask(sessions, Close("a"))
    ask(sessions, Create("d"))
    assert refusal(sessions, Fork("b", "e")).code == "too_many_sessions"


@pytest.mark.parametrize("in_memory", [1, 0])
def test_expired_session_is_gone_and_never_begins_anew(language_models, store, in_memory):
    now = [1000.0]
    sessions = Sessions(language_models, store, idle=60, max_in_memory=in_memory, clock=lambda: now[0])
    ask(sessions, Create("a"))
    ask(sessions, Step("a", 1, "t"))
    now[0] += 59
    ask(sessions, Step("a", 2, "t"))
    now[0] += 61
    for operation in (Step("a", 3, "t"), Step("a", 2, "t"), GetState("a"), Fork("a", "b"), PutState("a", 3, b"")):
        assert (refusal(sessions, operation).status, refusal(sessions, operation).code) == (410, "session_expired")
    assert sessions.sweep() == 1 and sessions.live == 0
    assert refusal(sessions, Step("a", 1, "t")).status == 410
    assert refusal(sessions, Create("a")).status == 409
    assert store.read(["a"])["a"].snapshot == b""
    now[0] += 31 * 24 * 3600
    sessions.sweep()
    assert refusal(sessions, Step("a", 1, "t")).status == 404


def test_closed_session_is_gone(sessions):
    ask(sessions, Create("a"))
    ask(sessions, Close("a"))
    assert refusal(sessions, Step("a", 1, "t")).code == "session_closed"
    assert ask(sessions, Close("a")) == {} and sessions.live == 0


def test_fork_has_the_same_past_and_its_own_future(sessions, language_model):
    ask(sessions, Create("a", seed=1))
    for seq, unit in enumerate("to b", 1):
        ask(sessions, Step("a", seq, unit))
    assert ask(sessions, Fork("a", "b"))["seq"] == 0
    assert best(ask(sessions, Step("b", 1, "e"))) == answers_alone(language_model, "to be", 1)[-1]
    assert best(ask(sessions, Step("a", 5, "i"))) == answers_alone(language_model, "to bi", 1)[-1]


def test_state_goes_to_another_server(sessions, tmp_path, language_model):
    ask(sessions, Create("a", seed=1))
    for seq, unit in enumerate("to b", 1):
        ask(sessions, Step("a", seq, unit))
    state = ask(sessions, GetState("a"))
    assert state["seq"] == 4
    other_store = SqliteStore(tmp_path / "other.db")
    other = Sessions(Models(lambda: load(LANGUAGE)), other_store)
    ask(other, Create("b", snapshot=state["snapshot"]))
    assert best(ask(other, Step("b", 1, "e"))) == answers_alone(language_model, "to be", 1)[-1]
    put = PutState("b", 2, state["snapshot"])
    assert ask(other, put) == ask(other, put) == {"session": "b", "seq": 2, "position": 4}
    assert best(ask(other, Step("b", 3, "e"))) == answers_alone(language_model, "to be", 1)[-1]
    damaged = refusal(other, PutState("b", 4, state["snapshot"][:-1]))
    assert damaged.status == 400 and ask(other, Describe("b"))["seq"] == 3
    assert refusal(other, PutState("b", 9, state["snapshot"])).expected == 4
    other_store.close()


def test_hidden_units_and_all_probabilities(sessions):
    ask(sessions, Create("a"))
    answer = ask(sessions, Step("a", 1, "t", top=10**9, hidden=True))
    model = sessions.models.current.model
    assert len(answer["answer"]["next"]) == len(model.vocabulary)
    stream = model.stream()
    stream.step("t")
    assert answer["hidden"] == stream.state.arrays["output"][0].tolist()


def test_ten_in_memory_and_a_thousand_give_equal_outputs(language_models, tmp_path, language_model):
    count, length = 1000, 3
    texts = [(TEXT[index % 20 :] + TEXT)[:length] for index in range(count)]

    def outputs(in_memory: int) -> tuple[list[Any], int]:
        sessions = Sessions(language_models, SqliteStore(tmp_path / "s.db", "memory"), max_in_memory=in_memory)
        sessions.handle([Create(f"s{index}", seed=index) for index in range(count)])
        rows = []
        for seq in range(length):
            for part in range(0, count, 125):
                chosen = range(part, part + 125)
                rows += sessions.handle([Step(f"s{index}", seq + 1, texts[index][seq]) for index in chosen])
            assert sessions.in_memory <= in_memory
        return rows, sessions.paged_in

    (ten, read), (thousand, never_read) = outputs(10), outputs(10_000)
    assert ten == thousand and read >= count and never_read == 0
    for index in range(0, count, 50):
        rows = [best(json.loads(ten[seq * count + index])) for seq in range(length)]
        assert rows == answers_alone(language_model, texts[index], index)


def test_operations_of_one_session_keep_their_order(sessions, language_model):
    operations = [Create("a", seed=1), *(Step("a", seq, unit) for seq, unit in enumerate("to be", 1)), Fork("a", "b")]
    results = sessions.handle([*operations, Step("b", 1, "!"), Close("a"), Describe("a")])
    assert [best(json.loads(result)) for result in results[1:6]] == answers_alone(language_model, "to be", 1)
    assert results[6]["session"] == "b" and json.loads(results[7])["position"] == 6
    assert results[9].status == 410


def test_sessions_survive_another_server(language_models, tmp_path, language_model):
    path = tmp_path / "sessions.db"
    store = SqliteStore(path)
    first = Sessions(language_models, store)
    ask(first, Create("a", seed=1))
    last = [ask(first, Step("a", seq, unit)) for seq, unit in enumerate("to b", 1)][-1]
    store.close()
    store = SqliteStore(path)
    second = Sessions(language_models, store)
    assert second.live == 1
    assert ask(second, Step("a", 4, "b")) == last
    assert best(ask(second, Step("a", 5, "e"))) == answers_alone(language_model, "to be", 1)[-1]
    store.close()


class FailingStore(SqliteStore):
    """A store whose next commit fails, either before or after it has written."""

    fails = ""

    def commit(self, writes):
        fails, self.fails = self.fails, ""
        if fails == "before":
            raise StoreError("planted")
        result = super().commit(writes)
        if fails == "after":
            raise StoreError("planted")
        return result


def test_what_was_stored_without_an_acknowledgement_stays(language_models, tmp_path):
    store = FailingStore(tmp_path / "sessions.db")
    sessions = Sessions(language_models, store)
    ask(sessions, Create("a"))
    store.fails = "after"
    assert refusal(sessions, Step("a", 1, "t")).code == "store_failed"
    assert refusal(sessions, Step("a", 1, "x")).code == "seq_reused"
    assert ask(sessions, Step("a", 1, "t"))["seq"] == 1
    store.close()


def test_an_answer_that_cannot_be_written_takes_no_step(sessions, language_model, monkeypatch):
    for name in "abc":
        ask(sessions, Create(name, seed=1))
    answers = sessions.models.current.answers
    whole = type(answers).encode

    def encode(self, name, *rest):
        if name == "b":
            raise RuntimeError("planted")
        return whole(self, name, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(type(answers), "encode", encode)
        results = sessions.handle([Step(name, 1, "t") for name in "abc"])
    assert [getattr(result, "status", 200) for result in results] == [200, 500, 200]
    for name, seq, unit in (("a", 2, "o"), ("b", 1, "t"), ("b", 2, "o"), ("c", 2, "o")):
        answer = ask(sessions, Step(name, seq, unit))
    assert best(answer) == answers_alone(language_model, "to", 1)[-1]
    assert best(ask(sessions, Step("b", 2, "o"))) == answers_alone(language_model, "to", 1)[-1]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_failed_commit_acknowledges_nothing_and_the_step_may_be_sent_again(
    language_models, tmp_path, language_model, moment
):
    store = FailingStore(tmp_path / "sessions.db")
    sessions = Sessions(language_models, store)
    ask(sessions, Create("a", seed=1))
    ask(sessions, Step("a", 1, "t"))
    store.fails = moment
    refused = refusal(sessions, Step("a", 2, "o"))
    assert (refused.status, refused.code, refused.retry_after) == (503, "store_failed", 1)
    assert best(ask(sessions, Step("a", 2, "o"))) == answers_alone(language_model, "to", 1)[-1]
    assert ask(sessions, Describe("a"))["seq"] == 2
    store.close()


def test_reloading_an_equal_model_keeps_sessions_and_another_one_drains_them(store, language_model):
    folders = [LANGUAGE, LANGUAGE, GOLDEN / "language-highway"]
    models = Models(lambda: load(folders.pop(0)))
    sessions = Sessions(models, store)
    ask(sessions, Create("a", seed=1))
    ask(sessions, Step("a", 1, "t"))
    assert not models.reload() and len(models.all()) == 1
    assert models.reload()
    assert best(ask(sessions, Step("a", 2, "o"))) == answers_alone(language_model, "to", 1)[-1]
    ask(sessions, Create("b"))
    assert store.read(["b"])["b"].model == models.current.hash != store.read(["a"])["a"].model
    together = sessions.handle([Step("a", 3, " "), Step("b", 1, "t")])
    assert best(json.loads(together[0])) == answers_alone(language_model, "to ", 1)[-1]
    sessions.sweep()
    assert len(models.all()) == 2
    ask(sessions, Close("a"))
    sessions.sweep()
    assert [served.hash for served in models.all()] == [models.current.hash]


def test_a_session_of_a_model_that_is_not_there_is_refused_and_kept(store):
    models = Models(lambda: load(LANGUAGE))
    ask(Sessions(models, store), Create("a"))
    other = Sessions(Models(lambda: load(GOLDEN / "language-highway")), store)
    assert (refusal(other, Step("a", 1, "t")).status, refusal(other, Step("a", 1, "t")).code) == (409, "other_model")
    assert ask(Sessions(models, store), Step("a", 1, "t"))["seq"] == 1


def test_a_damaged_stored_state_is_refused_and_never_replaced(sessions, store):
    ask(sessions, Create("a"))
    record: Record = store.read(["a"])["a"]
    store._connection.execute("UPDATE sessions SET snapshot=? WHERE id='a'", (record.snapshot[:-1],))
    other = Sessions(sessions.models, store)
    assert (refusal(other, Step("a", 1, "t")).status, refusal(other, Step("a", 1, "t")).code) == (500, "state_damaged")


@pytest.mark.parametrize(
    ("name", "xs"),
    [
        ("classify-max", ["the", "sea", "is"]),
        ("classify-numbers", [[1.0, 2.0], [0.5, -1.0]]),
        ("regress", [[1.0, 2.0], [0.5, -1.0]]),
        ("tag-naive", ["The", "dog"]),
        ("language-markov", ["t", "o"]),
    ],
)
def test_other_tasks(store, name, xs):
    model = load(GOLDEN / name)
    sessions = Sessions(Models(lambda: model), store)
    ask(sessions, Create("a"))
    stream = model.stream()
    for seq, x in enumerate(xs, 1):
        answer, alone = ask(sessions, Step("a", seq, x))["answer"], stream.step(x)
        if isinstance(alone, dict):
            assert answer == alone
        else:
            assert answer["next"][0]["log_probability"] == alone.max()


def test_a_translation_is_written_step_by_step(store):
    model = load(GOLDEN / "translate")
    sessions = Sessions(Models(lambda: model), store)
    ask(sessions, Create("a"))
    stream = model.stream()
    source, count = "the sea and dog are sun", len(model.script)
    for seq, x in enumerate((source, 3, model.script.vocabulary.tokens[4]), 1):
        answer, alone = ask(sessions, Step("a", seq, x, top=10**6)), stream.step(x)
        units = {entry["unit"]: entry for entry in answer["answer"]["next"]}
        assert [units[unit]["log_probability"] for unit in range(count + 1)] == alone.tolist()
        assert units[count]["text"] is None and units[4]["text"] == model.script.vocabulary.tokens[4]
    assert refusal(sessions, Step("a", 4, count)).status == 400
    assert refusal(sessions, Step("a", 4, [1])).status == 400


def test_forecaster_answers_null_until_its_window_is_full(store):
    model = load(GOLDEN / "forecast")
    sessions = Sessions(Models(lambda: model), store)
    refused = refusal(sessions, Create("a", series="nobody"))
    assert refused.status == 400 and "no series 'nobody'" in refused.message
    ask(sessions, Create("a"))
    operations = [Step("a", seq, [seq / 10]) for seq in range(1, model.lookback + 1)]
    answers = [json.loads(result)["answer"] for result in sessions.handle(operations)]
    assert answers[:-1] == [None] * (model.lookback - 1) and answers[-1]["step"] == list(range(1, model.horizon + 1))


def test_a_model_without_streams_is_refused(store):
    sessions = Sessions(Models(lambda: load(GOLDEN / "classify-both")), store)
    assert refusal(sessions, Create("a")).status == 400
    language = Sessions(Models(lambda: load(LANGUAGE)), store)
    assert "series: for forecast models" in refusal(language, Create("a", series="x")).message
