"""What a channel answers while the index changes, fails and returns: real indexes, real builds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack
import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from conda_pypi_bridge.building import zstd
from conda_pypi_bridge.channel import failures, offering, offers, supply, wants, withdrawals
from conda_pypi_bridge.channel.catalogue import Budget, Catalogue
from conda_pypi_bridge.channel.model import Published, Scope
from conda_pypi_bridge.channel.store import ChannelStore
from conda_pypi_bridge.config import IndexConfig
from conda_pypi_bridge.errors import Busy
from conda_pypi_bridge.index.answers import Limits
from conda_pypi_bridge.model import CondaName, PackageRecord, ProjectName
from conda_pypi_bridge.names import Names
from conda_pypi_bridge.server.permitted import PermittedIndex
from tests.indexserver import IndexServer, says, sleeps

SCOPE = Scope(subdirs=("linux-64",), pythons=(Version("3.11"), Version("3.12")))
NATIVE = "cp312-cp312-manylinux_2_17_x86_64"
WHEEL = r"\.whl$"

#: Quick to see what changes, for tests.
QUICK = Budget(index_seconds=0.1, page_seconds=0.1, first=3.0, last=10.0)


class Client:
    """A client without a cache, of a channel of its own process."""

    def __init__(self, server: IndexServer, folder: Path, store: str | Path = "", **options: Any) -> None:
        budget = options.pop("budget", QUICK)
        hosts = options.pop("allowed_hosts", None)
        config = IndexConfig(
            indexes=(server.url,), keyring=False, timeout=2.0, retries=0, allowed_hosts=hosts
        )
        index = PermittedIndex(
            config,
            folder / "cache",
            blocked=options.pop("blocked", ()),
            page_seconds=budget.page_seconds,
            limits=Limits(patience=2.0),
        )
        self.store = ChannelStore(store or folder / "store", fresh_seconds=0.05)
        names = options.pop("names", Names())
        self.catalogue = Catalogue(SCOPE, index, self.store, names, budget=budget, **options)

    def index(self, subdir: str = "noarch") -> dict[str, str]:
        shards = msgpack.unpackb(zstd.decompress(self.catalogue.shard_index(subdir)))["shards"]
        return {name: digest.hex() for name, digest in shards.items()}

    def document(self, name: str, subdir: str = "noarch", digest: str = "") -> dict[str, Any]:
        data = self.catalogue.shard(subdir, digest or self.index(subdir)[name])
        found: dict[str, Any] = msgpack.unpackb(zstd.decompress(data))
        return found

    def published(self) -> list[dict[str, Any]]:
        """The packages of demo that people are told of."""
        found: list[dict[str, Any]] = self.catalogue.describe(ProjectName("demo"))["published"]
        return found

    def records(self, name: str, subdir: str = "noarch", digest: str = "") -> list[str]:
        """``name-version`` of the records in a shard."""
        return [fn.rpartition("-")[0] for fn in self.document(name, subdir, digest)["packages.conda"]]


MakeClient = Callable[..., Client]


@pytest.fixture(params=[True, False], ids=["serials", "no serials"])
def server(request: pytest.FixtureRequest) -> Iterator[IndexServer]:
    """An index that tells serials, as the public one does, or none, as most others."""
    with IndexServer(serials=request.param, etags=True, max_age=600) as server:
        yield server


@pytest.fixture
def client(server: IndexServer, tmp_path: Path) -> Iterator[MakeClient]:
    made: list[Client] = []

    def make(**options: Any) -> Client:
        made.append(Client(server, tmp_path, **options))
        return made[-1]

    yield make
    for one in made:
        one.catalogue.close()


def until(said: Callable[[], bool], seconds: float = 15.0) -> float:
    """Wait for what becomes true; how long it took."""
    begun = time.monotonic()
    while not said():
        assert time.monotonic() - begun < seconds
        time.sleep(0.05)
    return time.monotonic() - begun


def test_a_cold_shard_has_packages_that_can_be_had(server: IndexServer, client: MakeClient) -> None:
    server.add("demo", "1.0", requires=["wanted>=2"])
    one = client()
    (entry,) = one.document("demo")["packages.conda"].values()
    found = one.catalogue.package("noarch", f"demo-1.0-{entry['build']}.conda")
    assert found is not None
    artefact, file = found
    with file:
        assert len(file.read()) == artefact.size == entry["size"]
    assert (artefact.sha256, artefact.md5) == (entry["sha256"].hex(), entry["md5"].hex())
    assert one.records("demo", "linux-64") == []


def test_native_wheels_are_in_their_subdir_alone(server: IndexServer, client: MakeClient) -> None:
    server.add("native", "1.0", tags=NATIVE)
    one = client()
    assert (one.records("native"), one.records("native", "linux-64")) == ([], ["native-1.0"])


@pytest.mark.parametrize("digest", ["00" * 32, "zz", "", "12" * 40], ids=str)
def test_what_no_index_lists_has_an_empty_shard(server: IndexServer, client: MakeClient, digest: str) -> None:
    server.add("demo", "1.0")
    one = client()
    assert one.document("", digest=digest or "ff")["packages.conda"] == {}
    assert one.document("", "win-64", one.index()["demo"])["packages.conda"] == {}
    assert one.index("win-64") == {}


def test_projects_that_cannot_be_used_have_empty_shards(server: IndexServer, client: MakeClient) -> None:
    server.publish("old-1.0.tar.gz", b"sdist", project="old")
    server.add("hostile", "1.0", members={"../outside.py": "x"})
    server.add("bad", "1.0", requires=["x @ https://example.invalid/x.whl"])
    server.add("held", "1.0")
    server.status["held"] = {"status": "quarantined"}
    server.add("gone", "1.0")
    server.on("/simple/gone/", says(404))
    one = client()
    assert {name: one.records(name) for name in one.index()} == {name: [] for name in one.index()}
    asked = server.count("hostile.*whl$")
    assert one.records("hostile") == [] and server.count("hostile.*whl$") == asked == 1


def test_fifty_clients_that_ask_for_one_cold_shard_have_it_built_once(
    server: IndexServer, client: MakeClient
) -> None:
    server.add("demo", "1.0")
    server.on(WHEEL, sleeps(0.3))
    one = client()
    digest = one.index()["demo"]
    with ThreadPoolExecutor(50) as pool:
        shards = list(pool.map(lambda _: one.catalogue.shard("noarch", digest), range(50)))
    assert len({*shards}) == 1 and one.records("demo", digest=digest) == ["demo-1.0"]
    assert server.count(WHEEL) == 1
    assert server.count("/simple/demo/") == 1


def test_what_is_not_built_in_time_is_offered_later(server: IndexServer, client: MakeClient) -> None:
    """The newest comes first; the placeholder changes when there is more."""
    server.add("demo", "1.0")
    server.add("demo", "2.0")
    server.on(r"demo-1.0.*\.whl$", sleeps(1.5))
    one = client(budget=Budget(index_seconds=0.1, page_seconds=0.1, first=0.6, last=10.0))
    before = one.index()
    assert one.records("demo", digest=before["demo"]) == ["demo-2.0"]
    until(lambda: len([*one.store.published(ProjectName("demo"))]) == 2)
    until(lambda: one.index()["demo"] != before["demo"])
    assert one.records("demo") == ["demo-1.0", "demo-2.0"]


def test_who_could_be_offered_nothing_is_told_when_to_come_back(
    server: IndexServer, client: MakeClient
) -> None:
    server.add("demo", "1.0")
    server.on(WHEEL, sleeps(1.5))
    one = client(budget=Budget(index_seconds=0.1, page_seconds=0.1, first=0.1, last=0.5, retry_after=7))
    digest = one.index()["demo"]
    with pytest.raises(Busy) as busy:
        one.records("demo", digest=digest)
    assert busy.value.retry_after == 7
    until(lambda: any(one.store.published(ProjectName("demo"))))
    assert one.records("demo", digest=digest) == ["demo-1.0"]


def test_the_first_package_is_waited_for_longer_than_more_of_them(
    server: IndexServer, client: MakeClient
) -> None:
    server.add("demo", "1.0")
    server.on(WHEEL, sleeps(1.0))
    one = client(budget=Budget(first=0.1, last=10.0))
    assert one.records("demo") == ["demo-1.0"]


@pytest.mark.parametrize("slow", ["own", "extra", "own, with extras"])
def test_a_shard_waits_for_its_own_packages(
    server: IndexServer, client: MakeClient, monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    """What is ready of the other shards of a project is none of its own, and clients keep it as it is."""
    server.add("demo", "1.0", extras={"more": ["x"]})
    build = supply.Supply._build

    def delayed(self: supply.Supply, record: PackageRecord) -> Published:
        if bool(record.extra) == (slow == "extra") and record.subdir == "noarch":
            time.sleep(1.0)
        return build(self, record)

    budget = Budget(index_seconds=0.1, page_seconds=0.1, first=0.2, last=10.0)
    old = (one := client(budget=budget)).index()
    wheels = client(label="wheels", direct=True)
    wheels.records("demo")
    until(lambda: "demo_extra_more" in wheels.index())
    for item in wheels.store.published(ProjectName("demo")):
        wheels.store.retract(item)
    monkeypatch.setattr(supply.Supply, "_build", delayed)
    if slow == "own, with extras":
        assert one.records("demo", digest=old["demo"])[0] == "demo-1.0"
        return
    one = client(budget=budget)
    name = {"own": "demo", "extra": "demo_extra_more"}[slow]
    assert "demo_extra_more" in one.index()
    assert one.records(name) == [f"{name}-1.0"]


def test_a_new_release_is_offered_within_seconds(server: IndexServer, client: MakeClient) -> None:
    """Although the index allows to use its pages for ten minutes, and a client keeps shards for ever."""
    server.add("demo", "1.0")
    one = client()
    assert one.records("demo") == ["demo-1.0"]
    time.sleep(0.5)
    before = one.index()["demo"]
    one.records("demo", digest=before)
    server.add("demo", "2.0")
    server.add("brand-new", "1.0")
    took = until(lambda: one.index()["demo"] != before and "brand-new" in one.index())
    assert took < 5
    assert one.records("demo") == ["demo-1.0", "demo-2.0"]
    assert one.records("brand-new") == ["brand-new-1.0"]


def test_nothing_new_leaves_the_index_as_it_is(server: IndexServer, client: MakeClient) -> None:
    server.add("demo", "1.0", extras={"more": ["wanted"]})
    one = client()
    one.records("demo")
    until(lambda: "demo_extra_more" in one.index())
    before = one.index()
    one.records("demo")
    time.sleep(0.5)
    assert one.index() == before
    assert one.index("linux-64").keys() == before.keys()
    assert not {*one.index("linux-64").values()} & {*before.values()}


def test_what_the_index_withdraws_is_offered_no_more(server: IndexServer, client: MakeClient) -> None:
    server.add("demo", "1.0")
    server.add("demo", "2.0")
    one = client()
    assert one.records("demo") == ["demo-1.0", "demo-2.0"]
    time.sleep(0.3)
    server.pages["demo"][1]["yanked"] = "broken"
    until(lambda: one.records("demo") == ["demo-1.0"])


def test_the_package_of_a_file_that_was_withdrawn_is_offered_no_more(
    server: IndexServer, client: MakeClient
) -> None:
    """Although its version is still there, as another file."""
    server.add("demo", "1.0", tags=NATIVE)
    server.add("demo", "1.0")
    one = client()
    assert one.records("demo", "linux-64") == ["demo-1.0"]
    assert one.records("demo") == ["demo-1.0"]
    time.sleep(0.3)
    server.pages["demo"].pop(0)
    until(lambda: one.records("demo", "linux-64") == [])
    assert one.records("demo") == ["demo-1.0"]


def test_a_project_that_is_gone_is_in_no_document(server: IndexServer, client: MakeClient) -> None:
    """Malware is removed with its project: who reads whole documents must not get it from here."""
    server.add("demo", "1.0")
    server.add("malware", "1.0")
    one = client()
    one.records("demo")
    (fn,) = one.document("malware")["packages.conda"]

    def listed() -> set[str]:
        documents = (one.catalogue.repodata("noarch"), one.catalogue.current_repodata("noarch"))
        return {e["name"] for text in documents for e in json.loads(text)["packages.conda"].values()}

    until(lambda: listed() == {"demo", "malware"})
    del server.pages["malware"]
    until(lambda: listed() == {"demo"})
    until(lambda: one.catalogue.package("noarch", fn) is None)


def test_a_list_of_projects_admits_no_others(server: IndexServer, client: MakeClient) -> None:
    """Whatever another channel has put into the same store."""
    server.add("demo", "1.0")
    server.add("other", "1.0")
    whole = client(label="whole")
    (fn,) = whole.document("other")["packages.conda"]
    assert {*client(projects=[Requirement("other")], label="others").index()} == {"other"}
    one = client(projects=[Requirement("demo")])
    assert {*one.index()} == {"demo"}
    assert one.records("demo") == ["demo-1.0"]
    assert [e["name"] for e in json.loads(one.catalogue.repodata("noarch"))["packages.conda"].values()] == [
        "demo"
    ]
    assert one.catalogue.package("noarch", fn) is None


def test_while_the_index_is_down_there_is_what_there_was(
    server: IndexServer, client: MakeClient, tmp_path: Path
) -> None:
    """Also for another process: the list of projects and the packages are in the store."""
    server.add("demo", "1.0")
    server.add("cold", "1.0")
    first = client()
    assert first.records("demo") == ["demo-1.0"]
    server.on("", says(503))
    other = Client(server, tmp_path / "other", tmp_path / "store")
    try:
        for one in (first, other):
            assert {*one.index()} == {"cold", "demo"}
            assert one.records("demo") == ["demo-1.0"]
            with pytest.raises(Busy):
                one.records("cold")
        assert "index" in other.catalogue.problem
        server.heal()
        until(lambda: _has(other, "cold"))
    finally:
        other.catalogue.close()


def test_who_asks_before_anything_is_known_is_to_come_back(server: IndexServer, client: MakeClient) -> None:
    server.on("", says(503))
    one = client()
    with pytest.raises(Busy):
        one.index()
    with pytest.raises(Busy):
        one.catalogue.shard("noarch", "00" * 32)
    server.heal()
    until(lambda: _answers(one))


def _has(one: Client, name: str) -> bool:
    try:
        return one.records(name) != []
    except Busy:
        return False


def _answers(one: Client) -> bool:
    try:
        return one.index() == {}
    except Busy:
        return False


def test_a_version_that_others_require_is_offered_too(server: IndexServer, client: MakeClient) -> None:
    for version in ("1.0", "1.5", "2.0", "3.0"):
        server.add("demo", version)
    server.add("app", "1.0", requires=["demo<2", "other>=1"], extras={"x": ["demo==2.0"]})
    one = client(budget=Budget(depth=1, index_seconds=0.1, page_seconds=0.1))
    before = one.index()
    assert one.records("demo", digest=before["demo"]) == ["demo-3.0"]
    one.records("app")
    assert until(lambda: one.index()["demo"] != before["demo"]) < 5
    assert one.records("demo") == ["demo-1.5", "demo-2.0", "demo-3.0"]


def test_a_project_may_ask_little_of_another(server: IndexServer, client: MakeClient) -> None:
    """A stranger's upload must not make the plans of a project that many use cost more and more."""
    server.add("demo", "1.0")
    for number in range(3):
        server.add(f"greedy{number}", "1.0", requires=[f"demo<{number}.{n}" for n in range(150)])
    server.add("broad", "1.0", requires=[f"other{n}<2" for n in range(700)])
    one = client()
    for name in ("greedy0", "greedy1", "greedy2", "broad"):
        assert one.records(name) == [f"{name}-1.0"]
        assert one.records(name, "linux-64") == []
    assert len(one.store.noted("wants", ProjectName("demo"))) == 30
    assert len(one.store.all_noted("wants")) == 501


