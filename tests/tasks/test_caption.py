"""Captioners from a table to scores: parts, references, and what a prediction says."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest
import torch

from seriatim.data.bundled import bundled_set
from seriatim.data.images import PictureFormat, read_pictures
from seriatim.encoding.punctuation import separate_punctuation
from seriatim.errors import DataError, UsageError
from seriatim.learning.checkpoint_store import NullStore
from seriatim.learning.observer import Silent
from seriatim.notation import UNKNOWN
from seriatim.run import load, train
from seriatim.run.fitting import fit
from seriatim.tasks.caption import Caption
from seriatim.tasks.common.word_vectors import InitialVectors
from seriatim.tasks.options import CaptionOptions

TASK = Caption()
OPTIONS = CaptionOptions(
    hidden=24, filters=2, epochs=16, batch_size=12, lr=1e-2, dropout=0.0, image_size=8, peeky=True, beam_size=2
)
COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (30, 60, 220)}
Data = tuple[list[Any], list[list[str]]]
Made = tuple[Any, Any, Any]


def pictures(rows: int = 90, seed: int = 0) -> Data:
    """A square of some colour on the left or on the right, said in two ways."""
    draw = np.random.default_rng(seed)
    arrays, captions = [], []
    for row in range(rows):
        colour, side = list(COLOURS)[row % 3], ("left", "right")[row // 3 % 2]
        pixels = draw.integers(0, 40, (8, 8, 3), dtype=np.uint8)
        place = 1 if side == "left" else 5
        pixels[2:6, place : place + 3] = COLOURS[colour]
        arrays.append(pixels)
        captions.append([f"{colour} on the {side}.", f"on the {side} is {colour}."])
    return arrays, captions


def vectors(rows: int = 60) -> Data:
    """Vectors of as many regions as there are: the first tells the colour."""
    draw = np.random.default_rng(0)
    codes = np.eye(3)
    arrays = [
        np.concatenate([codes[row % 3 :][:1], draw.normal(scale=0.1, size=(row % 4, 3))]) * 5 for row in range(rows)
    ]
    return arrays, [[f"it is {list(COLOURS)[row % 3]}"] for row in range(rows)]


def made(source: object, **given: Any) -> Made:
    """A model that is not fitted, with the data and the options that it is of."""
    options = dataclasses.replace(OPTIONS, **given)
    prepared = TASK.prepare(options, source)
    torch.manual_seed(0)
    return TASK.make(options, prepared.codec), prepared, options


def fitted(source: object, **given: Any) -> Made:
    model, prepared, options = made(source, **given)
    fit(TASK, model, options, prepared, NullStore(), Silent())
    return model, prepared, options


@pytest.fixture(scope="module")
def seeing() -> Made:
    """A model that has learned what can be seen."""
    return fitted(pictures())


def test_it_learns_what_can_be_seen(seeing: Made) -> None:
    model, prepared, options = seeing
    scores = TASK.score(model, options, prepared.codec, prepared.test)
    assert scores["exact_match"] > 0.7
    assert scores["bleu"] > 80
    assert scores["chrf"] > 80
    assert 1.0 < scores["perplexity"] < 2.0  # there are two ways to say it


def test_it_learns_from_feature_vectors() -> None:
    model, prepared, options = fitted(vectors(), features="x")
    assert TASK.score(model, options, prepared.codec, prepared.test)["exact_match"] > 0.7


@pytest.mark.parametrize(("model", "right"), [("most_common", 1 / 6), ("nearest_image", 1.0)])
def test_the_baselines(model: str, right: float) -> None:
    network, prepared, options = fitted(pictures(240), model=model)
    scores = TASK.score(network, options, prepared.codec, prepared.test)
    assert scores["exact_match"] == pytest.approx(right, abs=0.1)
    assert "perplexity" not in scores
    again = TASK.make(options, prepared.codec)
    again.load_state_dict({name: np.array(array) for name, array in network.state_dict().items()})
    assert TASK.score(again, options, prepared.codec, prepared.test) == scores


def test_a_picture_is_on_one_side_with_all_its_captions(tmp_path: Path) -> None:
    prepared = TASK.prepare(OPTIONS, pictures())
    assert prepared.sizes == {"train": 72, "valid": 9, "test": 9}
    seen = [one.tobytes() for part in (prepared.train, prepared.valid, prepared.test) for one in part.inputs]
    assert len(set(seen)) == 90
    assert all(len(some) == 2 for some in prepared.test.references)
    other = TASK.prepare(dataclasses.replace(OPTIONS, seed=1), pictures())
    assert other.test.references != prepared.test.references
    assert other.hash == prepared.hash


def test_a_group_stays_on_one_side() -> None:
    options = CaptionOptions(image="image", text="caption", group="combination", image_size=8)
    prepared = TASK.prepare(options, bundled_set("scenes").path)
    look = PictureFormat(8)
    whole = read_pictures(bundled_set("scenes").path, look, image="image", text="caption", group="combination")
    groups = dict(zip((one.tobytes() for one in whole.inputs), whole.groups or [], strict=True))
    parts = [{groups[one.tobytes()] for one in part.inputs} for part in (prepared.train, prepared.valid, prepared.test)]
    assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])


def test_a_batch_looks_at_each_picture_once() -> None:
    prepared = TASK.prepare(OPTIONS, pictures())
    batch = prepared.train.batch(np.array([3, 0]))
    assert batch.views.inputs.shape == (2, 3, 8, 8)
    assert batch.owners.tolist() == [0, 0, 1, 1]
    boundary = len(prepared.codec.script)
    units = [[unit for unit in column if 0 <= unit < boundary] for column in batch.targets.T.tolist()]
    assert [prepared.codec.script.decode(some) for some in units] == [
        *prepared.train.references[3],
        *prepared.train.references[0],
    ]
    assert (batch.targets == boundary).sum() == 4


def test_pixels_are_scaled_by_the_training_part() -> None:
    prepared = TASK.prepare(OPTIONS, pictures())
    inputs = prepared.codec.input_batch(prepared.train.inputs).inputs
    torch.testing.assert_close(inputs.mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(inputs.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-4, rtol=0)
    assert prepared.codec.input_batch(prepared.test.inputs).inputs.mean((0, 2, 3)).abs().max() > 1e-3


def test_a_reader_comes_back_from_its_json() -> None:
    for source, given in ((pictures(), {}), (vectors(), {"features": "x", "unit": "char", "lowercase": True})):
        codec = TASK.prepare(dataclasses.replace(OPTIONS, **given), source).codec
        again = TASK.codec_from_json(json.loads(json.dumps(codec.to_json())))
        assert again.to_json() == codec.to_json()
        assert again.size == codec.size


def test_duplicates_are_told_and_can_be_dropped() -> None:
    arrays, captions = pictures()
    prepared = TASK.prepare(OPTIONS, (arrays * 2, captions * 2))
    shared = [note for note in prepared.notes if "pictures are also in the training part (--drop-duplicates)" in note]
    assert len(shared) == 2
    dropped = TASK.prepare(dataclasses.replace(OPTIONS, drop_duplicates=True), (arrays * 2, captions * 2))
    assert dropped.notes[0] == "90 duplicates dropped before splitting"
    assert sum(dropped.sizes.values()) == 90


def test_what_a_prediction_says(seeing: Made) -> None:
    model, prepared, options = seeing
    arrays, captions = pictures(6)
    rows = list(TASK.predict(model, options, prepared.codec, arrays))
    assert [row["row"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row["image"] for row in rows] == [f"data item {number}" for number in range(1, 7)]
    assert sum(row["prediction"] in known for row, known in zip(rows, captions, strict=True)) > 3
    assert set(rows[0]) == {"row", "image", "prediction", "score"}
    more = dataclasses.replace(options, n_best=2, alignment=True)
    (row,) = TASK.predict(model, more, prepared.codec, arrays[:1])
    assert len({one["prediction"] for one in row["n_best"]}) == 2
    assert row["n_best"][0] == {"prediction": row["prediction"], "score": row["score"]}
    weights = np.array(row["alignment"]["weights"])
    assert weights.shape == (len(row["alignment"]["target"]), 16)
    np.testing.assert_allclose(weights.sum(1), 1.0, atol=1e-3)
    flat = list(TASK.csv_rows(row))
    assert [set(one) for one in flat] == [{"row", "image", "rank", "prediction", "score"}] * 2


def test_predictions_do_not_depend_on_company(seeing: Made) -> None:
    model, prepared, options = seeing
    arrays, _ = pictures(70, seed=5)
    together = [row["prediction"] for row in TASK.predict(model, options, prepared.codec, arrays)]
    alone = [next(TASK.predict(model, options, prepared.codec, [one]))["prediction"] for one in arrays[60:]]
    assert alone == together[60:]


def test_a_word_that_training_never_saw_is_never_written() -> None:
    arrays, captions = pictures()
    named = [[f"{one[0]} n{row}"] for row, one in enumerate(captions)]
    model, prepared, options = made((arrays, named), vocab_size=9)
    assert any(UNKNOWN in units for some in prepared.train.targets for units in some)
    assert all("<unk>" not in row["prediction"] for row in TASK.predict(model, options, prepared.codec, arrays[:20]))


def test_word_vectors_start_the_words_and_not_the_boundary() -> None:
    model, prepared, _ = made(pictures())
    words = TASK.word_corpus(prepared)
    assert words is not None
    assert [words.tokens[unit] for unit in words.sentences[0]] == separate_punctuation(
        prepared.train.references[0][0]
    ).split()
    boundary = model.embeddings.weight[-1].detach().clone()
    InitialVectors(np.ones((len(words.tokens), 24), np.float32), is_frozen=False, note="").copy_to(model)
    assert (model.embeddings.weight[:-1] == 1).all()
    torch.testing.assert_close(model.embeddings.weight[-1].detach(), boundary)
    assert TASK.word_corpus(TASK.prepare(dataclasses.replace(OPTIONS, unit="char"), pictures())) is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"bidirectional": True}, "bidirectional: a decoder writes from the start"),
        ({"image": "a", "features": "b"}, "image: give either --image or --features, not both"),
        ({"n_best": 5}, "n_best: got 5, wanted at most the beam's size"),
    ],
)
def test_options_that_contradict_each_other(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        TASK.check(dataclasses.replace(OPTIONS, **given))


def test_data_that_a_model_cannot_read() -> None:
    _, prepared, _ = made(vectors(), features="x", model="nearest_image")
    with pytest.raises(DataError, match="data item 1: vectors of 4 numbers, but the model reads 3"):
        TASK.read(dataclasses.replace(OPTIONS, features="x"), prepared.codec, (np.ones((2, 4)), ["a", "b"]))
    with pytest.raises(DataError, match="valid part: no pictures; too little data"):
        TASK.prepare(OPTIONS, pictures(2))
    model, prepared, options = made(pictures(), attention="none")
    with pytest.raises(UsageError, match="trained with --attention none"):
        list(TASK.predict(model, dataclasses.replace(options, alignment=True), prepared.codec, pictures(1)[0]))


def test_a_run_from_a_bundled_set_to_new_pictures(tmp_path: Path) -> None:
    options: dict[str, Any] = {"hidden": 8, "filters": 1, "epochs": 1, "threads": 1, "beam_size": 1, "quiet": True}
    run = train("caption", "scenes", out=str(tmp_path / "run"), image_size=8, **options)
    assert set(run.result["baselines"]) == {"most_common", "nearest_image"}
    assert any(note.startswith("bleu: nrefs:2") for note in run.notes)
    polars.read_parquet(bundled_set("scenes").path, n_rows=40).write_parquet(tmp_path / "new.parquet")
    again = load(tmp_path / "run").evaluate(tmp_path / "new.parquet")
    assert again["data"]["test"] == 20
    assert again["baselines"]["nearest_image"]["exact_match"] > 0.6, "most of them are known"
    run.write_predictions(tmp_path / "new.parquet", tmp_path / "captions.csv")
    lines = (tmp_path / "captions.csv").read_text().splitlines()
    assert lines[0] == "row,image,prediction,score"
    assert len(lines) == 41
