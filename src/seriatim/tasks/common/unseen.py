"""Labels and tags that the training part lacks. They are scored as errors, because no model can predict them."""

from __future__ import annotations

from collections.abc import Sequence

from seriatim.encoding.labels import Labels
from seriatim.errors import DataError

TRAIN = "train part"


def extend_labels(
    known: Labels, names: Sequence[str], locations: Sequence[str], place: str, noun: str = "label"
) -> tuple[Labels, list[str]]:
    """Return ``known`` with the unseen ``names`` added at the end, and a note about them for the user, if any.

    ``place`` names the data, ``noun`` the names, and ``locations`` says where each name is. Raises ``DataError`` for an
    unseen name in the training part of an update, whose model has no output for it, and for a validation part in which
    no name is known.
    """
    unseen = [index for index, name in enumerate(names) if name not in known]
    if not unseen:
        return known, []
    first = f"{locations[unseen[0]]}: '{names[unseen[0]]}'"
    if place == TRAIN:
        raise DataError(f"{first} was not in the training part of this run; an update cannot learn a new {noun}")
    if place == "valid part" and len(unseen) == len(names):
        raise DataError(f"{first} is not in the training part, nor is any other {noun} of the valid part")
    note = (
        f"{place}: {len(unseen)} of {len(names)} {noun}s are not in the training part and count as errors, the first "
    )
    return known.extended(names[index] for index in unseen), [note + first]
