"""Curves for a page; the only importer of matplotlib."""

import io
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

TICKS = [digit * 10.0**power for power in range(-4, 4) for digit in (1, 2, 5)]  # of an axis that is logarithmic
SHAPES = "*sDPX^vph<>"  # of points that stand alone: there are more of them than colours


def curves(rows: Sequence[Mapping[str, Any]], *, x: str, y: Sequence[str], by: str) -> bytes:
    """A PNG with a panel for each of `y` and a line for each value of `by`; NAME_low and NAME_high are its band.

    The places on the x axis are the rows' values in order, evenly spaced: 0 has no place on a logarithmic axis.
    """
    figure = _figure(figsize=(4 * len(y), 3.2), layout="constrained")
    places = {value: place for place, value in enumerate(dict.fromkeys(row[x] for row in rows))}
    for axes, name in zip(figure.subplots(1, len(y), squeeze=False)[0], y, strict=True):
        for line in dict.fromkeys(row[by] for row in rows):
            points = [row for row in rows if row[by] == line]
            at = [places[row[x]] for row in points]
            axes.plot(at, [row[name] for row in points], marker="o", label=str(line))
            axes.fill_between(at, [r[f"{name}_low"] for r in points], [r[f"{name}_high"] for r in points], alpha=0.15)
        axes.set(xlabel=x, ylabel=f"{name} (normalised)")
        axes.set_xticks(list(places.values()), [tick(value) for value in places])
    axes.legend(title=by)
    return _png(figure)


def tick(value: Any) -> str:
    """A number without needless zeros; a word as it is."""
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def intervals(rows: Sequence[Mapping[str, Any]], *, x: str) -> bytes:
    """A PNG with one line for each row {label, mean, low, high, bound to be exceeded}, the first on top."""
    figure = _figure(figsize=(9, 0.9 + 0.32 * len(rows)), layout="constrained")
    axes = figure.subplots()
    places = list(range(len(rows)))[::-1]
    means = [row["mean"] for row in rows]
    reach = [[row["mean"] - row["low"] for row in rows], [row["high"] - row["mean"] for row in rows]]
    axes.errorbar(means, places, xerr=reach, fmt="o", capsize=3)
    axes.plot([row["bound"] for row in rows], places, "r|", markersize=16, zorder=3, label="must lie above")
    axes.axvline(0, color="grey", linewidth=1)
    axes.legend(loc="best")
    axes.set(xlabel=x, ylim=(-0.6, len(rows) - 0.4))
    axes.set_yticks(places, [row["label"] for row in rows])
    return _png(figure)


def scatter(rows: Sequence[Mapping[str, Any]], *, x: str, y: str, by: str, marked: str) -> bytes:
    """A PNG with a point for each row: its colour says `by`, its marker `marked`; NAME_low and NAME_high its bars."""
    figure = _figure(figsize=(7.5, 5), layout="constrained")
    axes = figure.subplots()
    colours = {value: f"C{place}" for place, value in enumerate(dict.fromkeys(row[by] for row in rows))}
    shapes = dict(zip(dict.fromkeys(row[marked] for row in rows), itertools.cycle("os^Dv*P"), strict=False))
    for row in rows:
        ends = {name: [[row[name] - row[f"{name}_low"]], [row[f"{name}_high"] - row[name]]] for name in (x, y)}
        reach = {"xerr": ends[x], "yerr": ends[y]}
        look = {"color": colours[row[by]], "marker": shapes[row[marked]]}
        axes.errorbar([row[x]], [row[y]], **reach, **look, linestyle="", elinewidth=0.4, markersize=8)
    for value, colour in colours.items():
        axes.plot([], [], color=colour, linewidth=4, label=str(value))
    for value, shape in shapes.items():
        axes.plot([], [], color="grey", marker=shape, linestyle="", label=str(value))
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    axes.set(xlabel=f"{x} (normalised)", ylabel=f"{y} (normalised)")
    return _png(figure)


