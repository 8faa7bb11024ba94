"""``tag``: a tag for each word of a sentence. Many to many, aligned."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, final

import numpy as np
import torch

from seriatim.data.files import content_hash
from seriatim.data.splits import Indices
from seriatim.data.tagged import TagColumns, Tagged, read_tagged
from seriatim.learning.checkpoint_store import CheckpointStore
from seriatim.learning.loop import Outcome, TrainingPlan, fit
from seriatim.learning.observer import Observer
from seriatim.models.contract import Trainable
from seriatim.models.naive.frequent_tag import MostFrequentTag
from seriatim.models.tagger import TagBatch, Tagger
from seriatim.tasks.common.entities import are_entities, entity_f1
from seriatim.tasks.common.epochs import Epoch, epochs, in_order
from seriatim.tasks.common.fitting import closed_form
from seriatim.tasks.common.parts import PARTS, read_parts
from seriatim.tasks.common.sentences import Sentences, TagReader
from seriatim.tasks.options import TAG_BASELINES, TagOptions
from seriatim.tasks.task import Fresh, Model, Prepared, Row, Scores, Task, Words

Array = np.ndarray[Any, Any]

EVALUATION_BATCH = 128
EVALUATION_TOKENS = 8192


@final
class Tag(Task[TagOptions, Sentences, TagReader]):
    """Taggers: recurrent with characters and a CRF, and the word's most frequent tag."""

    name = "tag"
    options = TagOptions
    main_score = "accuracy"
    higher_is_better = True
    baselines = TAG_BASELINES
    neural_baselines = ()
    piped_format = "txt"
    codec_files = ("vocabulary.json",)

    def check(self, options: TagOptions) -> None:
        pass

    def prepare(
        self, options: TagOptions, source: object, codec: TagReader | None = None
    ) -> Prepared[Sentences, TagReader]:
        parts = read_parts(options, source, lambda one: _read(options, one), mend=_known)
        reader = codec or TagReader.fit(options, parts.train)
        train, valid, test = (reader.labelled(getattr(parts, name), name) for name in PARTS)
        return Prepared(train, valid, test, reader, parts.sizes, parts.hash, parts.notes)

    def read(self, options: TagOptions, codec: TagReader, source: object) -> Fresh[Sentences]:
        tagged = _read(options, source)
        return Fresh(codec.labelled(tagged, "new"), len(tagged), content_hash(tagged.content))

    def from_lines(self, text: str) -> object:
        return [line for line in text.splitlines() if line.strip()]

    def codec(self, content: dict[str, Any]) -> TagReader:
        return TagReader.from_json(content)

    def make(self, options: TagOptions, codec: TagReader) -> Model:
        if options.model == "most_frequent_tag":
            return MostFrequentTag(len(codec.tags))
        return Tagger(
            options,
            codec.sizes(),
            characters=options.characters,
            spelling=options.spelling,
            word_dropout=options.word_dropout,
            crf=options.crf,
        )

    def words(self, data: Prepared[Sentences, TagReader]) -> Words:
        return Words(data.codec.vocabulary.tokens, data.train.words)

    def fit(
        self,
        model: Model,
        options: TagOptions,
        data: Prepared[Sentences, TagReader],
        keeper: CheckpointStore,
        observer: Observer,
    ) -> Outcome:
        if isinstance(model, MostFrequentTag):
            with closed_form() as timer:
                model.fit(zip(data.train.texts, data.train.tags, strict=True))
            return timer.outcome()
        assert isinstance(model, Trainable)
        course = TrainingPlan(
            epoch=epochs(data.train, options, batch_tokens=options.batch_tokens),
            validate=lambda network: _validation(network, data.valid),
            monitor="valid_error",
            rate="tokens_per_second",
        )
        return fit(model, course, options, keeper, observer)

    def beside(self, options: TagOptions, baseline: str) -> TagOptions:
        return dataclasses.replace(options, model=baseline)

    def score(self, model: Model, options: TagOptions, codec: TagReader, split: Sentences) -> Scores:
        from sklearn.metrics import accuracy_score, f1_score  # slow to import, needed only here

        found = decode(model, split)
        truth, chosen = np.concatenate(split.tags), np.concatenate(found)
        scores = {
            "accuracy": float(accuracy_score(truth, chosen)),
            "macro_f1": float(f1_score(truth, chosen, average="macro", zero_division=0.0)),
        }
        if are_entities(codec.tags.names):
            named = [[codec.tags.decode(one) for one in tags] for tags in (split.tags, found)]
            scores["entity_f1"] = entity_f1(*named)
        return scores

    def predict(self, model: Model, options: TagOptions, codec: TagReader, source: object) -> Iterator[Row]:
        """Give the words of each sentence and their tags."""
        texts = _read(options, source, need_tags=False).words
        for number, (words, tags) in enumerate(zip(texts, decode(model, codec.sentences(texts)), strict=True), 1):
            yield {"row": number, "words": words, "tags": codec.tags.decode(tags)}

    def flat(self, row: Row) -> Iterator[Row]:
        """Give a row per word."""
        for position, (word, tag) in enumerate(zip(row["words"], row["tags"], strict=True), 1):
            yield {"row": row["row"], "position": position, "word": word, "tag": tag}


def decode(model: Model, sentences: Sentences) -> list[Array]:
    """Return the tags of each sentence, [T] int64 each."""
    if isinstance(model, MostFrequentTag):
        return [model.tag(words) for words in sentences.texts]
    assert isinstance(model, Tagger)
    model.eval()
    found: list[Array] = [np.zeros(0, np.int64)] * len(sentences)
    with torch.no_grad():
        batches = _evaluation(sentences)
        for indices, batch in zip(batches.order, batches, strict=True):
            scores = model(batch.words, batch.spellings, batch.lengths)
            for index, tags in zip(indices, model.decode(scores, batch.lengths), strict=True):
                found[index] = tags
    return found


def _evaluation(sentences: Sentences) -> Epoch[TagBatch]:
    return in_order(sentences, EVALUATION_BATCH, EVALUATION_TOKENS)


def _read(options: TagOptions, source: object, *, need_tags: bool = True) -> Tagged:
    return read_tagged(source, TagColumns(options.column, options.words), need_tags=need_tags)


def _known(whole: Tagged, cut: dict[str, Indices]) -> dict[str, Indices]:
    """Move sentences that are held out with a tag which training would not see to the training part."""
    tags = whole.tags
    known = {tag for index in cut["train"] for tag in tags[index]}
    kept = {name: part[[known.issuperset(tags[index]) for index in part]] for name, part in cut.items()}
    moved = [np.setdiff1d(cut[name], kept[name]) for name in cut]
    return kept | {"train": np.sort(np.concatenate([cut["train"], *moved]))}


def _validation(network: Trainable[Any], sentences: Sentences) -> Scores:
    assert isinstance(network, Tagger)
    nll, wrong, words = 0.0, 0, int(sentences.lengths.sum())
    batches = _evaluation(sentences)
    for indices, batch in zip(batches.order, batches, strict=True):
        scores = network(batch.words, batch.spellings, batch.lengths)
        nll += float(network.nll(scores.float(), batch)) * batch.units
        found = network.decode(scores, batch.lengths)
        wrong += sum(int((sentences.tags[index] != tags).sum()) for index, tags in zip(indices, found, strict=True))
    return {"valid_nll": nll / words, "valid_accuracy": 1 - wrong / words, "valid_error": wrong / words}
