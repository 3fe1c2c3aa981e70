"""The catalogue of everything installed, in headless Chromium: by keyboard alone, readable, no faults."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import toys

from zoo.catalogue import Grid, build_catalogue
from zoo.registry import installed

webdriver = pytest.importorskip(
    "selenium.webdriver", reason="selenium is not installed: pip install selenium"
)
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402  # what follows importorskip
from selenium.webdriver.common.keys import Keys  # noqa: E402

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="no chromium and chromedriver: apt-get install chromium-driver"
    ),
]
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
QUICK = Grid(samples=(500,), classes=(10,), sides=(32,), lengths=(64,), devices=("rtx-4090", "laptop-cpu-4"))
VIEWS = ("#/", "#/plot", "#/recommend", "#/model/cnn/lenet5")
CONTRAST = """
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
function rgba(color) {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = color;
  canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
}
function light([r, g, b]) {
  const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  const part = [r, g, b].map((c) => linear(c / 255));
  return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
}
function ground(element) {
  for (let each = element; each; each = each.parentElement) {
    const color = rgba(getComputedStyle(each).backgroundColor);
    if (color[3] === 255) return color;
  }
  return [255, 255, 255];
}
let checked = 0;
const faint = [];
for (const element of document.querySelectorAll("body *")) {
  const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  if (!own || !element.getClientRects().length || element.closest(".unseen, .skip, noscript")) continue;
  const style = getComputedStyle(element);
  const ink = rgba(element.namespaceURI.endsWith("svg") ? style.fill : style.color);
  const [high, low] = [light(ink), light(ground(element))].sort((a, b) => b - a);
  checked += 1;
  if ((high + 0.05) / (low + 0.05) < 4.5) faint.push(element.outerHTML.slice(0, 80));
}
return [checked, faint];
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    toys.forget()
    folder = tmp_path_factory.mktemp("catalogue") / "page"
    return (build_catalogue(installed(), folder, grid=QUICK).folder / "index.html").as_uri()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(DRIVER)))
    yield driver
    driver.quit()


def visit(
    browser: Any, page: str, view: str, *, width: int = 1440, height: int = 900, dark: bool = False
) -> None:
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.get("about:blank")
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    browser.get(page + view)
    wait_for(browser, "return Boolean(document.querySelector('tbody, .picks, .plot, .model, .empty'))")


def wait_for(browser: Any, condition: str) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 10).until(lambda driver: driver.execute_script(condition))


def press(browser: Any, *keys: str) -> None:
    for key in keys:
        ActionChains(browser).send_keys(key).perform()


def focused(browser: Any) -> str:
    return str(browser.execute_script("return document.activeElement.outerHTML"))


def test_it_paints_and_filters_without_a_fault(page: str, browser: Any) -> None:
    for view in VIEWS:
        for width, height in ((1440, 900), (390, 844)):
            visit(browser, page, view, width=width, height=height)
            wait_for(browser, "return performance.getEntriesByName('first-contentful-paint').length === 1")
            wide = browser.execute_script("return document.documentElement.scrollWidth - innerWidth")
            assert wide <= 0, (view, width)
    assert browser.get_log("browser") == []


def test_typing_filters_and_the_address_keeps_it(page: str, browser: Any) -> None:
    visit(browser, page, "#/")
    press(browser, "/")
    press(browser, *"lenet5")
    count = browser.execute_script("return document.getElementById('count').textContent")
    assert count.startswith("1 of 1,")
    wait_for(browser, "return location.hash === '#/?q=lenet5'")
    visit(browser, page, "#/?q=lenet5")
    names = browser.execute_script(
        "return [...document.querySelectorAll('tbody a')].map((a) => a.textContent)"
    )
    assert names == ["cnn/lenet5"]


def test_rows_fill_a_tall_window(page: str, browser: Any) -> None:
    visit(browser, page, "#/", height=4000)
    wait_for(browser, "return document.querySelector('table').getBoundingClientRect().bottom > innerHeight")


def test_whoever_goes_on_at_once_is_not_called_back_by_the_address(page: str, browser: Any) -> None:
    visit(browser, page, "#/")
    press(browser, "/", "r")
    browser.execute_script("document.querySelector('tbody a').click()")
    where = browser.execute_script("return location.hash")
    browser.execute_async_script("setTimeout(arguments[0], 400)")
    assert "#/model/" in where
    assert browser.execute_script("return location.hash") == where


def test_rows_come_as_they_are_scrolled_to(page: str, browser: Any) -> None:
    visit(browser, page, "#/")
    rows = "return document.querySelectorAll('tbody tr').length"
    first = browser.execute_script(rows)
    assert first < 100
    browser.execute_script("scrollTo(0, document.body.scrollHeight)")
    wait_for(browser, f"{rows} > {first}")


def test_the_keyboard_alone_reaches_a_model_and_its_commands(page: str, browser: Any) -> None:
    visit(browser, page, "#/?q=lenet5")
    press(browser, "/")
    for _ in range(40):
        press(browser, Keys.TAB)
        if "#/model/cnn/lenet5" in focused(browser):
            break
    press(browser, Keys.ENTER)
    wait_for(browser, "return document.querySelector('h1')?.textContent === 'cnn/lenet5'")
    for _ in range(40):
        press(browser, Keys.TAB)
        if "Copy the command" in focused(browser):
            break
    press(browser, Keys.ENTER)
    wait_for(browser, "return document.activeElement.textContent !== 'Copy'")


def test_the_plot_is_walked_with_the_arrow_keys(page: str, browser: Any) -> None:
    visit(browser, page, "#/plot")
    browser.execute_script("document.querySelector('.plot').focus()")
    press(browser, Keys.ARROW_UP, Keys.ARROW_UP, Keys.ARROW_RIGHT)
    name = browser.execute_script("return document.querySelector('.told a').getAttribute('href')")
    press(browser, Keys.ENTER)
    wait_for(browser, "return Boolean(document.querySelector('.model h1'))")
    assert browser.current_url.endswith(name)


def test_the_form_answers_and_says_for_what(page: str, browser: Any) -> None:
    visit(browser, page, "#/recommend?task=image-classification&samples=777&device=rtx-4080")
    told = browser.execute_script("return document.getElementById('result').textContent")
    assert (
        "500 samples, 10 classes, 32 pixels a side, GeForce RTX 4090, the nearest that this page holds"
        in told
    )
    assert "--samples 777" in told
    assert "--device rtx-4080" in told
    assert browser.execute_script("return document.querySelectorAll('.picks li h2').length") >= 3


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_all_text_stands_out_from_its_ground(page: str, browser: Any, view: str, dark: bool) -> None:
    visit(browser, page, view, dark=dark)
    checked, faint = browser.execute_script(CONTRAST)
    assert checked > 20
    assert faint == []


def test_hostile_text_is_shown_and_not_run(tmp_path: Path, install: toys.Site, browser: Any) -> None:
    text = "<img src=x onerror=document.title=1><script>document.title=1</script>"
    install("trap", toys.HOOK + f"return [net(summary={text!r}, paper='javascript:document.title=1')]")
    page = (build_catalogue(installed(), tmp_path / "page").folder / "index.html").as_uri()
    browser.get_log("browser")
    for view in ("#/", "#/model/trap/net"):
        visit(browser, page, view)
        assert text in browser.execute_script("return document.getElementById('main').textContent")
        assert browser.execute_script("return document.querySelectorAll('main img, main script').length") == 0
        assert browser.execute_script("return document.querySelectorAll('[href^=javascript]').length") == 0
        assert browser.title != "1"
    assert browser.get_log("browser") == []
