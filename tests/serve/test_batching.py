"""The loop that runs operations as batches."""

from __future__ import annotations

import asyncio
import json

import pytest

from seriatim.serve import batching
from seriatim.serve.batching import Batcher
from seriatim.serve.metrics import Metrics
from seriatim.serve.operations import Create, Describe, Step
from seriatim.serve.refusals import Refusal
from seriatim.serve.sessions import Sessions

from .test_sessions import answers_alone, best

TEXT = "to be or not"


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 60))


def test_steps_that_arrive_together_run_as_one_batch(sessions, language_model):
    sizes = []
    whole = sessions.handle
    sessions.handle = lambda operations: sizes.append(len(operations)) or whole(operations)

    async def main():
        batcher = Batcher(sessions, Metrics())
        batcher.start()
        await asyncio.gather(*(batcher.submit(Create(f"s{i}", seed=i)) for i in range(20)))

        async def client(index):
            return [best(json.loads(await batcher.submit(Step(f"s{index}", n, u)))) for n, u in enumerate(TEXT, 1)]

        outputs = await asyncio.gather(*map(client, range(20)))
        await batcher.stop()
        return outputs, batcher.metrics.text({}, {})

    outputs, text = run(main())
    assert outputs == [answers_alone(language_model, TEXT, index) for index in range(20)]
    assert sum(sizes) == 20 * 13 and max(sizes) == 20
    assert f"seriatim_step_seconds_count {20 * 12}" in text and f"seriatim_batch_size_count {len(sizes)}" in text


def test_a_client_that_went_away_does_not_stop_the_others(sessions):
    async def main():
        batcher = Batcher(sessions, Metrics())
        batcher.start()
        await batcher.submit(Create("a"))
        gone = batcher.submit(Step("a", 1, "t"))
        gone.cancel()
        answer = json.loads(await batcher.submit(Step("a", 2, "o")))
        await batcher.stop()
        return answer

    assert run(main())["seq"] == 2


def test_stopping_finishes_what_waits_and_refuses_the_rest(sessions):
    async def main():
        batcher = Batcher(sessions, Metrics())
        batcher.start()
        futures = [batcher.submit(Create(f"s{index}")) for index in range(600)]
        await batcher.stop()
        assert all(future.result()["seq"] == 0 for future in futures)
        with pytest.raises(Refusal, match="stopping"):
            batcher.submit(Create("late"))

    run(main())


def test_a_full_queue_is_refused(sessions, monkeypatch):
    monkeypatch.setattr(batching, "LONGEST_QUEUE", 3)

    async def main():
        batcher = Batcher(sessions, Metrics())
        batcher._loop = asyncio.get_running_loop()  # the thread does not run yet
        for index in range(3):
            batcher.submit(Create(f"s{index}"))
        with pytest.raises(Refusal, match="3 operations wait") as caught:
            batcher.submit(Create("x"))
        assert caught.value.retry_after and batcher.waiting == 3
        batcher.start()
        await batcher.stop()

    run(main())


def test_an_error_of_a_batch_reaches_its_clients(sessions, monkeypatch):
    monkeypatch.setattr(sessions, "_round", lambda operations: 1 / 0)

    async def main():
        batcher = Batcher(sessions, Metrics())
        batcher.start()
        with pytest.raises(Refusal, match="an error of the server"):
            await batcher.submit(Describe("a"))
        with pytest.raises(ZeroDivisionError):
            await batcher.call(lambda: 1 / 0)
        assert await batcher.call(lambda: 7) == 7
        await batcher.stop()

    run(main())


def test_idle_sessions_are_ended_by_the_loop(language_models, store):
    now = [0.0]
    sessions = Sessions(language_models, store, idle=10, clock=lambda: now[0])

    async def main():
        batcher = Batcher(sessions, Metrics(), sweep_every=0.02)
        batcher.start()
        await batcher.submit(Create("a"))
        now[0] = 100.0
        for _ in range(500):
            await asyncio.sleep(0.01)
            if not sessions.live:
                break
        await batcher.stop()

    run(main())
    assert sessions.live == 0 and sessions.in_memory == 0