def test_who_only_leaves_out_old_versions_wants_nothing_further(
    server: IndexServer, client: MakeClient
) -> None:
    """The newest versions meet that, and those to come; what a future or the newest one may not is noted."""
    for version in ("1.0", "1.1", "2.0"):
        server.add("demo", version)
    server.add("old", "1.0", requires=["demo!=1.0,>=0.5", "demo!=1.*"])
    server.add("new", "1.0", requires=["demo!=2.0"])
    server.add("future", "1.0", requires=["demo!=3.0"])
    server.add("bounded", "1.0", requires=["demo<3"])
    one = client(budget=replace(QUICK, depth=1))
    noted: set[str] = set()
    for name, wanted in (("old", ""), ("new", "!=2.0"), ("future", "!=3.0"), ("bounded", "<3")):
        one.records(name)
        noted |= {wanted} - {""}
        assert one.store.noted("wants", ProjectName("demo")) == noted
    assert one.records("demo") == ["demo-1.1", "demo-2.0"]


def test_what_is_wanted_of_a_project_has_an_end(
    server: IndexServer, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wants, "_WANTED", 5)
    for number in range(7):
        server.add(f"app{number}", "1.0", requires=[f"demo<{number}"])
    one = client()
    for number in range(7):
        one.records(f"app{number}")
    assert len(one.store.noted("wants", ProjectName("demo"))) == 5


