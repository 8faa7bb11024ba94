"""The captioner: pictures do not affect each other, padding changes nothing, and every weight learns."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from seriatim.models.captioner import CaptionBatch, Captioner, Convolutions, PictureSize, Views
from seriatim.models.decoder import NO_TARGET
from seriatim.models.options import ModelOptions

SIDE, WORDS = 16, 7
ATTENTIONS = ("none", "dot", "general", "concat", "additive")


def captioner(attention: str = "additive", *, side: int = SIDE, channels: int = 3, **arguments: object) -> Captioner:
    torch.manual_seed(0)
    options = ModelOptions(model="lstm", hidden=8, **arguments)  # type: ignore[arg-type]
    return Captioner(options, PictureSize(side, channels), WORDS, filters=4, peeky=True, attention=attention).eval()


def pixels(count: int = 3) -> Views:
    torch.manual_seed(1)
    return Views(torch.randn(count, 3, SIDE, SIDE))


def vectors() -> Views:
    torch.manual_seed(1)
    return Views(torch.randn(4, 3, 5), torch.tensor([4, 1, 2]))


def targets() -> Tensor:
    """Two captions of the first picture and one of the last."""
    end, out = WORDS, NO_TARGET
    return torch.tensor([[1, 2, 6], [3, end, 5], [end, out, 4], [out, out, end]])


def batch(views: Views) -> CaptionBatch:
    return CaptionBatch(views, torch.tensor([0, 0, 2]), targets())


@pytest.mark.parametrize(("side", "regions"), [(8, 16), (16, 16), (17, 9), (32, 16), (64, 16), (100, 49), (224, 196)])
def test_regions_of_pictures_of_any_side(side: int, regions: int) -> None:
    encoder = Convolutions(PictureSize(side, 1), 1)
    assert encoder(torch.randn(2, 1, side, side)).shape == (regions, 2, 8)


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("kind", ["pixels", "vectors"])
def test_pictures_do_not_affect_each_other(kind: str, attention: str) -> None:
    views = pixels() if kind == "pixels" else vectors()
    network = captioner(attention) if kind == "pixels" else captioner(attention, side=0, channels=5)
    together, _, _ = network.step(torch.tensor([1, 2, 3]), network.begin(views))
    for place in range(3):
        single_view = views.inputs[place : place + 1] if kind == "pixels" else views.inputs[:, place : place + 1]
        lengths = None if views.lengths is None else views.lengths[place : place + 1]
        alone, _, _ = network.step(torch.tensor([place + 1]), network.begin(Views(single_view, lengths)))
        torch.testing.assert_close(alone[0], together[place])


@pytest.mark.parametrize("attention", ["none", "additive"])
def test_padding_of_feature_vectors_changes_nothing(attention: str) -> None:
    network, views = captioner(attention, side=0, channels=5), vectors()
    assert views.lengths is not None
    padded = torch.where(torch.arange(4)[:, None, None] < views.lengths[:, None], views.inputs, 1e3)
    states, _, _ = network.step(torch.tensor([1, 2, 3]), network.begin(views))
    again, _, looked = network.step(torch.tensor([1, 2, 3]), network.begin(Views(padded, views.lengths)))
    torch.testing.assert_close(again, states)
    if looked is not None:
        assert looked[1, 1:].abs().max() == 0


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_loss_equals_sum_of_steps(attention: str) -> None:
    network, views = captioner(attention), pixels()
    total, count = 0.0, 0
    for caption, owner in zip(targets().T, [0, 0, 2], strict=True):
        state = network.begin(Views(views.inputs[owner : owner + 1]))
        previous = network.boundary
        for unit in caption[caption != NO_TARGET].tolist():
            chances, state, _ = network.step(torch.tensor([previous]), state)
            total, count, previous = total - float(chances[0, unit].detach()), count + 1, unit
    loss, carry = network.loss(batch(views), ())
    assert float(loss.detach()) == pytest.approx(total / count, rel=1e-5)
    assert (carry, batch(views).units) == ((), count)


def test_positions_are_seen() -> None:
    """The mean over all regions is the same for both pictures, which differ only in the place of the figure."""
    network = captioner("none")
    scene = torch.zeros(1, 3, SIDE, SIDE)
    scene[..., 2:6, 2:6] = 1.0
    corners = torch.cat([scene, scene.roll((8, 8), (2, 3))])
    first, second = network.encode(Views(corners)).context
    assert (first - second).abs().max() > 1e-3


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_every_weight_gets_a_gradient(attention: str) -> None:
    network = captioner(attention)
    loss, _ = network.loss(batch(pixels()), ())
    loss.backward()
    assert [
        name for name, parameter in network.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ] == []


@pytest.mark.parametrize(("attention", "peeky"), [("additive", False), ("none", True)])
def test_two_pictures_are_distinguished(attention: str, peeky: bool) -> None:
    torch.manual_seed(0)
    network = Captioner(
        ModelOptions(model="lstm", hidden=16), PictureSize(SIDE, 3), WORDS, filters=4, peeky=peeky, attention=attention
    )
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(60):
        loss, _ = network.loss(batch(pixels()), ())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    state = network.eval().begin(pixels())
    chances, _, _ = network.step(torch.full((3,), network.boundary), state)
    first, _, last = chances.detach().exp()
    assert last[6] > 0.9
    assert first[1] + first[2] > 0.9


def test_embeddings_of_words_and_boundary() -> None:
    network = captioner(embedding=5)
    assert network.embeddings.weight.shape == (WORDS + 1, 5)
    assert network.boundary == WORDS
