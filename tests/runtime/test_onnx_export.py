"""``export --onnx``: graphs of standard nodes, checked by onnxruntime, and run by the runtime too."""

from __future__ import annotations

import json
import types

import numpy as np
import pytest
import torch

import seriatim
from runtime_settings import TEXT
from seriatim import runtime
from seriatim.encoding.subwords import hashed_grams
from seriatim.errors import DataError, MissingExtra, RunError, UsageError
from seriatim.export.onnx import layers, parity
from seriatim.layouts.convention import CONVENTIONS

LANGUAGE = {
    "lstm": {"model": "lstm", "hidden": 12, "layers": 2, "layer_norm": False, "peephole": True},
    "highway": {"model": "gru", "hidden": 8, "layers": 3, "layer_norm": False, "residual": "highway", "tie": True},
    "blocks": {"model": "lstm", "hidden": 8, "layer_norm": False, "residual": "block", "coupled": True},
    "before": {"model": "gru", "hidden": 8, "reset_gate": "before", "residual": "residual", "layers": 2},
    "relu": {"model": "rnn", "hidden": 8, "layer_norm": False, "activation": "relu"},
    "eleven": {"model": "gru", "hidden": 4, "layers": 11, "layer_norm": False},
    "norm": {"model": "lstm", "hidden": 12, "layers": 2},
    "norm-peephole": {"model": "lstm", "hidden": 8, "peephole": True, "coupled": True, "projection": 5},
    "norm-relu": {"model": "rnn", "hidden": 8, "activation": "relu", "layer_norm": True},
    "norm-gru": {"model": "gru", "hidden": 8, "layer_norm": True, "residual": "block"},
    "projection": {"model": "gru", "hidden": 8, "layer_norm": False, "projection": 4, "layers": 2},
    "zoneout": {"model": "gru", "hidden": 8, "layer_norm": False, "reset_gate": "before", "zoneout": 0.2},
    "mingru": {"model": "mingru", "hidden": 8, "zoneout": 0.2},
    "minlstm": {"model": "minlstm", "hidden": 8, "residual": "none"},
    "lru": {"model": "lru", "hidden": 8},
    "slstm": {"model": "slstm", "hidden": 8, "projection": 3},
    "convolution": {"model": "mingru", "hidden": 8, "convolution": 4},
}
TASKS = (
    "classify-max", "classify-mean", "classify-both", "classify-numbers", "regress", "forecast", "forecast-recursive",
    "forecast-mask", "forecast-start", "tag", "tag-crf", "tag-forward", "translate", "translate-concat",
    "translate-dot", "caption", "caption-peeky", "caption-features", "classify-norm", "classify-norm-both",
    "classify-convolution", "classify-convolution-both", "classify-fcn", "regress-fcn", "tag-norm", "translate-none",
    "translate-blocks", "translate-projection", "translate-slstm", "forecast-norm",
    "classify-subwords", "regress-subwords", "tag-subwords",
)  # fmt: skip
SIZES = {"T": 5, "B": 3, "S": 4, "L": 6, "G": 3, "T or 1": 5, "B or 1": 3}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, task_pair):
    """A function from a name to a run whose weights are not small, so that every weight counts."""
    cache = {}

    def run_of(name):
        if name not in cache:
            if name in LANGUAGE:
                out = str(tmp_path_factory.mktemp("onnx") / "run")
                seriatim.train(
                    "language", TEXT, out=out, epochs=1, quiet=True, baselines="none", **LANGUAGE[name]
                )  # fmt: skip
                run = seriatim.load(out)
            else:
                run = seriatim.load(task_pair(name)[0].path)
            torch.manual_seed(0)
            with torch.no_grad():
                for parameter in run.network.parameters():
                    parameter.add_(torch.randn_like(parameter) * 0.1)
            cache[name] = run
        return cache[name]

    return run_of


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    """A function from a name to the folder of its ONNX files and the result of the export."""
    cache = {}

    def folder_of(name):
        if name not in cache:
            folder = tmp_path_factory.mktemp("onnx") / "exported"
            cache[name] = folder, trained(name).export(folder, onnx=True)
        return cache[name]

    return folder_of


def drawn(model):
    """Random inputs of a model."""
    generator = np.random.default_rng(1)
    inputs = {}
    for part in (*model.inputs, *model.optional_inputs):
        shape = [SIZES.get(size, size) for size in part.shape]
        whole = part.dtype.kind == "i"
        values = generator.integers(1, 4, shape) if whole else generator.uniform(-1, 1, shape)
        inputs[part.name] = np.asarray(values, part.dtype)
    return inputs


