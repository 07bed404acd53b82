"""The parts of the benchmark commands, on small things: what they measure is not judged here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
import requests

from tests.benchmarks import compare, growth, timed
from tests.benchmarks.barchart import bars
from tests.benchmarks.mirror import Mirror
from tests.benchmarks.rounds import Bench, Request
from tests.benchmarks.runs import Comparison, Run, Usage
from tests.benchmarks.server import BenchmarkIndex
from tests.benchmarks.tables import tables
from tests.benchmarks.tools import Module
from tests.indexserver import HTML_TYPE, JSON_TYPE, IndexServer

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def upstream() -> Iterator[IndexServer]:
    """An index to copy, which announces no metadata."""
    with IndexServer(announce=False) as server:
        server.add("alpha", "1.0", requires=["beta"])
        server.add("beta", "1.0")
        server.add("beta", "2.0")
        yield server


@pytest.fixture
def mirror(upstream: IndexServer, tmp_path: Path) -> Iterator[Mirror]:
    server = Mirror(upstream.url, tmp_path / "copy")
    with server:
        yield server


def a_run(**changes: object) -> Run:
    run = Run(
        tool="pip", request="flask", situation="cold", seconds=2.0, cpu=1.5, memory=50_000_000, packages=7
    )
    return replace(run, requests=14, size=700_000, compiled=1.0, **changes)  # type: ignore[arg-type]


@pytest.fixture
def comparison() -> Comparison:
    """Fixed results: two tools, one that is absent, a failure."""
    runs = [a_run(), a_run(seconds=4.0), a_run(seconds=3.0)]
    runs += [
        a_run(tool="uv", seconds=0.3),
        a_run(tool="uv", seconds=0.2),
        a_run(tool="uv", failure="no <luck>"),
    ]
    runs += [
        a_run(situation="impossible", request="a b", packages=0),
        a_run(situation="satisfied", failure="lost"),
    ]
    return Comparison(
        tools={"pip": "pip 1.2", "uv": "uv 3.4"},
        absent={"conda-pypi": "not here"},
        facts=["on a machine"],
        runs=runs,
    )


def test_a_door_meets_every_situation_and_the_mirror_counts_what_it_takes(
    mirror: Mirror, upstream: IndexServer, tmp_path: Path
) -> None:
    bench = Bench(folder=tmp_path / "bench", url=mirror.url, server=mirror)
    runs = {run.situation: run for run in bench.round(Module(), Request(specs=("alpha",)))}
    assert list(runs) == ["cold", "warm metadata", "warm packages", "satisfied"]
    assert [run.failure for run in runs.values()] == [""] * 4
    assert {run.packages for run in runs.values()} == {2}
    # Two pages, two metadata files, two wheels; a page is fresh for ten minutes.
    assert [run.requests for run in runs.values()] == [6, 2, 0, 0]
    assert upstream.count(r"\.whl$") == 2, "each wheel is asked of the index once, whatever is repeated"
    assert not list((tmp_path / "bench").iterdir()), "a round leaves nothing behind"


def test_an_impossible_request_must_fail_and_one_that_fails_does_not_count(
    mirror: Mirror, tmp_path: Path
) -> None:
    bench = Bench(folder=tmp_path / "bench", url=mirror.url, server=mirror)
    (run,) = bench.round(Module(), Request(specs=("beta==1.0", "beta>=2"), fits=False))
    assert (run.situation, run.failure) == ("impossible", "")
    (run,) = bench.round(Module(), Request(specs=("beta",), fits=False))
    assert run.failure == "it found a solution"
    (run,) = bench.round(Module(), Request(specs=("gamma",)), ["satisfied"])
    assert "gamma" in run.failure


def test_the_mirror_speaks_as_the_public_index_does(mirror: Mirror, upstream: IndexServer) -> None:
    page = requests.get(f"{mirror.url}beta/", headers={"Accept": JSON_TYPE}, timeout=10)
    first, last = page.json()["files"]
    assert page.headers["Content-Encoding"] == "gzip"
    assert page.headers["Cache-Control"] == "max-age=600, public"
    assert first["core-metadata"] is True
    assert first["hashes"] == upstream.pages["beta"][0]["hashes"]
    conditions = {"Accept": JSON_TYPE, "If-None-Match": page.headers["ETag"]}
    assert requests.get(f"{mirror.url}beta/", headers=conditions, timeout=10).status_code == 304
    html = requests.get(f"{mirror.url}beta/", headers={"Accept": HTML_TYPE}, timeout=10)
    assert f">{last['filename']}</a>" in html.text
    wheel = last["url"]
    assert wheel.startswith(mirror.base)
    content = upstream.files[last["filename"]]
    assert requests.get(wheel, timeout=10).content == content
    assert requests.get(wheel, headers={"Range": "bytes=-22"}, timeout=10).content == content[-22:]
    head = requests.head(wheel, timeout=10)
    assert (head.headers["Content-Length"], head.content) == (str(len(content)), b"")
    assert requests.get(f"{mirror.url}gamma/", timeout=10).status_code == 404


@pytest.mark.parametrize("published", [True, False])
def test_the_mirror_has_metadata_of_every_wheel(
    mirror: Mirror, upstream: IndexServer, published: bool
) -> None:
    upstream.metadata = published
    requests.get(f"{mirror.url}alpha/", timeout=10)
    found = requests.get(f"{mirror.base}/files/alpha-1.0-py3-none-any.whl.metadata", timeout=10)
    assert "Requires-Dist: beta\n" in found.text
    assert bool(upstream.count(r"\.whl$")) != published


def test_usage_is_that_of_a_whole_process_tree(tmp_path: Path) -> None:
    child = "x = b'x' * 80_000_000; [i for i in range(2_000_000)]"
    parent = (
        f"import subprocess, sys, time; subprocess.run([sys.executable, '-c', {child!r}]); time.sleep(0.2)"
    )
    usage = Usage.of([sys.executable, "-c", parent], {}, tmp_path)
    assert usage.status == 0
    assert usage.memory > 80_000_000
    assert usage.seconds > 0.2
    assert usage.cpu > 0


def test_what_the_caller_keeps_in_memory_is_not_counted(tmp_path: Path) -> None:
    ballast = b"x" * 200_000_000
    usage = Usage.of([sys.executable, "-S", "-c", "print('done')"], {}, tmp_path)
    assert len(ballast) > usage.memory
    assert usage.output == "done\n"


def test_a_run_that_takes_too_long_is_ended_with_all_it_started(tmp_path: Path) -> None:
    status, seconds, _, _ = timed.run([sys.executable, "-c", "import time; time.sleep(60)"], 0.3)
    assert status == -9
    assert seconds < 10


def test_tables_tell_medians_ratios_failures_and_who_is_absent(comparison: Comparison) -> None:
    lines = tables(comparison).splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| ")]
    assert rows[2] == [
        "flask (7)",
        "pip",
        "3.00",
        "2.00-4.00",
        "1.00",
        "12.00",
        "1.50",
        "50",
        "14",
        "0.7",
        "100%",
        "3",
    ]
    assert rows[3][:6] + rows[3][-1:] == ["flask (7)", "uv", "0.25", "0.20-0.30", "0.08", "1.00", "2/3"]
    assert rows[4][:3] == ["flask", "conda-pypi", "absent"]
    assert ["flask", "pip", "failed"] in [row[:3] for row in rows]
    assert {"- pip: pip 1.2", "- conda-pypi: not here", "- uv, flask, cold: no <luck>"} <= set(lines)


def test_a_chart_has_a_bar_for_each_cell_on_a_logarithmic_scale(comparison: Comparison) -> None:
    root = ElementTree.fromstring(bars(comparison))
    widths = {box[0].text: float(box.attrib["width"]) for box in root.iter(f"{SVG}rect") if len(box)}
    assert set(widths) == {"pip: 3.00 s", "uv: 0.25 s", "pip: 2.00 s"}
    # From 0.1 s to 10 s: half of the scale is a factor of ten.
    assert widths["pip: 3.00 s"] - widths["uv: 0.25 s"] == pytest.approx(590 / 2 * 1.0792, abs=0.2)
    words = {text.text for text in root.iter(f"{SVG}text")}
    assert {"flask", "a b", "cold: empty caches", "pip: failed", "uv: uv 3.4", "on a machine"} <= words


def test_a_kept_comparison_is_shown_again(
    comparison: Comparison, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, chart = tmp_path / "kept.json", tmp_path / "chart.svg"
    kept.write_text(comparison.to_json())
    assert compare.main(["--show", str(kept), "--chart", str(chart)]) == 0
    assert capsys.readouterr().out == tables(comparison) + "\n"
    assert chart.read_text() == bars(comparison)


def test_an_exponent_is_the_power_that_made_the_points() -> None:
    assert growth.exponent([(size, 3 * size**2) for size in (10, 100, 400)]) == pytest.approx(2)
    assert growth.exponent([(size, 5) for size in (10, 100)]) == pytest.approx(0)
    assert growth.exponent([(10, 1)]) is None


def test_growth_is_shown_as_table_and_chart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = {"10": 1.0, "100": 10.0, "400": 160.0}
    runs = [a_run(tool="door", situation="closure", request=size, seconds=s) for size, s in sizes.items()]
    kept, chart = tmp_path / "kept.json", tmp_path / "chart.svg"
    kept.write_text(Comparison(tools={"door": "1"}, runs=runs).to_json())
    growth.main(["--show", str(kept), "--chart", str(chart)])
    assert "| 10: 1, 100: 10, 400: 160 |          2.00 |" in capsys.readouterr().out
    root = ElementTree.fromstring(chart.read_text())
    assert "door ^2.00" in {text.text for text in root.iter(f"{SVG}text")}


@pytest.mark.parametrize("step", growth.STEPS)
def test_what_is_generated_can_be_installed(step: str, tmp_path: Path) -> None:
    make, _ = growth.STEPS[step]
    server = BenchmarkIndex()
    with server:
        request = make(server, tmp_path, 12)
        bench = Bench(folder=tmp_path / "bench", url=server.url, server=server)
        (run,) = bench.round(Module(), request, ["cold"])
    assert run.failure == ""
    assert run.packages == {"closure": 12, "releases": 6, "records": 2}[step]
