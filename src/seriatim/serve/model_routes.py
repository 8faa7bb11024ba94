"""Predictions, the models, and the state of the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Response
from pydantic_core import to_json

from seriatim.serve import refusals
from seriatim.serve.inputs import check_length
from seriatim.serve.refusals import Refusal
from seriatim.serve.schemas import NewPrediction
from seriatim.serve.service import Service
from seriatim.serve.store import StoreError


def model_routes(service: Service) -> APIRouter:
    """Return the routes of predictions, models and health."""
    router = APIRouter()

    @router.post("/v1/predict", tags=["predictions"])
    async def predict(body: NewPrediction) -> Response:
        """Predict for each row, as `seriatim predict` does."""
        model = service.models.current.model
        for number, row in enumerate(body.rows, 1):
            check_length(f"row {number}", row, service.options.max_length)
        rows: list[Any] = body.rows
        if body.ids is not None:
            if model.task != "forecast" or len(body.ids) != len(rows):
                raise refusals.malformed(f"ids: for forecast models, and one for each of the {len(rows)} rows")
            rows = list(zip(body.ids, rows, strict=True))
        align: Callable[[str], Any] | None = getattr(model, "align", None)
        if body.alignment and align is None:
            raise refusals.malformed(f"alignment: for translate models; this is a {model.task} model")

        def run() -> list[Any]:
            predictions = list(model.predict(rows))
            if body.alignment and align is not None:
                predictions = [row | {"alignment": align(row["source"])} for row in predictions]
            return predictions

        predictions = await service.work(run)
        content = {"model": model.hash[:12], "predictions": predictions}
        return Response(to_json(content, inf_nan_mode="null"), media_type="application/json")

    @router.get("/v1/models", tags=["models"])
    async def models() -> dict[str, Any]:
        """List the current model, and those that only finish their sessions."""
        listed = [served.to_json() for served in service.models.all()]
        for entry in listed[1:]:
            entry["draining"] = True
        return {"object": "list", "data": listed}

    @router.get("/v1/models/{model}", tags=["models"])
    async def one_model(model: str) -> dict[str, Any]:
        """Describe one model."""
        for served in service.models.all():
            if model in (served.hash, served.hash[:12], served.model.name):
                return served.to_json()
        raise Refusal(404, "model_not_found", "model: not on this server; see /v1/models")

    @router.get("/healthz", tags=["server"])
    async def health() -> dict[str, bool]:
        """Whether the server answers at all."""
        return {"alive": True}

    @router.get("/readyz", tags=["server"])
    async def ready() -> dict[str, Any]:
        """Whether the server can take steps, and in which ways an acknowledged step may be lost."""
        try:
            warnings = await service.within_time(service.batcher.call(service.store.warnings))
        except StoreError as error:
            raise refusals.store_failed(str(error)) from None
        return {"ready": True, "warnings": warnings}

    @router.get("/metrics", tags=["server"], responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """The figures of the server in Prometheus' text format."""
        return Response(metrics_text(service), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router


def metrics_text(service: Service) -> str:
    """Return the figures of the server."""
    sessions = service.sessions
    counters = {
        "seriatim_steps_total": ("Steps that were taken.", sessions.steps_taken),
        "seriatim_steps_repeated_total": ("Steps that were answered from the store.", sessions.steps_repeated),
        "seriatim_paged_in_total": ("Sessions that were read from the store.", sessions.paged_in),
    }
    gauges = {
        "seriatim_sessions_live": ("Live sessions in the store.", sessions.live),
        "seriatim_sessions_in_memory": ("Sessions whose state is in memory.", sessions.in_memory),
        "seriatim_operations_waiting": ("Operations that wait for a batch.", service.batcher.waiting),
        "seriatim_models": ("Models, with those that only finish their sessions.", len(service.models.all())),
    }
    return service.metrics.text(counters, gauges)