@pytest.mark.parametrize("name", [*LANGUAGE, *TASKS])
def test_runtime_gives_what_onnxruntime_gives(exported, name):
    folder, result = exported(name)
    files = sorted(file.name for file in folder.iterdir())
    two = name.startswith(("translate", "caption"))
    assert files == (["decoder.onnx", "encoder.onnx"] if two else ["model.onnx"])
    assert 0 < result["difference"] <= parity.TOLERANCE and result["dtype"] == "float32"
    for file in folder.iterdir():
        model = runtime.load(file)
        inputs = drawn(model)
        theirs = parity._run(parity._session(file.read_bytes()), inputs)
        ours = model.run(inputs)
        assert set(ours) == set(theirs)
        for key, value in theirs.items():
            difference = np.abs(ours[key] - value) / np.maximum(1, np.abs(value))
            assert difference.max() <= parity.TOLERANCE and ours[key].dtype == value.dtype, key


def test_states_of_eleven_layers_sort_alike(exported):
    model = runtime.load(exported("eleven")[0])
    inputs = [part.name.removeprefix("state_in_") for part in model.inputs if part.name.startswith("state_in_")]
    outputs = [part.name.removeprefix("state_out_") for part in model.outputs if part.name.startswith("state_out_")]
    assert len(inputs) == 11 and inputs == outputs == sorted(inputs)


def nodes_of(folder):
    import onnx

    return [node.op_type for node in onnx.load(folder / "model.onnx").graph.node]


def test_cells_that_have_a_node_are_that_node_and_others_are_a_scan(exported):
    for name, expected in (("lstm", "LSTM"), ("before", "GRU"), ("relu", "RNN"), ("norm", "Scan"), ("zoneout", "Scan")):
        kinds = {kind for kind in nodes_of(exported(name)[0]) if kind in ("LSTM", "GRU", "RNN", "Scan")}
        assert kinds == {expected}, name
    assert nodes_of(exported("classify-norm-both")[0]).count("Scan") == 2  # a node for each direction


def test_layout_and_reset_gate_are_attributes(exported):
    import onnx

    for name, expected in (("before", 0), ("eleven", 1)):
        model = onnx.load(exported(name)[0] / "model.onnx")
        for node in model.graph.node:
            if node.op_type == "GRU":
                attributes = {part.name: onnx.helper.get_attribute_value(part) for part in node.attribute}
                assert attributes["layout"] == 0 and attributes["linear_before_reset"] == expected


def test_metadata_has_the_description(trained, exported):
    model = runtime.load(exported("lstm")[0])
    description = model.description
    assert (description["task"], description["model"]) == ("language", "lstm")
    assert description["network"]["body"]["layers"][0]["cell"]["peephole"] is True
    assert description["codec"] == json.loads(json.dumps(trained("lstm").codec.to_json()))


@pytest.mark.parametrize("name", ["lstm", "norm", "slstm", "convolution"])
def test_stream_gives_what_the_stream_of_the_run_gives(trained, exported, name):
    run, model = trained(name), runtime.load(exported(name)[0])
    theirs, ours = run.stream(), model.stream()
    ours.step(0)  # a run's stream begins with the unknown unit
    for unit in run.codec.encode("to be or not").tolist():
        expected, got = theirs.step(unit), ours.step(unit)["log_probabilities"]
        assert np.abs(expected - got).max() < 1e-5
    saved = ours.snapshot()
    after = ours.step(1)["log_probabilities"]
    ours.restore(saved)
    assert np.array_equal(ours.step(1)["log_probabilities"], after) and ours.position == 14
    with pytest.raises(UsageError, match="of another model"):
        runtime.load(exported("eleven")[0]).stream().restore(saved)


def test_streams_do_not_affect_each_other(exported):
    model = runtime.load(exported("classify-numbers")[0])
    values = np.random.default_rng(0).normal(size=(4, 2))
    alone = model.stream()
    streams = [model.stream() for _ in range(3)]
    for step in values:
        expected = alone.step(step)
        answers = model.step_many(streams, [np.full(2, np.nan), step, step * 2])
        assert np.array_equal(answers[1]["probabilities"], expected["probabilities"])
    (row,) = model.predict([values])
    assert np.abs(np.array(row["probabilities"])[0] - expected["probabilities"]).max() < 1e-6


def inputs_of_words(words, vocabulary, buckets):
    """The inputs of one text: ids [T, 1], n-grams [G, T, 1] and their numbers [T, 1]."""
    own = [hashed_grams([word], buckets).buckets for word in words]
    counts = np.array([len(grams) for grams in own])
    grams = np.zeros((counts.max(), len(words), 1), np.int64)
    for step, buckets_of_word in enumerate(own):
        grams[: len(buckets_of_word), step, 0] = buckets_of_word
    ids = np.array([vocabulary.index(word) if word in vocabulary else 0 for word in words])[:, None]
    return ids, {"grams": grams, "gram_counts": counts[:, None], "lengths": np.array([len(words)], np.int32)}


