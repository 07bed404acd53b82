"""A channel's files say what CEPs 16 and 36 ask for, the same bytes for the same packages."""

from __future__ import annotations

import datetime as dt
import json
from itertools import permutations
from typing import Any

import msgpack
import zstandard

from conda_pypi_bridge.channel import formats
from conda_pypi_bridge.channel.formats import placeholder, salt
from conda_pypi_bridge.channel.model import Published
from conda_pypi_bridge.model import ProjectName
from tests.benchmarks.shards import digests, made_up_names

CREATED = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.timezone(dt.timedelta(hours=1)))


def package(name: str, version: str, *depends: str, build: str = "py_0", **entry: Any) -> Published:
    fn = f"{name}-{version}-{build}.conda"
    fields = {"name": name, "version": version, "build": build, "build_number": 0, "depends": list(depends)}
    hashes = {"sha256": "ab" * 32, "md5": "cd" * 16, "size": 5}
    return Published(
        fn=fn,
        subdir="noarch",
        project=ProjectName(name),
        entry={**fields, **hashes, "subdir": "noarch"} | entry,
    )


def unpacked(content: bytes) -> Any:
    """What a client reads: it may trust the frame's own word on its size."""
    size = zstandard.frame_content_size(content)
    plain = zstandard.decompress(content)
    assert len(plain) == size
    return msgpack.unpackb(plain)


def test_a_shard_has_the_records_by_file_name_with_binary_hashes() -> None:
    """CEP 16: "sha256 and md5 [...] are converted from their hex representation to bytes"."""
    shard = unpacked(formats.shard([package("flask", "3.1", "python >=3.9")]))
    assert shard["packages"] == {}
    assert shard["removed"] == []
    (record,) = shard["packages.conda"].values()
    assert list(shard["packages.conda"]) == ["flask-3.1-py_0.conda"]
    assert record["sha256"] == b"\xab" * 32
    assert record["md5"] == b"\xcd" * 16
    assert record["depends"] == ["python >=3.9"]
    assert record["size"] == 5


def test_an_empty_shard_is_a_shard() -> None:
    assert unpacked(formats.shard([])) == {"packages": {}, "packages.conda": {}, "removed": []}


def test_a_record_without_an_md5_gets_none() -> None:
    shard = unpacked(formats.shard([package("flask", "3.1", md5=None)]))
    assert shard["packages.conda"]["flask-3.1-py_0.conda"]["md5"] is None


def test_the_order_of_packages_does_not_change_the_bytes() -> None:
    packages = [package("a", "1"), package("a", "2"), package("a_extra_x", "2")]
    orders = [list(order) for order in permutations(packages)]
    assert len({formats.shard(order) for order in orders}) == 1
    assert len({formats.repodata("noarch", order) for order in orders}) == 1


def test_the_index_names_each_shard() -> None:
    names = [("flask", placeholder(salt("x"), "flask", 7)), ("zope", placeholder(salt("x"), "zope", 9))]
    index = unpacked(formats.shard_index("noarch", names, created=CREATED))
    assert index == {
        "version": 1,
        "info": {
            "subdir": "noarch",
            "base_url": "",
            "shards_base_url": "./shards/",
            "created_at": "2026-01-02T02:04:05Z",
        },
        "shards": dict(names),
    }


def test_an_index_can_be_empty() -> None:
    assert unpacked(formats.shard_index("noarch", [], created=CREATED))["shards"] == {}


def test_every_change_makes_another_placeholder() -> None:
    """All clients keep a shard by these bytes for ever."""
    here = salt("pypi", "noarch", "digest of the scope")
    names = [
        placeholder(here, "flask", 1),
        placeholder(here, "flask", 2),
        placeholder(here, "flask", 2, b"one package"),
        placeholder(here, "flask", 2, b"two packages"),
        placeholder(here, "flask", 2, b"two packages", listed=1),
        placeholder(here, "flask-login", 1),
        placeholder(salt("pypi", "linux-64", "digest of the scope"), "flask", 1),
        placeholder(salt("pypi", "noarch", "another scope"), "flask", 1),
        placeholder(salt("pypi", "noarchdigest", " of the scope"), "flask", 1),
    ]
    assert len(set(names)) == len(names)
    assert {len(name) for name in names} == {32}


