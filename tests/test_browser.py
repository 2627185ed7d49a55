"""The pages in a real browser, at the width of a desk and of a phone: what is drawn, sorted, filtered and saved."""

import re
import shutil
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from src import compare, human_eval
from src.files.sheets import read_sheet
from src.human.ratings import check_ratings, read_ratings
from src.reports.comparison_tables import with_overall
from src.runs.sides import read_sides
from src.statistics.front import front
from src.statistics.interval import interval

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install selenium")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="no Chromium here: apt-get install chromium chromium-driver"
)
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync")
FLAGS += ("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage")
PHONE = {"deviceMetrics": {"width": 360, "height": 740, "pixelRatio": 2}}


@contextmanager
def opened(folder: Path, *, phone: bool = False):
    """A browser with an empty profile that saves into `folder`; what its console complains of is an error."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, "--window-size=1280,900", f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    if phone:
        options.add_experimental_option("mobileEmulation", PHONE)
    options.add_experimental_option("prefs", {"download.default_directory": str(folder)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=DRIVER)
    driver = webdriver.Chrome(options=options, service=service)
    try:
        yield driver
        assert not driver.get_log("browser")
    finally:
        driver.quit()


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("desk")) as driver:
        yield driver


@pytest.fixture(scope="module")
def phone(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("phone"), phone=True) as driver:
        yield driver


@pytest.fixture
def page(typed, made):
    status, printed, complaint = typed(compare, *made.values())
    assert status == 0, complaint
    return Path(re.search(r"page: +(\S+)", printed)[1])


@pytest.fixture
def at_desk(desk, page):
    desk.get(page.as_uri())
    return desk


def texts(driver, selector: str) -> list[str]:
    return driver.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)", selector
    )


def press(driver, selector: str, text: str) -> None:
    """Click the first element of this kind that begins with this text."""
    (first, *_) = [e for e in driver.find_elements("css selector", selector) if e.text.startswith(text)]
    driver.execute_script("arguments[0].click()", first)


def choose(driver, name: str, value: str) -> None:
    """Set a field and tell the page."""
    driver.execute_script(
        "const field = document.getElementById(arguments[0]); field.value = arguments[1];"
        "field.dispatchEvent(new Event(field.tagName === 'INPUT' ? 'input' : 'change'))",
        name,
        value,
    )


def overflow(driver) -> int:
    return driver.execute_script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")


def test_the_page_asks_nothing_of_a_network(at_desk):
    asked = at_desk.execute_script("return performance.getEntriesByType('resource').map((e) => e.name)")
    assert all(name.startswith("data:") for name in asked)


def test_a_heading_sorts_the_table_and_a_word_filters_it(at_desk, made):
    heading, column = "#overview thead button", "#overview tbody tr td:nth-child(3)"
    press(at_desk, heading, "text")
    values = [float(text) for text in texts(at_desk, column)]
    assert values == sorted(values, reverse=True)
    assert len(values) == len(made)
    press(at_desk, heading, "text")
    assert [float(text) for text in texts(at_desk, column)] == sorted(values)
    field = at_desk.find_element("css selector", "#overview input[type=search]")
    field.send_keys("ceiling")
    assert sorted(texts(at_desk, "#overview tbody th")) == ["oracle", "oracle_vae"]


def test_the_scatter_shows_every_run_with_its_intervals_and_the_front(at_desk, made):
    sides = with_overall(read_sides(list(made.values())))[0]
    methods = {s.name: (interval(s.rows, "text").mean, interval(s.rows, "identity").mean) for s in sides[:3]}
    assert len(texts(at_desk, "#scatter g.point")) == len(made)
    assert len(texts(at_desk, "#scatter line.whisker")) == 2 * len(made)
    line = at_desk.find_element("css selector", "#scatter polyline.front").get_attribute("points").split()
    places = {}
    for group in at_desk.find_elements("css selector", "#scatter g.point:has(circle)"):
        circle = group.find_element("css selector", "circle")
        places[group.get_attribute("data-run")] = f"{circle.get_attribute('cx')},{circle.get_attribute('cy')}"
    assert line == [places[name] for name in front(methods)]


def test_a_run_that_is_put_away_vanishes_everywhere(at_desk, made):
    press(at_desk, "#sides label", "no_fusion")
    assert "no_fusion" not in texts(at_desk, "#scatter text.label")
    assert len(at_desk.find_elements("css selector", "#pictures [data-run=no_fusion]")) == 0
    assert len(at_desk.find_elements("css selector", "#prompts [data-run=no_fusion]")) == 0
    assert len(at_desk.find_elements("css selector", "#scatter g.point")) == len(made) - 1


def test_pictures_are_filtered_and_the_same_seed_stands_side_by_side(at_desk, made):
    rows = read_sheet(made["full"] / "scores.csv")
    choose(at_desk, "person", rows[0]["person"])
    choose(at_desk, "seed", "1")
    choose(at_desk, "search", "hat snow")
    cards = at_desk.find_elements("css selector", "#pictures article")
    assert len(cards) == 1
    assert texts(at_desk, "#count") == ["1 of 24 rows of pictures"]
    names = [image.get_attribute("alt") for image in cards[0].find_elements("tag name", "img")]
    prompt = "a photo of S* wearing a red hat in the snow"
    assert names == [f"photo of {rows[0]['person']}", *(f"{run}: {prompt}, seed 1" for run in made)]
    at_desk.execute_script("document.querySelector('#pictures article').scrollIntoView()")
    time.sleep(0.3)
    script = "return [...document.querySelectorAll('#pictures article img')].map((i) => i.naturalWidth)"
    assert set(at_desk.execute_script(script)) == {64}


def test_pictures_are_sorted_by_a_runs_score(at_desk, made):
    choose(at_desk, "text", "text/b")
    choose(at_desk, "order", "low\tno_fusion\ttext/b")
    rows = sorted(read_sheet(made["no_fusion"] / "scores.csv"), key=lambda row: float(row["text/b"]))
    wanted = [f"{row['prompt']} · person {row['person']} · seed {row['seed']}" for row in rows]
    assert texts(at_desk, "#pictures article h3") == wanted
    choose(at_desk, "order", "high\tno_fusion\ttext/b")
    assert texts(at_desk, "#pictures article h3") == wanted[::-1]


def test_prompts_are_sorted_by_the_spread_of_runs_and_searched(at_desk):
    choose(at_desk, "prompt-score", "identity/c")
    choose(at_desk, "prompt-order", "name")
    names = texts(at_desk, "#prompts .bars h3")
    assert names == sorted(names, key=str.lower)
    choose(at_desk, "prompt-search", "pencil")
    assert texts(at_desk, "#prompts .bars h3") == ["a pencil sketch of S*"]


def test_a_prompt_with_markup_is_shown_as_words(at_desk):
    assert len(at_desk.find_elements("css selector", "main b:not(figcaption b)")) == 0
    assert "an oil painting of S* with a <b>golden</b> crown & a cape </script>" in texts(at_desk, "#prompts h3")


def test_a_click_enlarges_a_row_of_pictures(at_desk, made):
    at_desk.execute_script("document.querySelector('#pictures article img').click()")
    assert len(at_desk.find_elements("css selector", "#large[open] img")) == len(made) + 1
    press(at_desk, "#large button", "")
    assert len(at_desk.find_elements("css selector", "#large[open]")) == 0


def test_on_a_phone_nothing_is_wider_than_the_screen(phone, page):
    phone.get(page.as_uri())
    assert overflow(phone) == 0
    assert not phone.find_element("id", "controls").get_attribute("open")
    phone.execute_script("document.getElementById('controls').open = true")
    choose(phone, "size", "384")
    assert overflow(phone) == 0
    width = phone.execute_script("return innerWidth")
    drawings = "[...document.querySelectorAll('#scatter svg, #prompts svg')]"
    assert max(phone.execute_script(f"return {drawings}.map((e) => e.getBoundingClientRect().right)")) <= width


@pytest.mark.parametrize("small", [False, True])
def test_a_rater_answers_a_sheet_pauses_and_saves(typed, made, tmp_path, small):
    words = ["make", made["full"], made["no_fusion"], "items=4", "checks=1", "raters=2"]
    status, printed, complaint = typed(human_eval, *words)
    assert status == 0, complaint
    kit = Path(re.search(r"pages: +(\S+)/pages", printed)[1])
    with opened(tmp_path, phone=small) as driver:
        driver.get((kit / "pages" / "sheet-s001.html").as_uri())
        driver.find_element("id", "begin").click()
        assert "name or a number" in driver.find_element("id", "complaint").text
        driver.find_element("id", "rater").send_keys('=Ann "A"')
        driver.find_element("id", "begin").click()
        for number in range(5):
            assert driver.find_element("id", "place").text == f"{number + 1} of 5"
            assert not driver.find_element("id", "forth").is_enabled()
            assert overflow(driver) == 0
            for question in ("text", "identity", "overall"):
                driver.find_element("css selector", f"input[name={question}][value=left]").click()
            if number == 2:
                driver.refresh()
            driver.find_element("id", "forth").click()
        driver.find_element("id", "save").click()
        for _ in range(50):
            if list(tmp_path.glob("ratings-*.csv")):
                break
            time.sleep(0.1)
    (saved,) = tmp_path.glob("ratings-*.csv")
    given = read_ratings([saved])
    key = read_sheet(kit / "key.csv")
    check_ratings(given, key, ["text", "identity", "overall"])
    assert {(rating.rater, rating.answer) for rating in given} == {('=Ann "A"', "left")}
    assert '"\'=Ann ""A"""' in saved.read_text()  # marked, so that no spreadsheet takes the name for a formula
    assert [rating.item for rating in given[::3]] == [row["item"] for row in key if row["sheet"] == "s001"]
    status, printed, complaint = typed(human_eval, "score", saved, "pass_rate=0")
    assert status == 0, complaint
    assert "fewer than 5 counted raters" in printed