def test_unknown_words_have_their_n_grams(trained, exported):
    """As in the run; without the optional inputs they have the vector of the unknown word alone."""
    run, model = trained("classify-subwords"), runtime.load(exported("classify-subwords")[0])
    words = ["the", "neverseen", "sea", "xyz"]
    (theirs,) = run.predict([" ".join(words)], use="network")
    ids, inputs = inputs_of_words(words, list(run.codec.vocabulary.tokens), 40)
    states = {part.name: np.zeros((1, 1, part.shape[2]), np.float32) for part in model.inputs if "state" in part.name}
    assert [part.name for part in model.optional_inputs] == ["grams", "gram_counts"]

    def chances(optional):
        file = (model.path).read_bytes()
        values = {"units": ids, "lengths": inputs["lengths"], **states, **optional}
        ours = model.run(values)["probabilities"]
        np.testing.assert_allclose(parity._run(parity._session(file), values)["probabilities"], ours, atol=1e-6)
        return ours[0]

    whole = chances({name: inputs[name] for name in ("grams", "gram_counts")})
    np.testing.assert_allclose(whole, list(theirs["probabilities"].values()), atol=1e-5)
    assert np.abs(whole - chances({})).max() > 1e-4
    (row,) = model.predict([ids[:, 0]])
    np.testing.assert_allclose(row["probabilities"][0], chances({}), atol=1e-6)


def test_unknown_words_of_a_tagger_have_their_n_grams(trained, exported, tmp_path):
    run, model = trained("tag-subwords"), runtime.load(exported("tag-subwords")[0])
    words = ["The", "neverseen", "dog", "xyz"]
    run.export(tmp_path / "folder", use="network")
    network = runtime.load(tmp_path / "folder")
    (theirs,) = network.log_probabilities([words])
    ids, inputs = inputs_of_words([word.lower() for word in words], list(run.codec.vocabulary.tokens), 40)
    spellings = [run.codec.characters.encode(word) for word in words]
    characters = np.zeros((max(map(len, spellings)), len(words), 1), np.int64)
    for step, spelling in enumerate(spellings):
        characters[: len(spelling), step, 0] = spelling
    sizes = np.array([[len(spelling)] for spelling in spellings], np.int32)
    states = {part.name: np.zeros((1, 1, part.shape[2]), np.float32) for part in model.inputs if "state" in part.name}
    scores = model.run({"words": ids, "characters": characters, "character_lengths": sizes, **inputs, **states})[
        "scores"
    ]
    ours = scores[:, 0] - np.logaddexp.reduce(scores[:, 0], axis=1, keepdims=True)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_optional_inputs_that_do_not_fit_are_refused(exported):
    model = runtime.load(exported("classify-subwords")[0])
    states = {part.name: np.zeros((1, 1, part.shape[2]), np.float32) for part in model.inputs if "state" in part.name}
    values = {"units": [[0], [0]], "lengths": np.array([2], np.int32), **states}
    with pytest.raises(DataError, match=r"its inputs do not fit"):
        model.run({**values, "gram_counts": np.zeros((3, 1), np.int64)})
    with pytest.raises(DataError, match=r"grams: got \[1\], wanted \[G, T or 1, B or 1\]"):
        model.run({**values, "grams": [0]})
    with pytest.raises(UsageError, match=r"no input 'gram' \(did you mean 'grams'\?\)"):
        model.run({**values, "gram": np.zeros((1, 2, 1), np.int64)})


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"unit": [[1]]}, r"no input 'unit' \(did you mean 'units'\?\)"),
        ({}, "no 'units'"),
        ({"units": [1]}, r"units: got \[1\], wanted \[T, B\]"),
        ({"units": [["a"]]}, "units: "),
        ({"units": [[99]]}, "Gather: its inputs do not fit"),
        ({"units": [[1.5]]}, "units: "),
        ({"units": [[1, 1]], "state_in_00_h": np.zeros((1, 1, 8), np.float32)}, r"wanted \[1, 2, 8\]"),
    ],
)  # fmt: skip
def test_inputs_that_do_not_fit_are_refused(exported, inputs, message):
    model = runtime.load(exported("relu")[0])
    state = {f"state_in_{layer:02}_h": np.zeros((1, 1, 8), np.float32) for layer in range(2)} if inputs else {}
    with pytest.raises((DataError, UsageError), match=message):
        model.run(state | inputs)


