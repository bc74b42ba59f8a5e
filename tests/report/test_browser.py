"""The page in a real browser, as its reader has it: Debian's Chromium, headless, without a network to speak of.

Screenshots are left in ``results/screenshots/`` (not committed), to be looked at and kept by CI.
"""

import base64
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gainbench.report import build_report

from .conftest import Bench, make_rows, make_samples, make_training_log

MakeBench = Callable[..., Bench]

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
SCREENSHOTS = Path(__file__).parents[2] / "results" / "screenshots"
METHODS = ("gain", "gain[guidance=canny]", "partial_conv", "telea")

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="no chromium and chromedriver here (apt-get install chromium chromium-driver)"
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("browser")
    made = Bench(root, datasets=("photos-230",), methods=METHODS, question="Who fills <script>alert(1)</script> best?")
    for place, method in enumerate(METHODS):
        rows = make_rows((0.6, 0.0, 1.2, 0.3)[place], 0, metrics=["psnr_rgb", "lpips_alex"], photographs=6)
        made.done(method, rows, trained=method != "telea")
        make_samples(made.cells[-1].folder, 20 * (place + 1), pictures=3)
        if method != "telea":
            make_training_log(made.cells[-1].folder)
    return build_report(made.stored(), root / "out").html


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = CHROMIUM or ""
    # Chromium's own sandbox wants privileges that containers lack; the page is ours.
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture
def browser(chromium, page: Path) -> object:
    chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    for log in ("browser", "performance"):
        chromium.get_log(log)
    show(chromium, page, width=1280, look="light")
    return chromium


def show(driver, page: Path, *, width: int, look: str) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": look}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    driver.get(page.as_uri())


def keep_screenshot(driver, name: str) -> Path:
    taken = driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": True})
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    path = SCREENSHOTS / f"{name}.png"
    path.write_bytes(base64.b64decode(taken["data"]))
    return path


def asked_addresses(driver) -> list[str]:
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]


def column(driver, heading: str) -> list[str]:
    """Methods in the main table's present order, after a click on a heading."""
    button = driver.find_element("xpath", f"//table[@data-sortable][1]//th/button[starts-with(., '{heading}')]")
    driver.execute_script("arguments[0].scrollIntoView()", button)
    button.click()
    rows = driver.find_elements("css selector", "table[data-sortable]")[0].find_elements(
        "css selector", "tbody tr:not(.plain) th"
    )
    return [row.text for row in rows]


def test_a_reader_sorts_picks_a_picture_and_nothing_leaves_the_page(browser, page: Path) -> None:
    by_quality = ["gain[guidance=canny]", "telea", "gain", "partial_conv"]
    assert column(browser, "LPIPS") == by_quality, "lower is better: the best comes first"
    assert column(browser, "LPIPS") == by_quality[::-1]
    assert column(browser, "PSNR") == by_quality, "higher is better: the best comes first"
    last = browser.find_elements("css selector", "table[data-sortable]")[0].find_elements("css selector", "tbody tr")
    assert last[-1].text.startswith("n ")
    from selenium.webdriver.support.ui import Select

    def shown() -> list[str]:
        groups = browser.find_elements("css selector", ".group")
        return [group.find_element("css selector", ".group-name").text for group in groups if group.is_displayed()]

    assert shown() == ["0, 30\N{EN DASH}40 %, holes that may touch the border"]
    Select(browser.find_element("css selector", "[data-pick=picture]")).select_by_index(2)
    Select(browser.find_element("css selector", "[data-pick=bin]")).select_by_value("0.5-0.6")
    Select(browser.find_element("css selector", "[data-pick=method]")).select_by_value("gain[guidance=canny]")
    assert shown() == ["0, 50\N{EN DASH}60 %, holes that may touch the border"]
    tiles = [image for image in browser.find_elements("css selector", ".group img") if image.is_displayed()]
    assert [tile.get_attribute("alt").split(" of ")[0].split(" completed")[0] for tile in tiles] == [
        "original", "0 with its hole, 50\N{EN DASH}60 %, holes that may touch the border", "0", "error map"
    ]  # fmt: skip
    assert all(browser.execute_script("return arguments[0].naturalWidth", tile) == 64 for tile in tiles)
    assert keep_screenshot(browser, "report-1280-light-picked").stat().st_size > 50_000
    addresses = asked_addresses(browser)
    assert page.as_uri() in addresses
    assert [address for address in addresses if address != page.as_uri() and not address.startswith("data:")] == []
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("look", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_fits_desk_and_telephone_by_day_and_night(browser, page: Path, width: int, look: str) -> None:
    show(browser, page, width=width, look=look)
    assert browser.execute_script("return document.documentElement.scrollWidth") == width
    ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 20, 20)"}[look]
    wrong = browser.execute_script(
        "return [...document.images].filter(image => !image.alt || !image.naturalWidth).map(image => image.alt)"
    )
    assert wrong == []
    keep_screenshot(browser, f"report-{width}-{look}")


def test_all_can_be_reached_and_worked_from_the_keyboard(browser, page: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    show(browser, page, width=390, look="light")
    reached = []
    for _ in range(200):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        focused = browser.switch_to.active_element
        if focused.tag_name == "body":
            break
        reached.append(f"{focused.tag_name} {focused.get_attribute('class')}".strip())
    for what in ("a skip", "button", "summary", "select", "div scroll"):
        assert what in reached
    button = browser.find_element("css selector", "table[data-sortable] th:nth-child(2) button")
    button.send_keys(Keys.ENTER)
    heading = browser.find_element("css selector", "table[data-sortable] th:nth-child(2)")
    assert heading.get_attribute("aria-sort") == "descending"
    assert "sorted by PSNR" in browser.find_element("id", "announce").get_attribute("textContent")


def test_foreign_text_stays_text(browser) -> None:
    assert "<script>alert(1)</script>" in browser.find_element("tag name", "h1").text
    assert len(browser.find_elements("tag name", "script")) == 1


def test_without_its_script_every_picture_and_table_is_there(browser, page: Path) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    show(browser, page, width=1280, look="light")
    groups = browser.find_elements("css selector", ".group")
    assert len(groups) == 18
    assert all(group.is_displayed() for group in groups)
    assert not browser.find_element("css selector", ".controls").is_displayed()
