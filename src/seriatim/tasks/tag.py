"""``tag``: a tag for each word of a sentence. Many to many, aligned."""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, final

import numpy as np

from seriatim.data.files import InputStream, content_hash
from seriatim.data.splits import Indices
from seriatim.data.tagged import TagColumns, Tagged, read_tagged
from seriatim.learning.plan import TrainingPlan
from seriatim.models.naive.frequent_tag import MostFrequentTag
from seriatim.models.naive.perceptron import PerceptronTagger
from seriatim.models.tagger import SentenceTagger, Tagger
from seriatim.tasks.common.baseline_time import baseline_seconds
from seriatim.tasks.common.blend import Blend, Choice, Member, choose_probabilities, choose_scores
from seriatim.tasks.common.entities import are_entities, entity_f1
from seriatim.tasks.common.epochs import epochs, scheduled_updates
from seriatim.tasks.common.parts import PARTS, read_parts
from seriatim.tasks.common.score_table import sentence_losses
from seriatim.tasks.common.subwords import check_subwords
from seriatim.tasks.common.tag_codec import Sentences, TagCodec
from seriatim.tasks.common.tagging import AnyTagger, decode, log_probabilities, scores_of, tag_batches
from seriatim.tasks.options import TAG_BASELINES, TAG_DEFAULTS, TagOptions
from seriatim.tasks.task import ClosedForm, NewData, PreparedData, Row, Scores, Task, WordCorpus, model_of

Array = np.ndarray[Any, Any]

EPOCHS, LEAST_UPDATES = 6, 2000
"""The end of the default schedule; docs/defaults.md has the experiments."""
LARGEST_FIT = 10_000_000
"""The most transitions, words × tags², that the weights of a blend with a CRF are fitted on."""


@final
class Tag(Task[TagOptions, Sentences, TagCodec]):
    """Tagging by a recurrent network with characters and a CRF, or by each word's most frequent tag."""

    name = "tag"
    options = TagOptions
    main_score = "accuracy"
    higher_is_better = True
    baselines = TAG_BASELINES
    neural_baselines = ()
    slow_baselines = ("perceptron",)
    stdin_format = "txt"
    codec_files = ("vocabulary.json",)

    def model_defaults(self, explicit: Mapping[str, object]) -> Mapping[str, object]:
        model = str(model_of(self.options, explicit))
        return {**super().model_defaults(explicit), **TAG_DEFAULTS.get(model, {})}

    def check(self, options: TagOptions) -> None:
        check_subwords(options, TAG_BASELINES)

    def prepare(
        self, options: TagOptions, source: object, codec: TagCodec | None = None
    ) -> PreparedData[Sentences, TagCodec]:
        raw = read_parts(options, source, lambda path: _read(options, path), adjust=_keep_known_tags)
        codec = codec or TagCodec.fit(options, raw.train)
        train, valid, test = (codec.encode_tagged(getattr(raw, name), f"{name} part") for name in PARTS)
        notes = (*raw.notes, *valid.notes, *test.notes)
        return PreparedData(train, valid, test, codec, raw.sizes, raw.hash, notes)

    def read(self, options: TagOptions, codec: TagCodec, source: object) -> NewData[Sentences]:
        tagged = _read(options, source)
        part = codec.encode_tagged(tagged, "new data")
        return NewData(part, len(tagged), content_hash(tagged.content), part.notes)

    def from_lines(self, text: str) -> object:
        return InputStream(io.BytesIO(text.encode()), "txt")  # read like a file

    def codec_from_json(self, content: dict[str, Any]) -> TagCodec:
        return TagCodec.from_json(content)

    def make(self, options: TagOptions, codec: TagCodec) -> AnyTagger:
        makers: dict[str, Callable[[int], AnyTagger]] = {
            "most_frequent_tag": MostFrequentTag,
            "perceptron": PerceptronTagger,
        }
        if options.model in makers:
            return makers[options.model](len(codec.tags))
        return Tagger(
            options,
            codec.sizes(),
            characters=options.characters,
            spelling=options.spelling,
            word_dropout=options.word_dropout,
            crf=options.crf,
        )

    def word_corpus(self, data: PreparedData[Sentences, TagCodec]) -> WordCorpus:
        return WordCorpus(data.codec.vocabulary.tokens, data.train.words)

    def plan(
        self, model: AnyTagger, options: TagOptions, data: PreparedData[Sentences, TagCodec]
    ) -> TrainingPlan[Any] | ClosedForm:
        train, valid = (list(zip(part.texts, part.tags, strict=True)) for part in (data.train, data.valid))
        if isinstance(model, MostFrequentTag):
            return ClosedForm(lambda: model.fit(train, seconds=baseline_seconds(options)))
        if isinstance(model, PerceptronTagger):
            seconds = baseline_seconds(options)
            return ClosedForm(lambda: model.fit(train, valid, seconds=seconds, seed=options.seed))
        epoch = epochs(data.train, options, batch_tokens=options.batch_tokens)
        return TrainingPlan(
            epoch=epoch,
            validate=lambda _: _validation_scores(model, data.valid),
            monitor="valid_error",
            rate="tokens_per_second",
            updates=scheduled_updates(len(epoch(0)), epochs=EPOCHS, least=LEAST_UPDATES),
        )

    def baseline_options(self, options: TagOptions, baseline: str) -> TagOptions:
        return dataclasses.replace(options, model=baseline)

    def choose(self, members: Mapping[str, Member], codec: TagCodec, valid: Sentences) -> Choice:
        """Choose by the tags of single words, or with a CRF by those of whole sentences."""
        models = {
            name: member.model for name, member in members.items() if not isinstance(member.model, MostFrequentTag)
        }
        name, network = next(iter(models.items()))
        chain = network.chain() if isinstance(network, SentenceTagger) else None
        if chain is not None:
            part = _part_to_fit(valid, len(codec.tags))
            if not len(part):
                return Choice(name)
            tables = {name: scores_of(model, part) for name, model in models.items()}
            return choose_scores(tables, lambda table: sentence_losses(table, part, chain))
        tags = np.concatenate(valid.tags)
        is_known = tags < len(codec.tags)
        log_chances = {
            name: np.concatenate(log_probabilities(model, valid))[is_known] for name, model in models.items()
        }
        return choose_probabilities(log_chances, tags[is_known])

    def score(self, model: AnyTagger | Blend, options: TagOptions, codec: TagCodec, part: Sentences) -> Scores:
        from sklearn.metrics import accuracy_score, f1_score  # slow to import, needed only here

        predicted = decode(model, part)
        truth, predictions = np.concatenate(part.tags), np.concatenate(predicted)
        scores = {
            "accuracy": float(accuracy_score(truth, predictions)),
            "macro_f1": float(f1_score(truth, predictions, average="macro", zero_division=0.0)),
        }
        if are_entities(codec.tags.names):
            tag_names = part.tag_names or codec.tags
            names = [[tag_names.decode(tags) for tags in sentences] for sentences in (part.tags, predicted)]
            scores["entity_f1"] = entity_f1(*names)
        return scores

    def predict(self, model: AnyTagger | Blend, options: TagOptions, codec: TagCodec, source: object) -> Iterator[Row]:
        """Yield the words of each sentence and their tags."""
        tagged = _read(options, source, need_tags=False, known_tags=codec.tags.names)
        tagging = decode(model, codec.encode(tagged.words))
        for number, words, tags in zip(tagged.rows, tagged.words, tagging, strict=True):
            yield {"row": number, "words": words, "tags": codec.tags.decode(tags)}

    def csv_rows(self, row: Row) -> Iterator[Row]:
        """Yield one row for each word."""
        for position, (word, tag) in enumerate(zip(row["words"], row["tags"], strict=True), 1):
            yield {"row": row["row"], "position": position, "word": word, "tag": tag}


