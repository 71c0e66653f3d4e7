"""Bundles with stored resources spliced in as they stand: decimals and offsets stay as sent."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


def searchset(
    resources: Iterable[tuple[str, str]],
    *,
    self_url: str,
    next_url: str | None = None,
    total: int | None = None,
) -> bytes:
    """Return a searchset Bundle.

    Args:
        resources: Pairs of the resource's own absolute address and its JSON text; the text is
            not read.
        self_url: The search as it was applied.
        next_url: The page after, if there is one.
        total: Number of matches, where it was counted.
    """
    links = [{"relation": "self", "url": self_url}]
    if next_url is not None:
        links.append({"relation": "next", "url": next_url})
    head: dict[str, object] = {"resourceType": "Bundle", "type": "searchset"}
    if total is not None:
        head["total"] = total
    head["link"] = links
    entries = ",".join(
        f'{{"fullUrl":"{url}","resource":{text},"search":{{"mode":"match"}}}}'
        for url, text in resources
    )
    start = msgspec.json.encode(head)
    if not entries:  # FHIR has no empty arrays
        return start
    return b'%b,"entry":[%b]}' % (start[:-1], entries.encode())
