"""The page at ``/`` in a real browser: what it shows, also without scripts, and what it lets nobody do."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, Page, expect, sync_playwright

from conda_pypi_bridge.channel.catalogue import Catalogue
from conda_pypi_bridge.server import page as page_of
from conda_pypi_bridge.server.limits import Tokens
from conda_pypi_bridge.server.page import Release, Shown
from tests.channelserver import catalogue_of, serving
from tests.indexserver import IndexServer
from tests.test_server import shard

TOKEN = "0123456789abcdef-conda"
HOSTILE = """<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>'"&"""


def chromium() -> str:
    """The browser. Raises `RuntimeError` where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        raise RuntimeError("the page is looked at in a browser, which is missing: apt-get install chromium")
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Where tests run as root, as in containers, chromium has no sandbox.
        yield playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])


@pytest.fixture
def index() -> Iterator[IndexServer]:
    with IndexServer() as server:
        server.add("moo", "1.0", files={"moo.py": "print('moo')\n"})
        server.add("moo", "2.0", requires_python=">=3.12", files={"moo.py": "print('moo 2')\n"})
        server.add("moo-tools", "0.1")
        yield server


@pytest.fixture
def catalogue(index: IndexServer, tmp_path: Path) -> Iterator[Catalogue]:
    with catalogue_of(index, tmp_path, ["moo", "moo-tools"]) as made:
        yield made


@pytest.fixture
def url(catalogue: Catalogue) -> Iterator[str]:
    with serving(catalogue) as url:
        yield url


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that must not complain: no error, nothing that its policy refused."""
    context = browser.new_context()
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert [text for text in complaints if "404" not in text] == []


def test_a_person_searches_a_project_and_copies_the_command(page: Page, url: str) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=url)
    page.goto(url)
    expect(page.get_by_role("heading", level=1)).to_have_text("PyPI as a conda channel")
    expect(page.get_by_text("linux-64")).to_be_visible()
    page.keyboard.press("/")  # the search box, from anywhere
    page.keyboard.type("moo")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=2)).to_have_text("2 projects with “moo” in the name")
    page.get_by_role("link", name="moo", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("moo")
    page.get_by_role("button", name="Copy: conda install").click()
    expect(page.get_by_role("status")).to_have_text("Copied")
    assert (
        page.evaluate("navigator.clipboard.readText()") == f"conda install -c conda-forge -c {url}/pypi moo"
    )


def test_a_project_shows_its_versions_newest_first(page: Page, url: str) -> None:
    page.goto(f"{url}/?project=Moo")
    expect(page.get_by_text("Nothing of it is built yet")).to_be_visible()
    shard(url, "moo")
    page.reload()
    rows = page.get_by_role("row").all_inner_texts()
    assert [row.split("\t")[:3] for row in rows[1:]] == [
        ["2.0", "noarch", "3.12"],
        ["1.0", "noarch", "3.11, 3.12"],
    ]


def test_it_works_without_scripts(browser: Browser, url: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(url)
    page.get_by_role("searchbox").fill("tools")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="moo-tools").click()
    expect(page.locator("code").first).to_have_text(f"conda install -c conda-forge -c {url}/pypi moo-tools")
    assert page.get_by_role("button", name="Copy").count() == 0
    context.close()


def test_links_and_commands_keep_a_token(page: Page, catalogue: Catalogue) -> None:
    with serving(catalogue, tokens=Tokens([TOKEN])) as url:
        page.goto(f"{url}/t/{TOKEN}/?q=moo")
        page.get_by_role("link", name="moo", exact=True).click()
        assert page.url == f"{url}/t/{TOKEN}/?project=moo"
        expect(page.locator("code").first).to_have_text(
            f"conda install -c conda-forge -c {url}/t/{TOKEN}/pypi moo"
        )
        page.get_by_role("link", name="PyPI as a conda channel").click()
        assert page.url == f"{url}/t/{TOKEN}/"


def test_the_channels_own_url_leads_to_the_page(page: Page, url: str) -> None:
    page.goto(f"{url}/pypi")
    assert page.url == f"{url}/"


def test_what_somebody_hostile_typed_or_named_stays_text(page: Page, url: str) -> None:
    for query in ("q", "project"):
        page.goto(f"{url}/?{requests.models.RequestEncodingMixin._encode_params({query: HOSTILE})}")
        assert page.title() != "owned"
        assert page.locator("img").count() == 0
    names = Shown(text="x", names=[HOSTILE])
    releases = [Release(version=HOSTILE, subdirs=[HOSTILE], pythons=[HOSTILE], sizes=[1])]
    project = Shown(wanted=HOSTILE, name=HOSTILE, releases=releases)
    for shown in (names, project):
        text = page_of.html(shown, f"http://{HOSTILE}/pypi")
        assert "<img" not in text and text.count("<script") == 1 and 'onerror="' not in text


def test_the_policy_admits_nothing_of_others(browser: Browser, url: str) -> None:
    page = browser.new_page()
    page.goto(url)
    policy = requests.get(url).headers["Content-Security-Policy"]
    assert "'unsafe" not in policy and "http" not in policy and policy.startswith("default-src 'none'")
    assert page.evaluate("getComputedStyle(document.body).maxWidth") != "none"  # its own style is applied
    refused = page.evaluate("fetch('/healthz').then(() => 'sent', () => 'refused')")
    assert refused == "refused"
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_it_fits_and_can_be_read(browser: Browser, url: str, scheme: str, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 700}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    for path in ("/", "/?q=moo", "/?project=moo"):
        page.goto(url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for place in ("body", ".quiet", "main a, code", "form button"):
            for found in page.locator(place).all()[:1]:
                assert _contrast(found.evaluate(_COLOURS)) >= 4.5, (path, place)
    context.close()


_COLOURS = """element => {
  const seen = [getComputedStyle(element).color];
  for (let e = element; e; e = e.parentElement) {
    const ground = getComputedStyle(e).backgroundColor;
    if (!/, 0\\)$/.test(ground)) { seen.push(ground); return seen; }
  }
}"""


def _contrast(colours: list[str]) -> float:
    """The ratio of WCAG 2.2, success criterion 1.4.3."""
    light, dark = sorted(map(_luminance, colours), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(text) / 255 for text in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_who_lacks_a_browser_is_told_how_to_get_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="apt-get install chromium"):
        chromium()