def paths(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """A PNG with text against identity: a line for each `path` through its strengths, which are written at its points.

    rows: path, strength, and text and identity with NAME_low and NAME_high, in the order of each path.
    """
    figure = _figure(figsize=(7.5, 5), layout="constrained")
    axes = figure.subplots()
    for name in dict.fromkeys(row["path"] for row in rows):
        points = [row for row in rows if row["path"] == name]
        x, y = ([row[kind] for row in points] for kind in ("identity", "text"))
        reach = {
            f"{axis}err": [[r[k] - r[f"{k}_low"] for r in points], [r[f"{k}_high"] - r[k] for r in points]]
            for axis, k in (("x", "identity"), ("y", "text"))
        }
        line = axes.errorbar(x, y, **reach, marker="o", elinewidth=0.4, label=name)
        for row in points:
            place, colour = (row["identity"], row["text"]), line.lines[0].get_color()
            axes.annotate(row["strength"], place, xytext=(4, 4), textcoords="offset points", fontsize=7, color=colour)
    axes.set(xlabel="identity, from floor (0) to ceiling (1)", ylabel="text, from floor (0) to ceiling (1)")
    axes.legend(loc="best")
    return _png(figure)


def fronts(
    rows: Sequence[Mapping[str, Any]], *, x: str, y: Sequence[str], by: str, label: str, on: Mapping[str, Sequence[int]]
) -> bytes:
    """A PNG with a panel for each of `y` against the cost `x` (logarithmic): a line for each value of `by`.

    label: the column that is written beside the points of a line; NAME_low and NAME_high are their bars.
    on: for each of `y` the places of the rows on the Pareto front, in the order of their cost.
    """
    figure = _figure(figsize=(4.6 * len(y) + 1.8, 4.2), layout="constrained")
    names = list(dict.fromkeys(row[by] for row in rows))
    spread = [row[x] for row in rows]
    ticks = [place for place in TICKS if min(spread) / 1.2 <= place <= max(spread) * 1.2]
    for axes, name in zip(figure.subplots(1, len(y), squeeze=False)[0], y, strict=True):
        edge = [rows[place] for place in on[name]]
        axes.plot([row[x] for row in edge], [row[name] for row in edge], color="0.8", linewidth=6, label="front")
        for number, line in enumerate(names):
            points = sorted((row for row in rows if row[by] == line), key=lambda row: row[x])
            look = {"marker": "o"} if len(points) > 1 else {"marker": SHAPES[number % len(SHAPES)], "markersize": 9}
            axes.plot([row[x] for row in points], [row[name] for row in points], label=str(line), **look)
            for row in points if len(points) > 1 else ():
                place = {"textcoords": "offset points", "xytext": (3, 4), "fontsize": 6}
                axes.annotate(str(row[label]), (row[x], row[name]), **place)
        axes.set(xlabel=f"{x} (logarithmic)", ylabel=f"{name} (normalised)", xscale="log")
        axes.set_xticks(ticks, [tick(place) for place in ticks])
        axes.set_xticks([], minor=True)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    return _png(figure)


def bars(panels: Sequence[Mapping[str, Any]]) -> bytes:
    """A PNG with a panel for each {title, unit, bars: (label, value), ...}, the first bar on top."""
    longest = max(len(panel["bars"]) for panel in panels)
    figure = _figure(figsize=(6.5 * len(panels), 1 + 0.32 * longest), layout="constrained")
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        labels, values = zip(*panel["bars"], strict=True)
        drawn = axes.barh(range(len(values)), values)
        axes.bar_label(drawn, fmt="%.3g", padding=3)
        axes.set_yticks(range(len(values)), labels)
        axes.invert_yaxis()
        axes.margins(x=0.15)
        axes.set(title=panel["title"], xlabel=panel["unit"])
    return _png(figure)


def lines(panels: Sequence[Mapping[str, Any]], rows: int = 2) -> bytes:
    """A PNG with panels {x, y, log, lines: name -> points (x, y)} in so many rows; x is logarithmic, y if `log`."""
    figure = _figure(figsize=(3.4 * len(panels) / rows, 3 * rows), layout="constrained")
    for axes, panel in zip(figure.subplots(rows, len(panels) // rows, squeeze=False).flat, panels, strict=True):
        for name, points in panel["lines"].items():
            axes.plot(*zip(*points, strict=True), marker="o", label=name)
        places = sorted({x for points in panel["lines"].values() for x, _ in points})
        axes.set(xlabel=panel["x"], ylabel=panel["y"], xscale="log")
        axes.set_xticks(places, [tick(value) for value in places])
        if panel["log"]:
            axes.set_yscale("log")
            _plain_levels(axes)
        else:
            axes.set_ylim(0, 1.05 * max(y for points in panel["lines"].values() for _, y in points))
        axes.minorticks_off()
    figure.axes[0].legend(fontsize=7)
    return _png(figure)


def _plain_levels(axes: Any) -> None:
    """1, 2 and 5 of every power of ten that the logarithmic y axis shows, written out."""
    low, high = axes.get_ylim()
    levels = [base * 10.0**power for power in range(-5, 5) for base in (1, 2, 5)]
    shown = [level for level in levels if low <= level <= high]
    axes.set_yticks(shown, [tick(level) for level in shown])


def _figure(**how: Any) -> Any:
    """An empty figure; matplotlib is loaded by the first."""
    from matplotlib.figure import Figure

    return Figure(**how)


def _png(figure: Any) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=120)
    return out.getvalue()
