"""Captioners from a table to scores: parts, references, and fields of predictions."""

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
    """A coloured square on the left or on the right, with two captions each."""
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
    """Feature vectors of several regions. The first region shows the colour."""
    draw = np.random.default_rng(0)
    codes = np.eye(3)
    arrays = [
        np.concatenate([codes[row % 3 :][:1], draw.normal(scale=0.1, size=(row % 4, 3))]) * 5 for row in range(rows)
    ]
    return arrays, [[f"it is {list(COLOURS)[row % 3]}"] for row in range(rows)]


def make_model(source: object, **arguments: Any) -> Made:
    """A model before fitting, with its data and options."""
    options = dataclasses.replace(OPTIONS, **arguments)
    prepared = TASK.prepare(options, source)
    torch.manual_seed(0)
    return TASK.make(options, prepared.codec), prepared, options


def fit_model(source: object, **arguments: Any) -> Made:
    model, prepared, options = make_model(source, **arguments)
    fit(TASK, model, options, prepared, NullStore(), Silent())
    return model, prepared, options


@pytest.fixture(scope="module")
def trained_captioner() -> Made:
    """A trained captioner of pictures."""
    return fit_model(pictures())


def test_captioner_learns_visible_features(trained_captioner: Made) -> None:
    model, prepared, options = trained_captioner
    scores = TASK.score(model, options, prepared.codec, prepared.test)
    assert scores["exact_match"] > 0.7
    assert scores["bleu"] > 80
    assert scores["chrf"] > 80
    assert 1.0 < scores["perplexity"] < 2.0  # there are two ways to say it


def test_captioner_learns_from_feature_vectors() -> None:
    model, prepared, options = fit_model(vectors(), features="x")
    assert TASK.score(model, options, prepared.codec, prepared.test)["exact_match"] > 0.7


@pytest.mark.parametrize(("model", "right"), [("most_common", 1 / 6), ("nearest_image", 1.0)])
def test_baselines(model: str, right: float) -> None:
    network, prepared, options = fit_model(pictures(240), model=model)
    scores = TASK.score(network, options, prepared.codec, prepared.test)
    assert scores["exact_match"] == pytest.approx(right, abs=0.1)
    assert "perplexity" not in scores
    loaded = TASK.make(options, prepared.codec)
    loaded.load_state_dict({name: np.array(array) for name, array in network.state_dict().items()})
    assert TASK.score(loaded, options, prepared.codec, prepared.test) == scores


def test_captions_of_a_picture_stay_in_one_part(tmp_path: Path) -> None:
    prepared = TASK.prepare(OPTIONS, pictures())
    assert prepared.sizes == {"train": 72, "valid": 9, "test": 9}
    pixels = [picture.tobytes() for part in (prepared.train, prepared.valid, prepared.test) for picture in part.inputs]
    assert len(set(pixels)) == 90
    assert all(len(texts) == 2 for texts in prepared.test.references)
    other = TASK.prepare(dataclasses.replace(OPTIONS, seed=1), pictures())
    assert other.test.references != prepared.test.references
    assert other.hash == prepared.hash


def test_group_stays_in_one_part() -> None:
    options = CaptionOptions(image="image", text="caption", group="combination", image_size=8)
    prepared = TASK.prepare(options, bundled_set("scenes").path)
    look = PictureFormat(8)
    whole = read_pictures(bundled_set("scenes").path, look, image="image", text="caption", group="combination")
    groups = dict(zip((picture.tobytes() for picture in whole.inputs), whole.groups or [], strict=True))
    parts = [
        {groups[picture.tobytes()] for picture in part.inputs}
        for part in (prepared.train, prepared.valid, prepared.test)
    ]
    assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])


def test_batch_contains_each_picture_once() -> None:
    prepared = TASK.prepare(OPTIONS, pictures())
    batch = prepared.train.batch(np.array([3, 0]))
    assert batch.views.inputs.shape == (2, 3, 8, 8)
    assert batch.owners.tolist() == [0, 0, 1, 1]
    boundary = len(prepared.codec.script)
    units = [[unit for unit in column if 0 <= unit < boundary] for column in batch.targets.T.tolist()]
    assert [prepared.codec.script.decode(texts) for texts in units] == [
        *prepared.train.references[3],
        *prepared.train.references[0],
    ]
    assert (batch.targets == boundary).sum() == 4


