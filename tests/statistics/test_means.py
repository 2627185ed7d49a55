"""Means of rows: people weigh the same, words and blanks are read as they are meant."""

import pytest

from src.statistics.means import number, overall_mean, person_means


def test_means_give_each_person_the_same_weight():
    uneven = [{"person": "a", "text/a": 0.0}] * 16 + [{"person": "b", "text/a": 1.0}]
    assert person_means(uneven, "text/a") == {"a": 0.0, "b": 1.0}
    assert overall_mean(uneven, "text/a") == 0.5
    assert person_means([{"person": 1, "ok": "True"}, {"person": 1, "ok": "False"}], "ok") == {"1": 0.5}


def test_a_cell_is_a_number_or_a_blank():
    assert (number("0.5"), number(True), number("False")) == (0.5, 1, 0)
    assert all(number(blank) != number(blank) for blank in ("", None))
    with pytest.raises(ValueError, match="many"):
        number("many")
