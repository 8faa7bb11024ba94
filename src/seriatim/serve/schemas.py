"""The bodies of requests. An unknown field is refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Whole = Annotated[int, BeforeValidator(lambda value: int(value) if _is_whole(value) else value)]
"""A whole number, which JSON may write as 1.0."""

SessionId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._~-]{1,128}$", description="letters, digits and . _ ~ -")]
Seq = Annotated[Whole, Field(ge=1, le=2**53, description="number of the step: 1 for the first, then the next one")]
Seed = Annotated[Whole, Field(ge=0, le=2**63 - 1)]
LONGEST_TEXT = 1024
"""Characters of one step."""
LARGEST_STEP = 65_536
"""Numbers of one step."""


def _is_whole(value: object) -> bool:
    return isinstance(value, float) and value.is_integer()


class Body(BaseModel):
    """A body that refuses unknown fields and does not convert types."""

    model_config = ConfigDict(extra="forbid", strict=True)


class NewSession(Body):
    """A session to create."""

    id: SessionId | None = Field(None, description="id of the session; by default a random one")
    seed: Seed | None = Field(None, description="seed of what the stream will draw")
    series: str | None = Field(None, max_length=1000, description="forecasters: a series of the training")


class NewStep(Body):
    """A step to take."""

    seq: Seq
    x: Any = Field(description="text, number of a unit, values of a row, or word: what `Stream.step` reads")
    top: Whole = Field(5, ge=1, le=1_000_000, description="language models: how many of the next units to answer")
    hidden: bool = Field(False, description="answer the hidden units of the last layer too")


class NewFork(Body):
    """A session that begins with the state of another one."""

    to: SessionId | None = Field(None, description="id of the new session; by default a random one")


class NewPrediction(Body):
    """Rows to predict for."""

    rows: list[Any] = Field(min_length=1, max_length=1000, description="what `Model.predict` reads")
    ids: list[str] | None = Field(None, description="series of a forecaster's training, one for each row")
    alignment: bool = Field(False, description="translate: also the attention weights, where the model has them")


class NewText(Body):
    """A text to write, with the options of `seriatim generate`."""

    prompt: str = ""
    length: Whole = Field(500, ge=0, le=10_000, description="maximum number of units")
    temperature: float = Field(1.0, ge=0, le=100, allow_inf_nan=False)
    top_k: Whole = Field(0, ge=0, le=2**31)
    top_p: float = Field(1.0, gt=0, le=1)
    repetition_penalty: float = Field(1.0, gt=0, le=1000)
    stop: str | list[str] = Field(default_factory=list, max_length=1000)
    seed: Seed | None = None
    stream: bool = Field(False, description="send pieces as server-sent events")


class StreamOptions(Body):
    """OpenAI's `stream_options`."""

    include_usage: bool = False


class NewCompletion(Body):
    """OpenAI's request of a completion. A token is a unit of the model's text. Other fields are refused."""

    model: str | None = None
    prompt: str | list[str] = ""
    max_tokens: Whole | None = Field(16, ge=0, le=10_000)
    temperature: float | None = Field(1.0, ge=0, le=2, allow_inf_nan=False)
    top_p: float | None = Field(1.0, gt=0, le=1)
    top_k: Whole = Field(0, ge=0, le=2**31)
    repetition_penalty: float = Field(1.0, gt=0, le=1000)
    stop: str | list[str] | None = Field(None, max_length=1000)
    seed: Seed | None = None
    echo: bool | None = False
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = 1
    best_of: Literal[1] | None = 1
    user: str | None = None


class CreateFrame(NewSession):
    """A frame that creates a session."""

    op: Literal["create"]


class StepFrame(NewStep):
    """A frame that takes a step."""

    op: Literal["step"]
    session: SessionId


class ForkFrame(NewFork):
    """A frame that forks a session."""

    op: Literal["fork"]
    session: SessionId


class CloseFrame(Body):
    """A frame that closes a session."""

    op: Literal["close"]
    session: SessionId


class DescribeFrame(Body):
    """A frame that asks for the number of the last step."""

    op: Literal["describe"]
    session: SessionId


class GetStateFrame(Body):
    """A frame that asks for the state."""

    op: Literal["get_state"]
    session: SessionId


class PutStateFrame(Body):
    """A frame that replaces the state; this counts as a step."""

    op: Literal["put_state"]
    session: SessionId
    seq: Seq
    state: str = Field(description="the state in base64")


Frame = Annotated[
    CreateFrame | StepFrame | ForkFrame | CloseFrame | DescribeFrame | GetStateFrame | PutStateFrame,
    Field(discriminator="op"),
]
