"""Named time zones, for columns of any length, by Polars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast, final

from seriatim.encoding.zones import Stamps, Zone


@final
@dataclass(frozen=True)
class NamedZone(Zone):
    """A zone of the IANA database, such as ``Europe/Paris``."""

    name: str

    def to_local(self, instants: Stamps) -> Stamps:
        import polars

        series = polars.Series(instants).dt.replace_time_zone("UTC").dt.convert_time_zone(self.name)
        return cast("Stamps", series.dt.replace_time_zone(None).to_numpy())

    def to_instants(self, local: Stamps) -> Stamps:
        import polars

        series = polars.Series(local)
        zoned = series.dt.replace_time_zone(self.name, ambiguous="earliest", non_existent="null")
        if zoned.has_nulls():  # the clock skips these times: read them with the offset before the change
            earlier = series.dt.offset_by("-3h").dt.replace_time_zone(self.name, ambiguous="earliest")
            zoned = zoned.fill_null(
                earlier.dt.convert_time_zone("UTC").dt.offset_by("3h").dt.convert_time_zone(self.name)
            )
        return cast("Stamps", zoned.dt.convert_time_zone("UTC").dt.replace_time_zone(None).to_numpy())