def test_extras_beyond_all_use_are_left_out(
    server: IndexServer,
    client: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The placeholder of a project counts them in two bytes."""
    monkeypatch.setattr(offers, "EXTRAS", 3)
    server.add("demo", "1.0", extras={f"e{n}": [] for n in range(5)})
    server.add("demo", "2.0", extras={f"f{n}": [] for n in range(3)})
    one = client()
    assert len(one.records("demo")) == 2 + 3 + 3
    until(lambda: "demo_extra_f0" in one.index())
    assert len([name for name in one.index() if "_extra_" in name]) == 3
    assert "has 5 extras" in caplog.text and "too many extras" in caplog.text


def test_extras_are_carried_until_the_index_lists_them(server: IndexServer, client: MakeClient) -> None:
    """Clients have a record from one shard alone: rattler refuses one that two have."""
    server.add("demo", "1.0", extras={"a": ["x"], "b": ["y"]})
    one = client()
    old = one.index()
    assert one.records("demo", digest=old["demo"]) == ["demo-1.0", "demo_extra_a-1.0", "demo_extra_b-1.0"]
    until(lambda: "demo_extra_b" in one.index())
    new = one.index()
    assert one.records("demo", digest=new["demo"]) == ["demo-1.0"]
    assert one.records("demo_extra_a") == ["demo_extra_a-1.0"]
    server.add("demo", "2.0", extras={"a": [], "aa": ["z"]})
    until(lambda: "demo_extra_aa" in one.index() or not one.records("demo"))
    assert one.records("demo_extra_aa") == ["demo_extra_aa-2.0"]
    carried = {*one.records("demo", digest=new["demo"])}
    assert carried == {"demo-1.0", "demo-2.0", "demo_extra_aa-2.0"}


def test_a_list_of_projects_is_followed_and_nothing_else_is_told(
    server: IndexServer, client: MakeClient
) -> None:
    server.add("app", "1.0", requires=["lib[fast]>=1"], extras={"x": ["for-x"], "y": ["for-y"]})
    server.add("lib", "1.0", extras={"fast": ["quick"]}, requires=["base; python_version < '3'"])
    for name in ("for-x", "for-y", "quick", "base", "other"):
        server.add(name, "1.0")
    one = client(projects=[Requirement("App[X]>=1")])
    assert {name for name in one.index() if "_extra_" not in name} == {"app", "for-x", "lib", "quick"}
    assert one.records("quick") == ["quick-1.0"]
    assert server.count("/simple/$") == 0
    assert {"app_extra_x", "lib_extra_fast"} <= one.index().keys()


def test_names_that_are_condas_own_are_left_out(server: IndexServer, client: MakeClient) -> None:
    table = {ProjectName("torch"): CondaName("pytorch"), ProjectName("pythonx"): CondaName("python")}
    for name in ("python", "conda", "torch", "pytorch", "pythonx", "demo"):
        server.add(name, "1.0")
    one = client(names=Names(user=table))
    assert {*one.index()} == {"demo", "pytorch"}
    assert one.document("pytorch")["packages.conda"].keys() == {
        fn for fn in one.document("pytorch")["packages.conda"] if fn.startswith("pytorch-1.0")
    }
    (item,) = one.store.published(ProjectName("torch"))
    assert item.entry["name"] == "pytorch"
    assert not any(one.store.published(ProjectName("pytorch")))


def test_replicas_share_what_each_has_built(server: IndexServer, client: MakeClient, tmp_path: Path) -> None:
    server.add("demo", "1.0", extras={"more": ["x"]})
    one, two = client(), Client(server, tmp_path / "two", tmp_path / "store")
    try:
        one.records("demo")
        until(lambda: one.index() == two.index() and "demo_extra_more" in two.index())
        assert two.document("demo") == one.document("demo")
        assert server.count(WHEEL) == 1
    finally:
        two.catalogue.close()


def test_a_damaged_package_is_not_served_and_is_built_again(server: IndexServer, client: MakeClient) -> None:
    server.add("demo", "1.0")
    one = client()
    ((fn, entry),) = one.document("demo")["packages.conda"].items()
    path = one.store.local_path(entry["sha256"].hex())
    assert path is not None
    path.write_bytes(path.read_bytes()[:-1])
    assert one.catalogue.package("noarch", fn) is None
    until(lambda: one.index() != {} and one.store.find("noarch", fn) is not None)
    found = one.catalogue.package("noarch", fn)
    assert found is not None
    found[1].close()
    assert one.catalogue.package("noarch", "nothing-1-0.conda") is None


def test_a_publication_that_was_cut_short_is_taken_up_when_somebody_asks(
    server: IndexServer, client: MakeClient
) -> None:
    """Its entry is listed with its project's already, and nobody would find the package."""
    server.add("demo", "1.0")
    one = client()
    (fn,) = one.document("demo")["packages.conda"]
    assert one.store.folder is not None
    (one.store.folder / "packages" / "noarch" / f"{fn}.json").unlink()
    other = client()
    assert other.records("demo") == ["demo-1.0"]
    assert is_served(other, fn)
    until(lambda: whole(other).keys() == {fn})


def test_whole_documents_have_what_was_published(server: IndexServer, client: MakeClient) -> None:
    server.add("demo", "1.0")
    server.add("demo", "2.0")
    one = client()
    assert json.loads(one.catalogue.repodata("noarch"))["packages.conda"] == {}
    one.records("demo")

    def listed(document: bytes) -> list[str]:
        return [entry["version"] for entry in json.loads(document)["packages.conda"].values()]

    until(lambda: listed(one.catalogue.repodata("noarch")) == ["1.0", "2.0"])
    until(lambda: listed(one.catalogue.current_repodata("noarch")) == ["2.0"])


def test_wheels_as_they_are_need_no_build(server: IndexServer, client: MakeClient) -> None:
    filename = server.add("demo", "1.0", requires=["wanted"], extras={"more": ["x"]})
    built = client()
    built.records("demo")
    asked = server.count(WHEEL)
    one = client(label="wheels", direct=True)
    document = one.document("demo")
    (entry,) = document["v3"]["whl"].values()
    assert (entry["fn"], entry["size"]) == (filename, len(server.files[filename]))
    assert [fn.rpartition("-")[0] for fn in document["packages.conda"]] in (["demo_extra_more-1.0"], [])
    assert one.records("demo_extra_more") == ["demo_extra_more-1.0"]
    assert server.count(WHEEL) == asked
    assert not {*one.index().values()} & {*built.index().values()}


@pytest.mark.parametrize("broken", ["/simple/demo/", "demo-2.0.*"])
def test_wheels_as_they_are_are_told_in_full_or_later(
    server: IndexServer, client: MakeClient, broken: str
) -> None:
    """A shard's name would not change once there is more, and clients keep it."""
    server.add("demo", "1.0", extras={"more": ["x"]})
    before = client(label="wheels", direct=True)
    before.records("demo")
    until(lambda: "demo_extra_more" in before.index())
    assert before.records("demo_extra_more") == ["demo_extra_more-1.0"]
    server.add("demo", "2.0")
    server.on(broken, says(503))
    one = client(label="wheels", direct=True)
    with pytest.raises(Busy):
        one.document("demo")
    server.heal()
    until(lambda: _has_wheels(one, "demo"))
    assert [entry["version"] for entry in one.document("demo")["v3"]["whl"].values()] == ["1.0", "2.0"]


def _has_wheels(one: Client, name: str) -> bool:
    try:
        return "v3" in one.document(name)
    except Busy:
        return False


@pytest.mark.parametrize(
    "change",
    [
        {"budget": replace(QUICK, depth=1)},
        {"names": Names(user={ProjectName("x"): CondaName("y")})},
        {"label": "other"},
    ],
    ids=["versions", "names", "label"],
)
def test_other_settings_give_other_shards(
    server: IndexServer, client: MakeClient, change: dict[str, Any]
) -> None:
    """Clients keep shards by their names for ever, whatever was set when these were made."""
    server.add("demo", "1.0")
    assert client().index() == client().index()
    assert client().index()["demo"] != client(**change).index()["demo"]


def test_a_new_release_of_the_bridge_gives_other_shards(
    server: IndexServer, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add("demo", "1.0")
    before = client().index()
    monkeypatch.setattr(offering, "__version__", "99")
    assert client().index()["demo"] != before["demo"]


def test_people_are_told_what_there_is(server: IndexServer, client: MakeClient) -> None:
    for name in ("demo", "demonstration", "a-demo", "other"):
        server.add(name, "1.0")
    one = client()
    assert one.catalogue.search("Demo") == ["demo", "demonstration", "a-demo"]
    one.records("demo")
    told = one.catalogue.describe(ProjectName("demo"))
    assert (told["known"], told["name"], [row["version"] for row in told["published"]]) == (
        True,
        "demo",
        ["1.0"],
    )
    for text in ("absent", "/", "..", "de*", "a\0b", "demo/noarch"):
        told = one.catalogue.describe(ProjectName(text))
        assert (told["known"], told["published"], told["extras"]) == (False, [], [])
    assert one.catalogue.statistics()["names"] == 4
    assert one.catalogue.problem == ""


def test_a_warm_shard_asks_nobody(server: IndexServer, client: MakeClient) -> None:
    server.add("demo", "1.0")
    one = client(budget=Budget(index_seconds=60, page_seconds=60))
    digest = one.index()["demo"]
    assert one.catalogue.warm("noarch", digest) is None
    data = one.catalogue.shard("noarch", digest)
    asked = server.count()
    assert one.catalogue.warm("noarch", digest) == data == one.catalogue.shard("noarch", digest)
    assert server.count() == asked


@pytest.mark.parametrize("status", [403, 404, 410, 451])
@pytest.mark.parametrize("direct", [False, True], ids=["packages", "wheels"])
def test_a_file_that_the_index_does_not_have_leaves_the_rest_offered(
    server: IndexServer,
    client: MakeClient,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    direct: bool,
) -> None:
    """It is told to whoever runs the server, once, and looked for again after an hour."""
    monkeypatch.setattr(failures, "LASTING_SECONDS", 1.5)
    monkeypatch.setattr(supply, "LASTING_SECONDS", 1.5)
    server.add("demo", "1.0")
    server.add("demo", "2.0")
    server.on("/files/demo-2.0", says(status))
    one = client(direct=direct)
    before = one.index()["demo"]
    assert offered(one, before) == ["1.0"]
    assert offered(one) == ["1.0"]
    (told,) = [record for record in caplog.records if record.message == "left out"]
    assert told.fields["project"] == "demo" and told.fields["file"] == "demo-2.0-py3-none-any.whl"
    assert f"HTTP {status}" in told.fields["reason"]
    server.heal()
    until(lambda: one.index()["demo"] != before and offered(one) == ["1.0", "2.0"])


@pytest.mark.parametrize("direct", [False, True], ids=["packages", "wheels"])
def test_a_file_with_another_hash_leaves_the_rest_offered(
    server: IndexServer, client: MakeClient, direct: bool
) -> None:
    server.add("demo", "1.0")
    server.add("demo", "2.0")
    for row in server.pages["demo"]:
        row.pop("core-metadata")
    server.metadata = server.ranges = False
    server.pages["demo"][1]["hashes"]["sha256"] = "0" * 64
    assert offered(client(direct=direct)) == ["1.0"]


@pytest.mark.parametrize("direct", [False, True], ids=["packages", "wheels"])
def test_a_file_within_this_network_leaves_the_rest_offered(
    server: IndexServer, client: MakeClient, direct: bool
) -> None:
    server.add("demo", "1.0")
    server.add("demo", "2.0", entry={"url": "http://127.0.0.2:9/demo-2.0-py3-none-any.whl"})
    server.pages["demo"][1].pop("core-metadata")
    one = client(direct=direct, allowed_hosts=frozenset())
    assert offered(one) == ["1.0"]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_file_that_may_be_there_in_a_while_is_waited_for(
    server: IndexServer, client: MakeClient, status: int
) -> None:
    """A shard of wheels without it would be kept for ever."""
    server.add("demo", "1.0")
    server.add("demo", "2.0")
    server.on("/files/demo-2.0", says(status))
    with pytest.raises(Busy):
        offered(client(direct=True))
    assert offered(client()) == ["1.0"]


def test_wheels_that_cannot_be_told_as_they_are_are_logged_once(
    server: IndexServer, client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    server.add("demo", "1.0", entry={"size": None})
    one = client(direct=True)
    assert offered(one) == offered(one) == []
    (told,) = [record for record in caplog.records if record.message == "left out"]
    assert (told.fields["project"], told.fields["channel"]) == ("demo", "pypi")
    assert "does not tell its size" in told.fields["reason"]


def offered(one: Client, digest: str = "") -> list[str]:
    """The versions in the shard of demo, of packages and of wheels as they are."""
    document = one.document("demo", digest=digest)
    wheels = document.get("v3", {}).get("whl", {})
    return sorted(entry["version"] for entry in [*document["packages.conda"].values(), *wheels.values()])


def _yank(server: IndexServer) -> None:
    server.pages["demo"][1]["yanked"] = "broken"


def _remove(server: IndexServer) -> None:
    server.pages["demo"].pop(1)


def _hide(server: IndexServer) -> None:
    """The project is still on the list of all."""
    server.on("/simple/demo/", says(404))


def _quarantine(server: IndexServer) -> None:
    server.status["demo"] = {"status": "quarantined"}


@pytest.mark.parametrize(
    ("withdraw", "left"),
    [(_yank, ["1.0"]), (_remove, ["1.0"]), (_hide, []), (_quarantine, [])],
    ids=["yanked", "removed", "no page", "quarantined"],
)
def test_what_is_withdrawn_is_in_no_document_and_not_served(
    tmp_path: Path, withdraw: Callable[[IndexServer], None], left: list[str]
) -> None:
    """And while the index cannot be reached, there is what there was."""
    with IndexServer(etags=True) as server:
        server.add("demo", "1.0", extras={"more": ["x"]})
        server.add("demo", "2.0", extras={"more": ["x"]})
        server.add("other", "1.0")
        one = Client(server, tmp_path)
        fns = {entry["version"]: fn for fn, entry in one.document("demo")["packages.conda"].items()}
        one.records("other")
        until(lambda: listed(one) == ["1.0", "2.0"])
        server.on("", says(503))
        time.sleep(0.5)
        assert listed(one) == ["1.0", "2.0"] and is_served(one, fns["2.0"])
        server.heal()
        withdraw(server)
        until(lambda: listed(one) == left)
        assert [is_served(one, fns[version]) for version in ("1.0", "2.0")] == [bool(left), False]
        until(lambda: listed(one, current=True) == left[-1:])
        assert [row["version"] for row in one.published()] == [v for v in left for _ in ("own", "extra")]
        one.catalogue.close()
        # Another process knows it, too, also where it cannot ask.
        server.on("", says(503))
        other = Client(server, tmp_path / "other", tmp_path / "store")
        assert listed(other) == left and not is_served(other, fns["2.0"])
        server.heal()
        server.status.clear()
        server.pages["demo"] = server.pages["demo"][:1]
        server.add("demo", "2.0", extras={"more": ["x"]})
        until(lambda: listed(other) == ["1.0", "2.0"])
        assert is_served(other, fns["2.0"])
        other.catalogue.close()


def test_a_withdrawn_package_is_not_served_to_who_asks_for_it_first(
    server: IndexServer, client: MakeClient
) -> None:
    """No document was made since."""
    server.add("demo", "1.0")
    server.add("demo", "2.0")
    one = client()
    fns = {entry["version"]: fn for fn, entry in one.document("demo")["packages.conda"].items()}
    server.pages["demo"].pop(1)
    time.sleep(0.3)
    other = client()
    assert [is_served(other, fns[version]) for version in ("1.0", "2.0")] == [True, False]


def test_one_waits_for_a_slow_index_and_not_for_long(
    server: IndexServer, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there is served meanwhile."""
    monkeypatch.setattr(withdrawals, "_SECONDS", 0.5)
    server.add("demo", "1.0")
    one = client()
    (fn,) = one.document("demo")["packages.conda"]
    other = client(budget=Budget(page_seconds=60, index_seconds=60))
    other.index()
    server.on("/simple/demo/", sleeps(1.5))
    begun = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: is_served(other, fn), range(64)))
    assert 0.4 < time.monotonic() - begun < 1.2


def test_packages_of_a_project_that_is_blocked_since_are_neither_listed_nor_served(
    server: IndexServer, tmp_path: Path
) -> None:
    """Also where nothing but the block list tells, because the index is down."""
    server.add("demo", "1.0")
    server.add("other", "1.0")
    before = Client(server, tmp_path)
    (fn,) = before.document("demo")["packages.conda"]
    before.records("other")
    before.index()
    assert is_served(before, fn)
    before.catalogue.close()
    server.on("", says(503))
    for projects in (None, [Requirement("demo"), Requirement("other")]):
        after = Client(server, tmp_path, blocked=["dem*"], projects=projects)
        names = {entry["name"] for entry in whole(after).values()}
        assert names == {"other"} and not is_served(after, fn)
        after.catalogue.close()


def whole(one: Client, *, current: bool = False) -> dict[str, Any]:
    make = one.catalogue.current_repodata if current else one.catalogue.repodata
    found: dict[str, Any] = json.loads(make("noarch"))["packages.conda"]
    return found


def listed(one: Client, *, current: bool = False) -> list[str]:
    """The versions of demo in a whole document; of the newest ones, those of the extra are all there."""
    entries = whole(one, current=current).values()
    return sorted(entry["version"] for entry in entries if entry["name"] == "demo")


def is_served(one: Client, fn: str) -> bool:
    found = one.catalogue.package("noarch", fn)
    if found is not None:
        found[1].close()
    return found is not None
