"""Every encoder and decoder: its loss is the sum of its steps, and rows, padding and order do not matter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from seriatim.models.decoder import NO_TARGET, DecoderState, Memory, RecurrentDecoder
from seriatim.models.options import ModelOptions
from seriatim.models.seq2seq import EncoderDecoder, RecurrentSeq2Seq, padded_pairs, padded_sources
from seriatim.models.transformer_seq2seq import TransformerSeq2Seq

SOURCE, TARGET = 9, 7
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "two layers": {"layers": 2},
    "gru": {"model": "gru"},
    "rnn peeky": {"model": "rnn", "peeky": True},
    "peeky, two layers": {"peeky": True, "layers": 2},
    "dot": {"attention": "dot"},
    "general, both directions": {"attention": "general", "bidirectional": True},
    "concat, tied": {"attention": "concat", "tie": True},
    "additive, peeky, tied": {"attention": "additive", "peeky": True, "tie": True, "layers": 2},
    "transformer": {"model": "transformer", "layers": 2},
    "transformer, tied": {"model": "transformer", "tie": True},
    "transformer, sinusoidal": {"model": "transformer", "layers": 2, "positions": "sinusoidal"},
}


@pytest.fixture(params=KINDS)
def network(request: pytest.FixtureRequest) -> EncoderDecoder:
    return make(**KINDS[request.param]).eval()


def make(*, dropout: float = 0.0, teacher_forcing: float = 1.0, **arguments: Any) -> EncoderDecoder:
    torch.manual_seed(0)
    own = {
        name: arguments.pop(name)
        for name in ("peeky", "attention", "tie", "embedding_start", "output_start")
        if name in arguments
    }
    options = ModelOptions(
        **({"model": "lstm", "hidden": 8, "embedding": 6, "dropout": dropout, "heads": 2} | arguments)
    )
    if options.model == "transformer":
        return TransformerSeq2Seq(options, SOURCE, TARGET, **own).double()
    return RecurrentSeq2Seq(options, SOURCE, TARGET, teacher_forcing=teacher_forcing, **own).double()


def pairs() -> tuple[list[Any], list[Any]]:
    draw = np.random.default_rng(0)
    sources = [draw.integers(0, SOURCE, length).astype(np.int32) for length in (4, 1, 6)]
    targets = [np.append(draw.integers(0, TARGET, length), TARGET).astype(np.int32) for length in (3, 5, 0)]
    return sources, targets


def by_steps(network: EncoderDecoder, sources: list[Any], targets: list[Any]) -> float:
    """Sum of the negative log-likelihoods, a unit at a time."""
    batch = padded_pairs(sources, targets)
    state = network.begin(batch.sources)
    tokens = torch.full((len(sources),), network.boundary)
    total = 0.0
    for row in batch.targets:
        chances, state, looked = network.step(tokens, state)
        torch.testing.assert_close(chances.exp().sum(-1), torch.ones(len(row)), check_dtype=False)
        assert looked is None or torch.allclose(looked.sum(-1), torch.ones(len(row)).double())
        is_target = row != NO_TARGET
        tokens = row.clamp(min=0)
        total -= float(chances[is_target, row[is_target]].sum())
    return total


@torch.no_grad()
def test_loss_is_sum_of_steps(network: EncoderDecoder) -> None:
    sources, targets = pairs()
    batch = padded_pairs(sources, targets)
    assert batch.units == 11
    loss, _ = network.loss(batch, ())
    assert float(loss) * 11 == pytest.approx(by_steps(network, sources, targets), rel=1e-5)


@torch.no_grad()
def test_padding_and_other_rows_change_nothing(network: EncoderDecoder) -> None:
    sources, targets = pairs()
    alone = [by_steps(network, [first], [second]) for first, second in zip(sources, targets, strict=True)]
    assert sum(alone) == pytest.approx(by_steps(network, sources, targets), rel=1e-5)


@torch.no_grad()
def test_rows_of_state_can_be_taken_and_repeated(network: EncoderDecoder) -> None:
    sources, _ = pairs()
    state = network.begin(padded_sources(sources))
    _, state, _ = network.step(torch.tensor([TARGET] * 3), state)
    chances, _, _ = network.step(torch.tensor([1, 2, 3]), state)
    rows, _, _ = network.step(torch.tensor([3, 1, 3]), state.take(torch.tensor([2, 0, 2])))
    torch.testing.assert_close(rows, chances[[2, 0, 2]], rtol=1e-5, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize(
    "takes",
    [
        [[0, 0, 1, 1, 2, 2], [1, 1, 3, 2, 4, 5], [1, 0, 4, 4]],  # a beam of 2, which loses a source
        [[0, 0, 0, 2, 2, 2], [3, 4, 4, 0]],
        [[0, 0, 1, 2], [2, 2, 2, 2], [0]],
        [[1, 1], []],
    ],
)
def test_rows_of_one_source_share_its_memory(network: EncoderDecoder, takes: list[list[int]]) -> None:
    """A decoder that wrote the same in each row gives the same, however the state was taken."""
    sources, _ = pairs()
    state = network.begin(padded_sources(sources))
    owners = torch.arange(3)
    for step, rows in enumerate(takes):
        places = torch.tensor(rows, dtype=torch.int64)
        owners, state = owners[places], state.take(places)
        if not rows:
            break
        chances, state, looked = network.step(torch.full((len(rows),), step), state)
        alone = network.begin(padded_sources(sources))
        for unit in range(step + 1):
            expected, alone, attention = network.step(torch.full((3,), unit), alone)
        torch.testing.assert_close(chances, expected[owners], rtol=1e-5, atol=1e-6)
        if looked is not None:
            torch.testing.assert_close(looked, attention[owners], rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_beam_does_not_copy_the_memory() -> None:
    network = make(attention="additive", peeky=True).eval()
    state = network.begin(padded_sources(pairs()[0]))
    beam = state.take(torch.tensor([0, 0, 1, 1, 2, 2]))
    assert beam.memory is state.memory and beam.group == 2
    assert beam.take(torch.tensor([1, 0, 3, 3, 4, 5])).keys is state.keys
    fewer = beam.take(torch.tensor([2, 3, 4, 4]))
    assert len(fewer.memory.context) == 2 and fewer.group == 2
    whole, _, alignment = network.decoder(torch.tensor([[1, 2, 3, 1], [2, 2, 0, 0]]), fewer)
    for step, tokens in enumerate([[1, 2, 3, 1], [2, 2, 0, 0]]):
        part, fewer, looked = network.decoder(torch.tensor([tokens]), fewer)
        torch.testing.assert_close(whole[step], part[0])
        torch.testing.assert_close(alignment[step], looked[0])


def test_every_weight_gets_a_gradient(network: EncoderDecoder) -> None:
    loss, _ = network.train().loss(padded_pairs(*pairs()), ())
    loss.backward()
    without = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert without == []


def test_learns_to_reverse_a_sequence(network: EncoderDecoder) -> None:
    draw = np.random.default_rng(1)
    sources = [draw.integers(0, TARGET, draw.integers(1, 4)).astype(np.int32) for _ in range(40)]
    batch = padded_pairs(sources, [np.append(source[::-1], TARGET).astype(np.int32) for source in sources])
    optimizer = torch.optim.Adam(network.parameters(), 2e-2)
    first = float(network.loss(batch, ())[0].detach())
    for _ in range(40):
        optimizer.zero_grad()
        loss, _ = network.train().loss(batch, ())
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.8 * first


@pytest.mark.parametrize(("arguments", "source", "target"), [({}, 1.0, 1.0), ({"tie": True}, 1.0, 0.1)])
def test_initial_width_of_embeddings(arguments: dict[str, Any], source: float, target: float) -> None:
    network = make(**arguments)
    for embedding, width in ((network.embeddings, source), (network.decoder.embedding, target)):
        assert 0.8 * width < float(embedding.weight.detach().abs().max()) <= width


def test_embedding_start_and_output_start() -> None:
    for tie in (False, True):
        network = make(embedding=60, tie=tie, embedding_start=0.02)
        for embedding in (network.embeddings, network.decoder.embedding):
            assert float(embedding.weight.detach().std()) == pytest.approx(0.02, rel=0.1)
    for start, deviation in ((None, 400**-0.5 / 3**0.5), (0.2, 0.2)):
        output = make(hidden=400, output_start=start).decoder.output
        assert float(output.weight.detach().std()) == pytest.approx(deviation, rel=0.1)
        assert bool(output.bias.detach().any()) is (start is None)


def test_embeddings_belong_to_the_source(network: EncoderDecoder) -> None:
    assert network.embeddings.num_embeddings == SOURCE


def test_single_layer_takes_context_as_first_state() -> None:
    decoder = RecurrentDecoder(ModelOptions(model="lstm", hidden=5), TARGET, 5)
    context = torch.randn(3, 5)
    ((h, c),) = decoder.start(Memory(context)).layers
    assert torch.equal(h[0], context) and not c.any()
    assert decoder.bridge.affine is None


def test_peeky_reads_context_at_every_step() -> None:
    """A vanishing start is forgotten; a peeky decoder is told at every step."""
    for peeky in (False, True):
        torch.manual_seed(0)
        options = ModelOptions(model="gru", hidden=5, embedding=4)
        decoder = RecurrentDecoder(options, TARGET, 5, peeky=peeky)
        context = torch.randn(1, 5, requires_grad=True)
        state = decoder.start(Memory(context))
        if not peeky:
            assert decoder.layers[0].layers.input_size == 4
            continue
        assert decoder.layers[0].layers.input_size == 9
        assert decoder.output is not None and decoder.output.in_features == 10
        blind = decoder.start(Memory(context.detach())).layers  # the start tells nothing of the context
        chances, _, _ = decoder.step(torch.tensor([1]), DecoderState(state.memory, None, blind))
        (gradient,) = torch.autograd.grad(chances[0, 0], context)
        assert gradient.any()


def test_scheduled_sampling_reads_its_own_units() -> None:
    batch = padded_pairs(*pairs())
    forced = make()
    own = make(teacher_forcing=0.0)
    own.load_state_dict(forced.state_dict())
    true, _ = forced.train().loss(batch, ())
    free, _ = own.train().loss(batch, ())
    assert float(true.detach()) != float(free.detach())
    with torch.no_grad():
        total, state = 0.0, own.begin(batch.sources)
        tokens = torch.full((3,), TARGET)
        for row in batch.targets:
            chances, state, _ = own.step(tokens, state)
            is_target = row != NO_TARGET
            total -= float(chances[is_target, row[is_target]].sum())
            tokens = chances.argmax(-1)
        assert float(free.detach()) == pytest.approx(total / batch.units, rel=1e-5)
        judged, _ = own.eval().loss(batch, ())
    assert float(judged) == pytest.approx(float(true.detach())), "only training reads its own units"