def _read(
    options: TagOptions, source: object, *, need_tags: bool = True, known_tags: Collection[str] | None = None
) -> Tagged:
    columns = TagColumns(options.column, options.words)
    return read_tagged(source, columns, need_tags=need_tags, known_tags=known_tags)


def _keep_known_tags(tagged: Tagged, parts: dict[str, Indices]) -> dict[str, Indices]:
    """Move validation and test sentences to the training part if it lacks one of their tags."""
    tags = tagged.tags
    known_tags = {tag for index in parts["train"] for tag in tags[index]}
    remaining = {name: part[[known_tags.issuperset(tags[index]) for index in part]] for name, part in parts.items()}
    moved = [np.setdiff1d(parts[name], remaining[name]) for name in parts]
    return remaining | {"train": np.sort(np.concatenate([parts["train"], *moved]))}


def _part_to_fit(sentences: Sentences, tags: int) -> Sentences:
    """Return the sentences whose tags are all known; of very many, some that are spread evenly over them."""
    known = np.flatnonzero([(own < tags).all() for own in sentences.tags])
    transitions = int(sentences.lengths[known].sum()) * tags**2
    stride = max(1, math.ceil(transitions / LARGEST_FIT))
    return sentences.take(known[::stride])


def _validation_scores(network: SentenceTagger, sentences: Sentences) -> Scores:
    """Return the share of wrong tags, and the mean NLL per word of sentences whose tags the training part has."""
    nll, wrong, words, known_words = 0.0, 0, int(sentences.lengths.sum()), 0
    batches = tag_batches(sentences)
    for indices, batch in zip(batches.order, batches, strict=True):
        scores = network.emissions(batch)
        is_known = (batch.tags < scores.shape[2]).all(0)
        if is_known.any():
            scored = dataclasses.replace(batch, lengths=batch.lengths[is_known], tags=batch.tags[:, is_known])
            nll += float(network.nll(scores[:, is_known].float(), scored)) * scored.units
            known_words += scored.units
        predicted = network.decode(scores, batch.lengths)
        wrong += sum(int((sentences.tags[index] != tags).sum()) for index, tags in zip(indices, predicted, strict=True))
    return {"valid_nll": nll / max(known_words, 1), "valid_accuracy": 1 - wrong / words, "valid_error": wrong / words}
