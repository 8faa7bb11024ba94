"""Requests that schemathesis makes from the server's own description: no crash, and only answers that it names."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

schemathesis = pytest.importorskip("schemathesis")
checks = pytest.importorskip("schemathesis.specs.openapi.checks")


def test_every_operation_answers_as_described(shared_server):
    schema = schemathesis.openapi.from_url(f"{shared_server.url}/openapi.json")
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) == 15
    for operation in operations:
        for mode in schemathesis.GenerationMode:
            strategy = operation.as_strategy(generation_mode=mode)

            @settings(
                max_examples=8, deadline=None, derandomize=True, database=None,
                phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck),
            )  # fmt: skip
            @given(case=strategy)
            def check(case):
                # What the model can read is not in the description: it may refuse a text or a state.
                case.call_and_validate(timeout=60, excluded_checks=[checks.positive_data_acceptance])

            with suppress(Unsatisfiable):  # an operation without fields has no wrong requests
                check()
    with shared_server.client() as client:
        assert client.get("/readyz").json()["ready"]
