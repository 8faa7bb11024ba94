"""The units of a text: characters, words or byte pairs; a model reads one per step.

A unit is a fitted list of tokens that converts text to ids and back. ``<unk>`` is always id 0.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from seriatim.errors import MissingExtra, UsageError

Ids = NDArray[np.int32]

UNK: Final = "<unk>"
EOS: Final = "<eos>"


class Unit(ABC):
    """A fitted tokenizer."""

    tokens: list[str]
    """All tokens; the index of a token is its id."""

    @abstractmethod
    def encode(self, text: str) -> Ids:
        """Convert text to ids ``[N]``; an unknown token is 0."""

    @abstractmethod
    def decode(self, ids: Sequence[int]) -> str:
        """Convert ids to text."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Return everything that ``from_json`` needs, as plain JSON values."""

    @classmethod
    @abstractmethod
    def fit(cls, texts: Iterable[str], size: int | None, lines: bool) -> Unit:
        """Learn at most ``size`` tokens, including ``<unk>``, from ``texts``."""

    @classmethod
    @abstractmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Unit:
        """Rebuild a unit; raises ``ValueError`` if ``stored`` is damaged."""


@final
class Characters(Unit):
    """Unicode code points."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self.tokens = _checked(tokens)
        if any(len(token) != 1 for token in self.tokens[1:]):
            raise ValueError("a token of a character vocabulary is not one character")
        codes = [ord(token) for token in self.tokens[1:]]
        # One slot more than the largest code: all larger codes use it, and it stays <unk>.
        self._ids = np.zeros(max(codes, default=0) + 2, dtype=np.int32)
        self._ids[codes] = np.arange(1, len(self.tokens), dtype=np.int32)

    @classmethod
    def fit(cls, texts: Iterable[str], size: int | None, lines: bool) -> Characters:
        return cls(_commonest(texts, size))

    def encode(self, text: str) -> Ids:
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
        ids: Ids = self._ids[np.minimum(codes, len(self._ids) - 1)]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(map(self.tokens.__getitem__, ids))

    def to_json(self) -> dict[str, Any]:
        return {"tokens": self.tokens}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Characters:
        return cls(stored["tokens"])


@final
class Words(Unit):
    """Tokens separated by white space; with ``lines``, each line end is the token ``<eos>``."""

    def __init__(self, tokens: Sequence[str], lines: bool) -> None:
        self.tokens = _checked(tokens)
        self.lines = lines
        self._ids = {token: index for index, token in enumerate(self.tokens)}

    @classmethod
    def fit(cls, texts: Iterable[str], size: int | None, lines: bool) -> Words:
        return cls(_commonest((_words(text, lines) for text in texts), size), lines)

    def encode(self, text: str) -> Ids:
        ids = self._ids
        return np.array([ids.get(word, 0) for word in _words(text, self.lines)], dtype=np.int32)

    def decode(self, ids: Sequence[int]) -> str:
        text = " ".join(map(self.tokens.__getitem__, ids))
        if not self.lines:
            return text
        return re.sub(rf"(?:(?<=\s)|^){EOS}(?=\s|$)", "\n", text).replace("\n ", "\n").replace(" \n", "\n")

    def to_json(self) -> dict[str, Any]:
        return {"tokens": self.tokens, "lines": self.lines}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Words:
        if not isinstance(stored["lines"], bool):
            raise ValueError("'lines' is not true or false")
        return cls(stored["tokens"], stored["lines"])


@final
class BytePairs(Unit):
    """Byte-level byte pairs (Sennrich 2016; bytes as in Radford 2019); no text is unknown."""

    DEFAULT_SIZE: Final = 4096
    SMALLEST: Final = 257  # <unk> and the 256 bytes
    PIECE: Final = 1 << 20

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.tokens = _checked([tokenizer.id_to_token(index) for index in range(tokenizer.get_vocab_size())])

    @classmethod
    def fit(cls, texts: Iterable[str], size: int | None, lines: bool) -> BytePairs:
        """Raises ``UsageError`` for a size below 257, ``MissingExtra`` without the ``tokenizers`` library."""
        size = cls.DEFAULT_SIZE if size is None else size
        if size < cls.SMALLEST:
            raise UsageError(f"vocab_size: got {size}, wanted at least {cls.SMALLEST} for bpe ({UNK} and 256 bytes)")
        tokenizers = _tokenizers()
        tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
        tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = tokenizers.decoders.ByteLevel()
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=size,
            special_tokens=[UNK],
            initial_alphabet=sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        tokenizer.train_from_iterator((piece for text in texts for piece in _pieces(text, cls.PIECE)), trainer)
        return cls(tokenizer)

    def encode(self, text: str) -> Ids:
        pieces = [np.array(self._tokenizer.encode(piece).ids, dtype=np.int32) for piece in _pieces(text, self.PIECE)]
        return np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.int32)

    def decode(self, ids: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=False)
        return text

    def to_json(self) -> dict[str, Any]:
        return {"tokenizer": json.loads(self._tokenizer.to_str())}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> BytePairs:
        text = json.dumps(stored["tokenizer"])
        tokenizers = _tokenizers()
        try:
            tokenizer = tokenizers.Tokenizer.from_str(text)
        except Exception as error:  # the library raises a bare Exception
            raise ValueError(f"the stored tokenizer cannot be read: {error}") from None
        return cls(tokenizer)


UNITS: Final[dict[str, type[Unit]]] = {"char": Characters, "word": Words, "bpe": BytePairs}


def _tokenizers() -> Any:
    try:
        return import_module("tokenizers")
    except ImportError:
        raise MissingExtra("--unit bpe", "bpe") from None


def _words(text: str, lines: bool) -> list[str]:
    return (text.replace("\n", f" {EOS} ") if lines else text).split()


def _commonest(texts: Iterable[Iterable[str]], size: int | None) -> list[str]:
    """Return ``<unk>``, then the most common tokens; of equally common ones, those that appear first."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    counts.pop(UNK, None)
    tokens = sorted(counts, key=lambda token: -counts[token])  # stable, and a Counter keeps order of appearance
    return [UNK, *(tokens if size is None else tokens[: max(size - 1, 0)])]


def _checked(tokens: object) -> list[str]:
    if not isinstance(tokens, (list, tuple)) or not all(isinstance(token, str) for token in tokens):
        raise ValueError("the tokens are not a list of strings")
    if not tokens or tokens[0] != UNK:
        raise ValueError(f"the first token is not {UNK}")
    if len(set(tokens)) != len(tokens):
        raise ValueError("a token occurs twice")
    return list(tokens)


def _pieces(text: str, length: int) -> Iterator[str]:
    """Cut a long text before single line ends, which no byte pair crosses, so that memory stays small."""
    single = re.compile(r"(?<=\S)\n(?=\S)")
    start = 0
    while len(text) - start > length:
        cut = single.search(text, start + length)
        if cut is None:
            break
        yield text[start : cut.start()]
        start = cut.start()
    if start < len(text):
        yield text[start:]
