"""Addresses of databases as messages may show them."""

from __future__ import annotations

import re


def without_password(address: str) -> str:
    """Return an address without its user and password. A path of a file stays as it is.

    >>> without_password("postgresql://me:secret@host/studies")
    'postgresql://host/studies'
    >>> without_password("unix:///run/redis.sock?db=1&password=secret")
    'unix:///run/redis.sock?db=1&password=***'
    >>> without_password("sqlite:////data/me@work.db")
    'sqlite:////data/me@work.db'
    """
    scheme, mark, rest = address.partition("://")
    if not mark:
        return address
    # A password may have any sign in it, so everything up to the last @ goes; a file has no user.
    place = rest if rest.startswith("/") else rest.rpartition("@")[2]
    hidden = re.sub(r"([?&]password=)[^&]*", r"\1***", place)
    return f"{scheme}{mark}{hidden}"
