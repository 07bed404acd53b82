"""The addresses that a project gives of itself (METADATA), under the names that conda has for them."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: Well-known labels of Project-URL, normalised as the PyPA's specification says, to conda's keys.
_KINDS = {
    "homepage": "home",
    "source": "dev_url",
    "repository": "dev_url",
    "sourcecode": "dev_url",
    "github": "dev_url",
    "documentation": "doc_url",
    "docs": "doc_url",
}


def links(home_page: str, project_urls: Iterable[str]) -> dict[str, str]:
    """``home``, ``dev_url`` and ``doc_url``, as far as Home-page and Project-URL lines tell.

    A line is ``label, address``; the first of a kind counts, and Home-page before all.
    """
    found = {"home": home_page.strip()}
    for line in project_urls:
        label, _, target = line.partition(",")
        if key := _KINDS.get(re.sub(r"[\W_]", "", label.lower())):
            found[key] = found.get(key) or target.strip()
    return {key: link for key, link in found.items() if link}