def test_stream_of_a_model_without_states_is_refused(exported):
    with pytest.raises(UsageError, match="cannot read a stream"):
        runtime.load(exported("classify-both")[0]).stream()


def refused(run, folder, error, match, **options):
    with pytest.raises(error, match=match):
        run.export(folder / "x", onnx=True, **options)
    assert list(folder.iterdir()) == []


def test_segments_are_refused(tmp_path, task_pair):
    refused(task_pair("forecast-segment")[0], tmp_path, UsageError, "second pass, which has no graph; leave out --onnx")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"model": "transformer", "hidden": 8}, "a transformer has no recurrent layers; export it without --onnx"),
        ({"model": "cnn", "hidden": 8, "layers": 1}, "a convolution has no recurrent layers; export it without --onnx"),
        ({"model": "markov"}, "markov is no network; export it without --onnx"),
    ],
)
def test_models_that_have_no_graph_are_refused(tmp_path, tmp_path_factory, options, reason):
    epochs = None if options["model"] == "markov" else 1
    out = str(tmp_path_factory.mktemp("onnx") / "run")
    run = seriatim.train("language", TEXT, out=out, epochs=epochs, quiet=True, baselines="none", **options)
    refused(run, tmp_path, UsageError, reason)


def test_adaptive_softmax_is_refused(tmp_path, tmp_path_factory):
    text = [" ".join(f"w{number % 45}" for number in range(600))]
    run = seriatim.train(
        "language", text, out=str(tmp_path_factory.mktemp("onnx") / "run"), epochs=1, quiet=True, baselines="none",
        hidden=16, unit="word", softmax="adaptive",
    )  # fmt: skip
    refused(run, tmp_path, UsageError, "no adaptive softmax; train with --softmax full to export")


def test_rounded_weights_are_refused(trained, tmp_path):
    refused(trained("lstm"), tmp_path, UsageError, "ONNX files have float32 weights", dtype="int8")


def test_wrong_order_of_gates_is_not_written(trained, tmp_path, monkeypatch):
    import dataclasses

    wrong = dataclasses.replace(CONVENTIONS["ONNX"]["gru"], gates=("r", "z", "n"))
    monkeypatch.setitem(CONVENTIONS["ONNX"], "gru", wrong)
    refused(trained("eleven"), tmp_path, RunError, "model in onnxruntime differs by .*, wanted at most 1e-05")


def test_state_that_is_not_read_is_not_written(trained, tmp_path, monkeypatch):
    inputs = {name: tuple("-" if part.startswith("initial") else part for part in parts)
              for name, parts in layers.INPUTS.items()}  # fmt: skip
    monkeypatch.setattr(layers, "INPUTS", inputs)
    refused(trained("relu"), tmp_path, RunError, "differs by")


def test_cut_sequence_is_compared(trained, tmp_path, monkeypatch):
    cut = parity._cut
    monkeypatch.setattr(parity, "_cut", lambda value, shape, start, stop: cut(value, shape, start, stop)[::-1])
    refused(trained("lstm"), tmp_path, RunError, "differs by")


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_missing_libraries_name_their_extra(trained, tmp_path, monkeypatch, missing):
    import importlib

    original = importlib.import_module

    def absent(name, package=None):
        if name == missing:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        return original(name, package)

    monkeypatch.setattr(parity, "importlib", types.SimpleNamespace(import_module=absent))
    monkeypatch.setattr("seriatim.nn.interchange.onnx.importlib", types.SimpleNamespace(import_module=absent))
    refused(trained("lstm"), tmp_path, MissingExtra, r"pip install 'seriatim\[onnx\]'")


def test_default_options_of_language_are_exported(tmp_path, capsys):
    """The first two commands of a reader: layer normalisation is a default."""
    from seriatim.cli.app import run as run_command

    (tmp_path / "text.txt").write_text(TEXT[0] * 3)
    run, folder = str(tmp_path / "run"), str(tmp_path / "x")
    assert run_command(["train", "language", str(tmp_path / "text.txt"), "--out", run, "--epochs", "1"]) == 0
    assert run_command(["export", run, folder, "--onnx", "--use", "network"]) == 0
    assert "the largest difference is" in capsys.readouterr().out
    assert "Scan" in nodes_of(tmp_path / "x")


def test_command_line(trained, tmp_path, capsys):
    from seriatim.cli.app import run as run_command

    assert run_command(["export", str(trained("relu").path), str(tmp_path / "x"), "--onnx"]) == 0
    assert f"folder of ONNX files: {tmp_path / 'x'}" in capsys.readouterr().out
    assert [file.name for file in (tmp_path / "x").iterdir()] == ["model.onnx"]
