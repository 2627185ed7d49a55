"""A page holds everything, and nothing that is put into it becomes part of its program."""

import json

import pytest
from jinja2 import UndefinedError

from src.files.html import filled, parts


@pytest.fixture
def page(tmp_path):
    (tmp_path / "own.js").write_text("draw();\n")
    program = '{% include "own.js" %}'
    (tmp_path / "page.html").write_text(f"<h1>{{{{ title }}}}</h1><script>{{{{ data | json }}}}</script>{program}")
    return tmp_path / "page.html"


def test_values_are_text_and_data_cannot_end_its_script(page):
    data = {"prompt": "</script><b>", "name": "Zoë", "number": 0.5}
    html = filled(page, title="a < b & c", data=data)
    assert html.startswith("<h1>a &lt; b &amp; c</h1>")
    assert html.endswith("draw();\n")
    text = html.partition("<script>")[2].partition("</script>")[0]
    assert "<" not in text and json.loads(text) == data


def test_what_is_no_number_or_not_given_is_refused(page):
    with pytest.raises(ValueError, match="not JSON compliant"):
        filled(page, title="", data=float("nan"))
    with pytest.raises(UndefinedError, match="title"):
        filled(page, data={})


def test_the_parts_of_a_page_are_its_folder_and_what_is_shared(page):
    assert [path.name for path in parts(page.parent)] == ["common.css", "own.js", "page.html"]