def test_a_placeholder_is_the_same_in_every_process() -> None:
    made = placeholder(salt("pypi", "noarch"), "flask", 33_000_000, b"known", listed=3)
    assert made.hex() == "276f90b2a8413e80a9d1711100031e1ff8319b0f000001f78a4002a89e887fc4"


def test_a_placeholder_tells_its_name_and_what_the_index_listed() -> None:
    made = placeholder(salt("pypi"), "flask", 5, b"known", listed=700)
    assert formats.fingerprint_of(made) == formats.fingerprint("flask")
    assert formats.fingerprint_of(made) != formats.fingerprint("flask-login")
    assert formats.listed_in(made) == 700


def test_the_index_of_many_names_stays_small() -> None:
    """Every client downloads it; hashes of contents would take 32 bytes a name, which nothing shortens."""
    names = made_up_names(20_000)
    content = formats.shard_index("noarch", digests(names, 100), created=CREATED)
    assert len(content) < 20 * len(names)
    assert unpacked(content)["shards"] == dict(digests(names, 100))


def test_repodata_lists_packages_by_file_name() -> None:
    document = json.loads(formats.repodata("noarch", [package("flask", "3.1"), package("zope", "1")]))
    assert document["info"] == {"subdir": "noarch"}
    assert document["repodata_version"] == 1
    assert list(document["packages.conda"]) == ["flask-3.1-py_0.conda", "zope-1-py_0.conda"]
    assert document["packages.conda"]["flask-3.1-py_0.conda"]["sha256"] == "ab" * 32


def test_a_document_is_compressed_as_it_is() -> None:
    document = formats.repodata("noarch", [package("flask", "3.1")])
    assert zstandard.decompress(formats.compressed(document)) == document


# -- what is current -----------------------------------------------------------------------------------


def current(*packages: Published) -> list[str]:
    return [f"{item.entry['name']}-{item.entry['version']}" for item in formats.current(packages)]


def test_the_newest_version_of_each_name_is_current() -> None:
    assert current(package("a", "1.9"), package("a", "1.10"), package("b", "2")) == ["a-1.10", "b-2"]


def test_all_builds_of_the_newest_version_are_current() -> None:
    packages = [
        package("a", "1", build="py_1"),
        package("a", "1", build="py_2"),
        package("a", "0", build="py_3"),
    ]
    assert current(*packages) == ["a-1", "a-1"]


def test_an_older_version_that_something_current_needs_is_current() -> None:
    packages = [package("a", "1", "b <2dev0"), package("b", "2"), package("b", "1.5", "c"), package("b", "1")]
    assert current(*packages, package("c", "1")) == ["a-1", "b-1.5", "b-2", "c-1"]


def test_what_an_older_version_needs_is_current() -> None:
    packages = [
        package("a", "1", "b ==1"),
        package("b", "2"),
        package("b", "1", "c <2dev0"),
        package("c", "2"),
    ]
    assert current(*packages, package("c", "1.1")) == ["a-1", "b-1", "b-2", "c-1.1", "c-2"]


def test_dependencies_of_other_channels_are_left_to_them() -> None:
    assert current(package("a", "1", "python >=3.9,<3.11dev0|>=3.12", "__glibc >=2.17")) == ["a-1"]


def test_a_build_in_a_dependency_does_not_hide_its_version() -> None:
    assert current(package("a_extra_x", "1", "a ==1 py_0"), package("a", "1"), package("a", "2")) == [
        "a-1",
        "a-2",
        "a_extra_x-1",
    ]


def test_a_placeholder_has_room_for_any_number_of_extras() -> None:
    salt = formats.salt("channel")
    for listed, told in ((0, 0), (300, 300), (65_535, 65_535), (1 << 20, 65_535)):
        assert formats.listed_in(formats.placeholder(salt, "demo", 1, listed=listed)) == told
