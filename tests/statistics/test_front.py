"""Nothing on the front is beaten, and only what every method has a score of counts."""

import math

import numpy as np

from src.statistics.front import common_front, front


def test_no_point_of_the_front_is_beaten_and_every_other_is():
    rng = np.random.default_rng(0)
    points = {str(k): tuple(rng.normal(size=2).round(1)) for k in range(60)}
    best = front({**points, "blank": (math.nan, 9.0)})

    def beaten(name):
        x, y = points[name]
        return any(a >= x and b >= y and (a, b) != (x, y) for a, b in points.values())

    assert set(best) == {name for name in points if not beaten(name)}
    assert [points[name][0] for name in best] == sorted(points[name][0] for name in best)


def test_images_that_one_method_has_no_score_of_do_not_count():
    rows = [{"person": p, "prompt": "x", "seed": 0, "text": p, "identity": p} for p in (0.1, 0.9)]
    blank = [rows[0] | {"identity": ""}, rows[1]]
    names, note = common_front({"whole": rows, "blank": blank}, "text", "identity")
    assert set(names) == {"whole", "blank"}
    assert note == "the front is over the 1 of 2 images of which every method has all scores"
