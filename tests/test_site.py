"""The page in a real browser, from disk: it sorts, filters, opens rows and asks nobody for anything; and its folder."""

import os
import re
import shutil

import numpy as np
import pytest

from latent_ot import cli, site
from latent_ot.bench.benchmark import Benchmark
from latent_ot.bench.request import Request
from latent_ot.errors import InputError
from latent_ot.pictures.images import save_grid
from latent_ot.results import add, load

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
WIDE, PHONE = {"width": 1300, "height": 900}, {"width": 390, "height": 844}
PICTURE = "results/{}.samples.png"


@pytest.fixture(scope="module")
def browser():
    """Chromium: that of the machine, else playwright's own."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    with playwright.sync_playwright() as driver:
        if found is None and not os.path.exists(driver.chromium.executable_path):
            pytest.skip(f"no Chromium: none of {', '.join(NAMES)} is installed, nor playwright's own")
        made = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])  # root, as in a container, needs it
        yield made
        made.close()


@pytest.fixture
def visit(browser):
    """Open a page from disk: ``visit(folder)``; at the end nothing was fetched, and nothing said on the console."""
    said, asked, contexts = [], [], []

    def go(folder, viewport=WIDE, scheme="light"):
        contexts.append(browser.new_context(viewport=viewport, color_scheme=scheme))
        page = contexts[-1].new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.on("requestfailed", lambda request: said.append(request.url))
        page.goto(f"file://{folder}/index.html")
        page.wait_for_selector("html[data-ready]", state="attached")
        return page

    yield go
    for context in contexts:
        context.close()
    assert said == []
    assert [url for url in asked if not re.match("(file|blob|data):", url)] == []


@pytest.fixture
def store(tmp_path, raw):
    """A store of three methods, each with a picture, a curve of FID and one of a loss."""
    curves = {"fid": [[8, 30.0], [16, 20.0], [32, 10.0]], "loss": {"loss": [[8, 1.0], [16, 0.5], [32, 0.25]]}}
    parts = {"glo": ("glo", "gaussian"), "vae": ("vae", "normal"), "wgan_gp": ("wgan_gp",)}
    fids = {"glo": 10.5, "vae": 9.25, "wgan_gp": 100.0}
    made_of = {m: [{"stage": s, "key": "0" * 16} for s in stages] for m, stages in parts.items()}
    runs = [raw(m, metrics={"fid": fids[m]}, curves=curves, stages=made_of[m]) for m in parts]
    runs.append(raw("glo", metrics={"fid": 3.0}, budget="short", images_budget=640000, stages=made_of["glo"]))
    for path in add(tmp_path / "runs", runs):
        images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1), dtype=np.uint8)
        save_grid(path.with_name(f"{path.stem}.samples.png"), images)
    return tmp_path / "runs"


@pytest.fixture
def folder(store, tmp_path):
    return site.write(tmp_path / "page", load(store, stored=True), tmp_path / "none", store).parent


def rows(page):
    return [name.split()[0] for name in page.locator("table.runs tbody tr th").all_inner_texts()]


def test_it_sorts_by_numbers_and_filters_and_searches(folder, visit):
    page = visit(folder)
    methods = ["glo", "vae", "glo", "wgan_gp"]  # the larger budget first, then by rank
    assert [row for row in rows(page) if row != "data"] == methods
    fid = page.locator("table.runs thead th", has_text="FID")
    fid.click()
    assert [row for row in rows(page) if row != "data"] == methods  # 3, 9.25, 10.5, 100: not as words
    fid.click()
    assert [row for row in rows(page) if row != "data"] == methods[::-1]
    page.locator("select[name=budget]").select_option("short")
    assert {*rows(page)} <= {"glo", "data"}
    page.locator("select[name=family]").select_option("end to end")
    assert page.locator(".board:visible").count() == 0
    assert page.locator("#count").inner_text().startswith("0 of")
    page.get_by_role("button", name="show all").click()
    page.locator("#count", has_text=re.compile(r"^(\d+) of \1 rows")).wait_for()
    page.locator("select[name=family]").select_option("on vae")
    assert rows(page) == ["vae"]
    page.get_by_role("button", name="show all").click()
    page.locator("#search").fill("wgan")
    assert rows(page) == ["wgan_gp"]


@pytest.mark.slow
def test_columns_hide_and_come_back(folder, visit):
    page = visit(folder)
    head = page.locator("table.runs thead th", has_text="family")
    assert head.count() == 1
    for count in (0, 1):
        page.locator("#runs .dt-button", has_text="columns").click()
        page.locator(".dt-button-collection .dt-button", has_text="family").click()
        page.keyboard.press("Escape")
        assert head.count() == count


def test_a_row_opens_by_the_keyboard_to_its_picture_curves_and_command(folder, visit):
    page = visit(folder)
    page.get_by_role("button", name="wgan_gp", exact=True).focus()
    page.keyboard.press("Enter")
    opened = page.locator("dialog[open]")
    opened.locator(".figure.drawn .scatterlayer").first.wait_for(state="attached")
    assert opened.locator(".figure").count() == 2
    assert opened.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") > 8
    assert "latent-ot bench --methods wgan_gp" in opened.inner_text()
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    assert page.evaluate("document.activeElement.textContent") == "wgan_gp"


@pytest.mark.slow
def test_two_methods_stand_side_by_side(folder, visit):
    page = visit(folder)
    for side, method in (("left", "vae"), ("right", "wgan_gp")):
        page.get_by_label(side).select_option(label=method)
    heads = page.locator(".side h2")
    assert heads.all_inner_texts() == ["vae", "wgan_gp"]
    left, right = (head.bounding_box() for head in heads.all())
    assert left["y"] == right["y"]
    assert left["x"] < right["x"]


@pytest.mark.slow
def test_curves_tell_their_numbers_on_hover(folder, visit):
    page = visit(folder)
    figure = page.locator("#curves .figure").first
    figure.scroll_into_view_if_needed()
    figure.locator(".scatterlayer .point").first.hover(force=True)
    page.locator(".hoverlayer", has_text="images").first.wait_for(state="attached")


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "lighter"), [("light", True), ("dark", False)])
def test_it_fits_a_phone_in_light_and_dark(scheme, lighter, folder, visit):
    page = visit(folder, PHONE, scheme)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator("table.runs thead th", has_text="family").count() == 0
    ground, ink = (
        sum(map(int, re.findall(r"\d+", page.evaluate(f"getComputedStyle(document.body).{name}"))[:3]))
        for name in ("backgroundColor", "color")
    )
    assert (ground > ink) == lighter
    page.get_by_role("button", name="vae", exact=True).click()
    assert page.locator("dialog").evaluate("dialog => dialog.scrollWidth <= dialog.clientWidth")


@pytest.mark.slow
def test_every_control_has_a_name(folder, visit):
    page = visit(folder)
    nameless = page.evaluate(
        """[...document.querySelectorAll('button, select, input, a[href], img')].filter(one =>
           !(one.textContent.trim() || one.ariaLabel || one.title || one.alt || one.labels?.length)).length"""
    )
    assert nameless == 0


@pytest.mark.slow
def test_what_a_bench_leaves_in_its_store_opens_with_pictures(tmp_path, visit):
    request = Request("digits", ["pca"], [0], "smoke", tmp_path / "data", tmp_path / "runs")
    Benchmark(request).execute()
    cli.write_store_pages(request.store)
    index = request.store / "index.html"
    before = index.stat().st_mtime_ns
    cli.write_store_pages(request.store)
    assert index.stat().st_mtime_ns == before  # nothing changed, so that nothing is drawn
    page = visit(request.store)
    page.get_by_role("button", name="pca", exact=True).click()
    pictures = page.locator("dialog img")
    assert pictures.count() >= 2
    assert all(width > 8 for width in pictures.evaluate_all("all => all.map(image => image.naturalWidth)"))


def test_the_folder_has_all_that_it_shows_and_a_store_keeps_its_pictures_where_they_are(store, tmp_path):
    records = load(store, stored=True)
    out = site.write(tmp_path / "page", records, tmp_path / "none", store).parent
    there = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assets = [f"assets/{name}" for name in ("plotly.js", "tables.css", "tables.js")]
    assert there == sorted(["index.html", *assets, *(PICTURE.format(r.stem) for r in records)])
    pictures = {path: path.stat().st_mtime_ns for path in store.glob("results/*.png")}
    site.write(store, records, store, store)
    assert {path: path.stat().st_mtime_ns for path in store.glob("results/*.png")} == pictures
    assert (store / "index.html").read_bytes() == (out / "index.html").read_bytes()


def test_nobodys_own_page_is_replaced(tmp_path):
    (tmp_path / "index.html").write_text("<!doctype html><title>mine</title>")
    with pytest.raises(InputError, match=r"index.html' is no page of the suite's, and would be lost"):
        site.check(tmp_path)
    assert os.listdir(tmp_path) == ["index.html"]