def test_pixel_scaler_is_fitted_on_training_part() -> None:
    prepared = TASK.prepare(OPTIONS, pictures())
    inputs = prepared.codec.input_batch(prepared.train.inputs).inputs
    torch.testing.assert_close(inputs.mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(inputs.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-4, rtol=0)
    assert prepared.codec.input_batch(prepared.test.inputs).inputs.mean((0, 2, 3)).abs().max() > 1e-3


def test_codec_json_round_trip() -> None:
    for source, arguments in ((pictures(), {}), (vectors(), {"features": "x", "unit": "char", "lowercase": True})):
        codec = TASK.prepare(dataclasses.replace(OPTIONS, **arguments), source).codec
        loaded = TASK.codec_from_json(json.loads(json.dumps(codec.to_json())))
        assert loaded.to_json() == codec.to_json()
        assert loaded.size == codec.size


def test_duplicates_are_noted_and_can_be_dropped() -> None:
    arrays, captions = pictures()
    prepared = TASK.prepare(OPTIONS, (arrays * 2, captions * 2))
    shared = [note for note in prepared.notes if "pictures are also in the training part (--drop-duplicates)" in note]
    assert len(shared) == 2
    dropped = TASK.prepare(dataclasses.replace(OPTIONS, drop_duplicates=True), (arrays * 2, captions * 2))
    assert dropped.notes[0] == "90 duplicates dropped before splitting"
    assert sum(dropped.sizes.values()) == 90


def test_fields_of_a_prediction(trained_captioner: Made) -> None:
    model, prepared, options = trained_captioner
    arrays, captions = pictures(6)
    rows = list(TASK.predict(model, options, prepared.codec, arrays))
    assert [row["row"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row["image"] for row in rows] == [f"data item {number}" for number in range(1, 7)]
    assert sum(row["prediction"] in known for row, known in zip(rows, captions, strict=True)) > 3
    assert set(rows[0]) == {"row", "image", "prediction", "score"}
    more = dataclasses.replace(options, n_best=2, alignment=True)
    (row,) = TASK.predict(model, more, prepared.codec, arrays[:1])
    assert len({hypothesis["prediction"] for hypothesis in row["n_best"]}) == 2
    assert row["n_best"][0] == {"prediction": row["prediction"], "score": row["score"]}
    weights = np.array(row["alignment"]["weights"])
    assert weights.shape == (len(row["alignment"]["target"]), 16)
    np.testing.assert_allclose(weights.sum(1), 1.0, atol=1e-3)
    flat = list(TASK.csv_rows(row))
    assert [set(columns) for columns in flat] == [{"row", "image", "rank", "prediction", "score"}] * 2


def test_predictions_do_not_depend_on_batch(trained_captioner: Made) -> None:
    model, prepared, options = trained_captioner
    arrays, _ = pictures(70, seed=5)
    batched = [row["prediction"] for row in TASK.predict(model, options, prepared.codec, arrays)]
    single = [next(TASK.predict(model, options, prepared.codec, [array]))["prediction"] for array in arrays[60:]]
    assert single == batched[60:]


def test_unknown_word_is_never_written() -> None:
    arrays, captions = pictures()
    named = [[f"{texts[0]} n{row}"] for row, texts in enumerate(captions)]
    model, prepared, options = make_model((arrays, named), vocab_size=9)
    assert any(UNKNOWN in units for texts in prepared.train.targets for units in texts)
    assert all("<unk>" not in row["prediction"] for row in TASK.predict(model, options, prepared.codec, arrays[:20]))


def test_initial_vectors_leave_boundary_unchanged() -> None:
    model, prepared, _ = make_model(pictures())
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
    ("arguments", "error"),
    [
        ({"bidirectional": True}, "bidirectional: a decoder writes from the start"),
        ({"image": "a", "features": "b"}, "image: give either --image or --features, not both"),
        ({"n_best": 5}, "n_best: got 5, wanted at most the beam's size"),
    ],
)
def test_contradictory_options_are_refused(arguments: dict[str, Any], error: str) -> None:
    with pytest.raises(UsageError, match=error):
        TASK.check(dataclasses.replace(OPTIONS, **arguments))


def test_data_of_another_shape_are_refused() -> None:
    _, prepared, _ = make_model(vectors(), features="x", model="nearest_image")
    with pytest.raises(DataError, match="data item 1: vectors of 4 numbers, but the model reads 3"):
        TASK.read(dataclasses.replace(OPTIONS, features="x"), prepared.codec, (np.ones((2, 4)), ["a", "b"]))
    with pytest.raises(DataError, match="valid part: no pictures; too little data"):
        TASK.prepare(OPTIONS, pictures(2))
    model, prepared, options = make_model(pictures(), attention="none")
    with pytest.raises(UsageError, match="trained with --attention none"):
        list(TASK.predict(model, dataclasses.replace(options, alignment=True), prepared.codec, pictures(1)[0]))


def test_run_from_bundled_set_to_predictions(tmp_path: Path) -> None:
    options: dict[str, Any] = {"hidden": 8, "filters": 1, "epochs": 1, "threads": 1, "beam_size": 1, "quiet": True}
    run = train("caption", "scenes", out=str(tmp_path / "run"), image_size=8, **options)
    assert set(run.result["baselines"]) == {"most_common", "nearest_image"}
    assert any(note.startswith("bleu: nrefs:2") for note in run.notes)
    polars.read_parquet(bundled_set("scenes").path, n_rows=40).write_parquet(tmp_path / "new.parquet")
    loaded = load(tmp_path / "run").evaluate(tmp_path / "new.parquet")
    assert loaded["data"]["test"] == 20
    assert loaded["baselines"]["nearest_image"]["exact_match"] > 0.6, "most of them are known"
    run.write_predictions(tmp_path / "new.parquet", tmp_path / "captions.csv")
    lines = (tmp_path / "captions.csv").read_text().splitlines()
    assert lines[0] == "row,image,prediction,score"
    assert len(lines) == 41
