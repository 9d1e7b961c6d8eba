"""Charts of real figures, held against the numbers that drew them. One of each type is drawn again from its chart,
and read again."""

import base64
import datetime
import importlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
import warnings

import cases
from cases import close, equal

charts = cases.load("charts")
emitted = []
charts.watch(emitted.append)
if "matplotlib" in sys.modules:
    raise SystemExit("watch imports matplotlib")
warnings.simplefilter("error", UserWarning)  # such as that of a window that cannot be shown

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from daytona_toolbox_api_client import Chart

DAY = 86400.0
TICKS = ["x_ticks", "x_tick_labels", "x_scale", "y_ticks", "y_tick_labels", "y_scale"]
PLAIN = ["type", "title", "elements", "png"]
FLAT = PLAIN + ["x_label", "y_label"] + TICKS


def before():
    plt.close("all")
    matplotlib.rcdefaults()
    plt.switch_backend("agg")
    del emitted[:]
    charts.reset()


def shown():
    """The charts that plt.show() emits, held to what JSON and the published client hold."""
    del emitted[:]
    equal(plt.show(), None)
    equal(plt.get_fignums(), [])
    return [checked(chart) for chart in emitted]


def one():
    found = shown()
    equal(len(found), 1, "count of charts")
    return found[0]


def checked(chart):
    text = json.dumps(chart, allow_nan=False)
    equal(json.loads(text), chart)
    equal(base64.b64decode(chart["png"])[:8], b"\x89PNG\r\n\x1a\n")
    equal(Chart.from_json(text).to_dict(), without_none(chart), "the chart in the published client")
    return chart


def without_none(value):
    if isinstance(value, dict):
        return {k: without_none(v) for k, v in value.items() if v is not None}
    return [without_none(v) for v in value] if isinstance(value, list) else value


def same_again(chart, skip=()):
    """Draws the chart again from its fields alone; what is read from that is to be the same."""
    before()
    if chart["type"] == "composite_chart":
        fig, axes = plt.subplots(1, len(chart["elements"]), squeeze=False)
        if chart["title"]:
            fig.suptitle(chart["title"])
        for ax, part in zip(axes.flat, chart["elements"]):
            redraw(ax, part)
    else:
        redraw(plt.gca(), chart)
    compare(one(), chart, set(skip) | {"png"})


def compare(got, want, skip, path="chart"):
    if isinstance(want, dict):
        equal(sorted(set(got) - skip), sorted(set(want) - skip), path)
        for key in set(want) - skip:
            compare(got[key], want[key], skip, path + "." + key)
    elif isinstance(want, list):
        equal(len(got), len(want), "count of " + path)
        for i, pair in enumerate(zip(got, want)):
            compare(pair[0], pair[1], skip, "%s[%d]" % (path, i))
    elif isinstance(want, float):
        close(got, want, 1e-6 * max(1.0, abs(want)), path)
    else:
        equal(got, want, path)


def redraw(ax, chart):
    lying = chart.get("orientation") == "horizontal"
    kind = chart["type"]
    ax.set_title(chart["title"])

    def places(name):
        numbers = chart[name]
        return [moment(n) for n in numbers] if chart[name[0] + "_scale"] == "datetime" else numbers

    def moment(seconds):
        return datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds)

    if kind == "pie":
        ax.pie(
            [e["angle"] for e in chart["elements"]],
            labels=[e["label"] for e in chart["elements"]],
            radius=chart["elements"][0]["radius"],
        )
        return
    if kind in ("line", "scatter"):
        for name in "xy":
            if chart[name + "_scale"] not in ("linear", "datetime", "categorical"):
                getattr(ax, "set_%sscale" % name)(chart[name + "_scale"])
        for e in chart["elements"]:
            xs, ys = [p[0] for p in e["points"]], [p[1] for p in e["points"]]
            if chart["x_scale"] == "datetime":
                xs = [moment(x) for x in xs]
            draw = ax.plot if kind == "line" else ax.scatter
            draw(xs, ys, label=e["label"] if not e["label"].startswith("_") else None)
    at = dict(zip(chart["x_tick_labels"], chart["x_ticks"]))
    if kind == "bar":
        groups = list(dict.fromkeys(e["group"] for e in chart["elements"]))
        width = 0.8 / len(groups)
        for i, group in enumerate(groups):
            own = [e for e in chart["elements"] if e["group"] == group]
            where = [at[e["label"]] + (i - (len(groups) - 1) / 2) * width for e in own]
            draw = ax.barh if lying else ax.bar
            draw(where, [float(e["value"]) for e in own], width, label=group if not group.startswith("_") else None)
    if kind == "box_and_whisker":
        stats = [
            {
                "whislo": e["min"],
                "q1": e["first_quartile"],
                "med": e["median"],
                "q3": e["third_quartile"],
                "whishi": e["max"],
                "fliers": e["outliers"],
            }
            for e in chart["elements"]
        ]
        ax.bxp(
            stats,
            positions=[at[e["label"]] for e in chart["elements"]],
            orientation="horizontal" if lying else "vertical",
        )
    first, second = ("y", "x") if lying else ("x", "y")
    for name, target in (("x", first), ("y", second)):
        getattr(ax, "set_%slabel" % target)(chart[name + "_label"])
        getattr(ax, "set_%sticks" % target)(places(name + "_ticks"), chart[name + "_tick_labels"])


# Types.


def test_line():
    plt.plot([1, 2, 3], [4.5, 5, -6], label="first")
    plt.plot(np.array([1, 2], dtype=np.int32), np.array([0.5, 1], dtype=np.float32))
    plt.axhline(3)
    plt.axvline(1)
    plt.axhspan(0, 1)
    plt.title("Title")
    plt.xlabel("across")
    plt.ylabel("along")
    plt.xticks([1, 2, 3])
    plt.yticks([-5, 0, 5], ["low", "nil", "high"])
    plt.legend()
    chart = one()
    equal(sorted(chart), sorted(FLAT))
    png = chart.pop("png")
    equal(
        chart,
        {
            "type": "line",
            "title": "Title",
            "x_label": "across",
            "y_label": "along",
            "x_ticks": [1.0, 2.0, 3.0],
            "x_tick_labels": ["1", "2", "3"],
            "x_scale": "linear",
            "y_ticks": [-5.0, 0.0, 5.0],
            "y_tick_labels": ["low", "nil", "high"],
            "y_scale": "linear",
            "elements": [
                {"label": "first", "points": [[1.0, 4.5], [2.0, 5.0], [3.0, -6.0]]},
                {"label": "_child1", "points": [[1.0, 0.5], [2.0, 1.0]]},
            ],
        },
    )
    same_again(dict(chart, png=png))


def test_line_of_two_level_points_is_one_when_it_is_all():
    plt.plot([0, 1], [5, 5])
    equal(one()["elements"][0]["points"], [[0.0, 5.0], [1.0, 5.0]])
    plt.plot([0, 1, 2], [5, 6, 7])
    plt.plot([0, 1], [5, 5])
    equal(len(one()["elements"]), 1)


def test_scatter():
    plt.scatter([1, 2, 3], [4, 5, 6], label="a")
    plt.scatter([1], [2], label="b", c=[5], s=[100])
    plt.axhline(3)
    chart = one()
    equal(sorted(chart), sorted(FLAT))
    equal(chart["type"], "scatter")
    equal(
        chart["elements"],
        [{"label": "a", "points": [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]}, {"label": "b", "points": [[1.0, 2.0]]}],
    )
    same_again(chart)


def test_bar():
    plt.bar(["a", "b", "c"], [1, 2.5, -3], label="g", yerr=0.5, capsize=3)
    plt.xlabel("names")
    plt.ylabel("values")
    chart = one()
    equal(sorted(chart), sorted(FLAT + ["orientation"]))
    equal(chart["type"], "bar")
    equal(
        chart["elements"],
        [
            {"label": "a", "group": "g", "value": "1"},
            {"label": "b", "group": "g", "value": "2.5"},
            {"label": "c", "group": "g", "value": "-3"},
        ],
    )
    equal(
        [chart[k] for k in ("x_label", "y_label", "x_scale", "y_scale")], ["names", "values", "categorical", "linear"]
    )
    equal(chart["x_ticks"], [0.0, 1.0, 2.0])
    equal(chart["x_tick_labels"], ["a", "b", "c"])
    same_again(chart)


def test_horizontal_bars():
    plt.barh(["a", "b"], [2, 3])
    plt.xlabel("values")
    plt.ylabel("names")
    chart = one()
    equal([(e["label"], e["value"]) for e in chart["elements"]], [("a", "2"), ("b", "3")])
    equal(
        [chart[k] for k in ("orientation", "x_label", "y_label", "x_scale")],
        ["horizontal", "names", "values", "categorical"],
    )
    same_again(chart)


def test_equal_bars_stand_or_lie_as_drawn():
    for draw, orientation in ((plt.bar, "vertical"), (plt.barh, "horizontal")):
        before()
        draw(["a", "b"], [2, 2])
        chart = one()
        equal([(e["label"], e["value"]) for e in chart["elements"]], [("a", "2"), ("b", "2")])
        equal(chart["orientation"], orientation)
        same_again(chart)
        before()
        draw(["a"], [0.8])
        chart = one()
        equal([(e["label"], e["value"]) for e in chart["elements"]], [("a", "0.8")])
        equal(chart["orientation"], orientation)


def test_grouped_bars():
    x = np.arange(3)
    for i, group in enumerate("AB"):
        plt.bar(x + 0.4 * i - 0.2, [i + 1, i + 2, i + 3], 0.4, label=group)
    plt.xticks(x, ["p", "q", "r"])
    chart = one()
    equal(
        [(e["label"], e["group"], e["value"]) for e in chart["elements"]],
        [("p", "A", "1"), ("q", "A", "2"), ("r", "A", "3"), ("p", "B", "2"), ("q", "B", "3"), ("r", "B", "4")],
    )
    same_again(chart)


def test_stacked_bars_have_their_own_values():
    plt.bar(["p", "q"], [1, 2], label="A")
    plt.bar(["p", "q"], [3, 4], bottom=[1, 2], label="B")
    equal(
        [(e["label"], e["group"], e["value"]) for e in one()["elements"]],
        [("p", "A", "1"), ("q", "A", "2"), ("p", "B", "3"), ("q", "B", "4")],
    )


def test_bars_have_the_names_of_their_places():
    plt.bar([1, 2, 3], [4, 5, 6])  # with ticks at 0.75, 1.00, 1.25 ...
    equal([e["label"] for e in one()["elements"]], ["1", "2", "3"])
    plt.bar(range(11), range(11))
    plt.xticks([0, 5, 10], ["a", "b", "c"])  # fewer ticks than bars
    equal([e["label"] for e in one()["elements"]], ["a", "1", "2", "3", "4", "b", "6", "7", "8", "9", "c"])
    plt.bar(["a", "b"], [1, 2], width=1, align="edge")
    equal([e["label"] for e in one()["elements"]], ["a", "b"])
    plt.bar([datetime.date(2024, 1, 31), datetime.date(2024, 2, 29)], [1, 2])
    chart = one()
    equal([e["label"] for e in chart["elements"]], ["2024-01-31", "2024-02-29"])
    equal(chart["x_scale"], "datetime")


def test_bars_along_dates():
    days = [datetime.datetime(2024, 1, d) for d in (1, 2)]
    plt.barh(["a", "b"], [datetime.timedelta(1), datetime.timedelta(hours=1)], left=days)
    chart = one()
    equal([(e["label"], e["value"]) for e in chart["elements"]], [("a", "86400"), ("b", "3600")])
    equal([chart["orientation"], chart["y_scale"]], ["horizontal", "datetime"])


def test_many_categories_are_quick():
    fig = matplotlib.figure.Figure()
    fig.subplots().bar(["c%d" % i for i in range(5000)], range(5000))
    began = time.process_time()
    chart = charts._read(fig)
    if time.process_time() - began > 1:
        raise AssertionError("%.1f s" % (time.process_time() - began))
    equal([(e["label"], e["value"]) for e in chart["elements"]], [("c%d" % i, str(i)) for i in range(5000)])


def test_bar_values_are_decimal():
    plt.bar(["a", "b", "c", "d", "e"], [1e-7, 1e20, 0.1 + 0.2, 0, float("nan")])
    equal([e["value"] for e in one()["elements"]], ["0.0000001", "100000000000000000000", "0.30000000000000004", "0"])


def test_rectangles_without_a_container():
    for i, height in enumerate([1, 2, 2]):
        plt.gca().add_patch(plt.Rectangle((i - 0.25, 0), 0.5, height))
    plt.xlim(-1, 3)
    equal([(e["label"], e["value"]) for e in one()["elements"]], [("0", "1"), ("1", "2"), ("2", "2")])


def test_histogram():
    plt.hist([1, 1, 2, 5], bins=2, label="h")
    chart = one()
    equal([(e["label"], e["value"], e["group"]) for e in chart["elements"]], [("2", "3", "h"), ("4", "1", "h")])
    plt.hist([1, 1, 2, 5], bins=2, orientation="horizontal")
    chart = one()
    equal([(e["label"], e["value"]) for e in chart["elements"]], [("2", "3"), ("4", "1")])
    equal(chart["orientation"], "horizontal")


def test_pie():
    plt.pie([1, 2, 5], labels=["a", "b", "c"], explode=[0.1, 0, 0], shadow=True, autopct="%d%%", radius=1.5)
    plt.title("Shares")
    chart = one()
    equal(sorted(chart), sorted(PLAIN))
    equal([chart["type"], chart["title"]], ["pie", "Shares"])
    equal(
        chart["elements"],
        [
            {"label": "a", "angle": 45.0, "radius": 1.5},
            {"label": "b", "angle": 90.0, "radius": 1.5},
            {"label": "c", "angle": 225.0, "radius": 1.5},
        ],
    )
    same_again(chart)


def test_ring_with_a_legend():
    wedges = plt.pie([1, 3], wedgeprops={"width": 0.4})
    plt.gca().add_artist(plt.Circle((0, 0), 0.5, fc="white"))
    plt.legend(["x", "y"])
    equal([(e["label"], e["angle"]) for e in one()["elements"]], [("x", 90.0), ("y", 270.0)])


SAMPLES = [[1, 2, 3, 4, 5, 6, 7, 8, 30], [5, 5, 6, 7, 9], [2, 2, 2, 2]]


def boxes_of(chart):
    return [
        [e[k] for k in ("label", "min", "first_quartile", "median", "third_quartile", "max", "outliers")]
        for e in chart["elements"]
    ]


WANT = [
    ["a", 1.0, 3.0, 5.0, 7.0, 8.0, [30.0]],
    ["b", 5.0, 5.0, 6.0, 7.0, 9.0, []],
    ["c", 2.0, 2.0, 2.0, 2.0, 2.0, []],
]


def test_box_plots_however_drawn():
    for options in (
        {},
        {"patch_artist": True},
        {"notch": True},
        {"showmeans": True},
        {"showmeans": True, "meanline": True},
        {"showcaps": False},
        {"patch_artist": True, "showcaps": False, "showmeans": True},
        {"widths": 0.9},
        {"positions": [2, 4, 8]},
        {"notch": True, "patch_artist": True},
        {"sym": "r+"},
        {"orientation": "horizontal"},
        {"orientation": "horizontal", "patch_artist": True},
    ):
        before()
        plt.boxplot(SAMPLES, tick_labels=["a", "b", "c"], **options)
        plt.axhline(5)
        plt.xlabel("across")
        plt.ylabel("along")
        chart = one()
        lying = "orientation" in options
        equal(chart["type"], "box_and_whisker", str(options))
        equal(boxes_of(chart), WANT, str(options))
        equal(chart["orientation"], "horizontal" if lying else "vertical")
        equal([chart["x_label"], chart["y_label"]], ["along", "across"] if lying else ["across", "along"])
        equal(chart["x_tick_labels"], ["a", "b", "c"])
        equal(sorted(chart), sorted(FLAT + ["orientation"]))
        same_again(chart)


def test_box_plot_without_outliers_shown():
    plt.boxplot(SAMPLES, showfliers=False, tick_labels=["a", "b", "c"])
    equal(boxes_of(one()), [row[:-1] + [[]] for row in WANT])


def test_rectangles_of_lines_are_no_box_plots():
    plt.plot([0, 1, 1, 0, 0], [0, 0, 1, 1, 0])
    plt.plot([0.5, 0.5], [0, -1])
    plt.plot([0, 1, 2], [3, 4, 4])
    equal(one()["type"], "line")


def test_composite():
    fig, axes = plt.subplots(2, 2)
    fig.suptitle("All")
    axes[0, 0].plot([1, 2, 3], label="l")
    axes[0, 0].set_title("first")
    axes[0, 1].bar(["a", "b"], [1, 2])
    axes[1, 0].pie([1, 3], labels=["u", "v"])
    axes[1, 1].boxplot(SAMPLES, tick_labels=["a", "b", "c"])
    chart = one()
    equal(sorted(chart), sorted(PLAIN))
    equal([chart["type"], chart["title"]], ["composite_chart", "All"])
    equal([e["type"] for e in chart["elements"]], ["line", "bar", "pie", "box_and_whisker"])
    equal([e["title"] for e in chart["elements"]], ["first", "", "", ""])
    equal(["png" in e for e in chart["elements"]], [False] * 4)
    equal(chart["elements"][0]["elements"], [{"label": "l", "points": [[0.0, 1.0], [1.0, 2.0], [2.0, 3.0]]}])
    equal(boxes_of(chart["elements"][3]), WANT)
    same_again(chart)
    plt.subplots(1, 2)[1][0].plot([1, 2])
    chart = one()  # one axes is empty
    equal(chart["type"], "line")


def test_composite_without_a_title():
    for ax in plt.subplots(2)[1]:
        ax.plot([1, 2])
    equal(one()["title"], None)


def test_twin_axes():
    ax = plt.gca()
    ax.bar(["a", "b"], [1, 2])
    other = ax.twinx()
    other.plot(["a", "b"], [10, 20], label="t")
    chart = one()
    equal([e["type"] for e in chart["elements"]], ["bar", "line"])
    equal(chart["elements"][1]["elements"][0]["points"], [[0.0, 10.0], [1.0, 20.0]])
    equal(chart["elements"][1]["x_scale"], "categorical")


def test_colour_bars_are_no_axes():
    dots = plt.scatter([1, 2], [3, 4], c=[1, 2])
    plt.colorbar(dots)
    equal(one()["type"], "scatter")
    fig, (ax, place) = plt.subplots(1, 2)
    fig.colorbar(ax.scatter([1, 2], [3, 4], c=[1, 2]), cax=place)
    equal(one()["type"], "scatter")


def test_figures_that_are_no_charts():
    def empty():
        plt.figure()

    def surface():
        plt.figure().add_subplot(projection="3d").plot([1, 2], [1, 2], [1, 2])

    def polar():
        plt.subplot(projection="polar").plot([1, 2])

    for draw in (
        empty,
        surface,
        polar,
        lambda: plt.imshow([[1, 2], [3, 4]]),
        lambda: plt.contour([[1, 2], [3, 4]]),
        lambda: plt.contourf([[1, 2], [3, 4]]),
        lambda: plt.violinplot(SAMPLES),
        lambda: plt.hexbin([1, 2], [3, 4]),
        lambda: plt.fill_between([1, 2], [3, 4]),
        lambda: plt.quiver([1, 2], [3, 4], [1, 1], [1, 1]),
        lambda: plt.hist([1, 2], histtype="step"),
        lambda: plt.stackplot([1, 2], [3, 4]),
    ):
        before()
        draw()
        chart = one()
        equal([chart["type"], chart["elements"]], ["unknown", []])


def test_several_kinds_in_one_place_are_told_apart():
    plt.bar(["a", "b"], [1, 2])
    plt.plot(["a", "b"], [3, 4], label="l")
    chart = one()
    equal(chart["type"], "unknown")
    equal([e["type"] for e in chart["elements"]], ["bar", "line"])


def test_error_bars_and_stems_are_lines():
    plt.errorbar([1, 2, 3], [4, 5, 6], yerr=0.5, capsize=2, fmt="o", label="e")
    equal([(e["label"], e["points"]) for e in one()["elements"]], [("e", [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]])])
    plt.stem([1, 2], [3, 4], label="s")
    equal([(e["label"], e["points"]) for e in one()["elements"]], [("s", [[1.0, 3.0], [2.0, 4.0]])])


# Axes.


def test_points_that_are_no_numbers_are_left_out():
    plt.plot([1, 2, 3, 4], [1, float("nan"), float("inf"), 2])
    plt.plot(np.ma.masked_array([1, 2], [True, False]), [5, 6])
    equal([e["points"] for e in one()["elements"]], [[[1.0, 1.0], [4.0, 2.0]], [[2.0, 6.0]]])
    plt.scatter([1, float("nan")], [2, 3])
    equal(one()["elements"][0]["points"], [[1.0, 2.0]])
    plt.plot([float("nan")], [1])
    equal(one()["elements"][0]["points"], [])


def test_dates_are_seconds():
    first = datetime.datetime(2024, 1, 1)
    for values in (
        [first, first + datetime.timedelta(1)],
        [first.date(), first.date() + datetime.timedelta(1)],
        np.array(["2024-01-01", "2024-01-02"], "datetime64[D]"),
        list(pd.date_range("2024-01-01", periods=2)),
        [first.replace(tzinfo=datetime.timezone.utc), first.replace(day=2, tzinfo=datetime.timezone.utc)],
    ):
        before()
        plt.plot(values, [1, 2])
        chart = one()
        equal(chart["elements"][0]["points"], [[1704067200.0, 1.0], [1704067200.0 + DAY, 2.0]])
        equal([chart["x_scale"], chart["y_scale"]], ["datetime", "linear"])
        if not chart["x_tick_labels"][0].startswith("01-01 00") or chart["x_ticks"][0] != 1704067200.0:
            raise AssertionError((chart["x_ticks"], chart["x_tick_labels"]))
    same_again(chart)
    plt.plot([first, first.replace(microsecond=123456)], [1, 2])
    equal(one()["elements"][0]["points"][1][0], 1704067200.123456)


def test_scales():
    plt.loglog([1, 10, 100], [1, 10, 1000])
    chart = one()
    equal([chart["x_scale"], chart["y_scale"]], ["log", "log"])
    same_again(chart)
    for scale in ("symlog", "logit"):
        plt.plot([0.1, 0.5, 0.9])
        plt.yscale(scale)
        equal(one()["y_scale"], scale)
    plt.plot([1, 2])
    plt.yscale("function", functions=(lambda v: v, lambda v: v))
    equal(one()["y_scale"], "function")
    plt.plot(["u", "v", "w"], [1, 2, 3])
    chart = one()
    equal(chart["x_scale"], "categorical")
    same_again(chart)
    plt.plot([0, 1, 2], [1, 2, 3])
    plt.xticks([0, 1, 2])
    equal(one()["x_scale"], "linear")


# seaborn and pandas.

TIPS = pd.DataFrame(
    {
        "day": ["Thu", "Fri", "Sat"] * 8,
        "sex": ["M", "F"] * 12,
        "bill": np.arange(24.0) ** 1.5,
        "tip": np.arange(24.0) % 7,
    }
)


def test_seaborn_lines_have_the_names_of_the_legend():
    sns.lineplot(data=TIPS, x="tip", y="bill", hue="sex")
    chart = one()
    equal([chart["type"], chart["x_label"], chart["y_label"]], ["line", "tip", "bill"])
    means = TIPS.groupby(["sex", "tip"])["bill"].mean()
    for e in chart["elements"]:
        for x, y in e["points"]:
            close(y, means[e["label"], x])
    equal(sorted(e["label"] for e in chart["elements"]), ["F", "M"])


def test_seaborn_bars():
    means = TIPS.groupby(["day", "sex"])["tip"].mean()
    for orient in ("vertical", "horizontal"):
        before()
        axes = {"x": "day", "y": "tip"} if orient == "vertical" else {"x": "tip", "y": "day"}
        sns.barplot(data=TIPS, hue="sex", capsize=0.2, **axes)
        chart = one()
        equal([chart[k] for k in ("type", "orientation", "x_label", "y_label")], ["bar", orient, "day", "tip"])
        equal(len(chart["elements"]), 6)
        for e in chart["elements"]:
            close(float(e["value"]), means[e["label"], e["group"]])
        same_again(chart, skip={"x_scale"})


def test_seaborn_boxes():
    for options in ({}, {"fill": False}, {"hue": "sex"}):
        before()
        sns.boxplot(data=TIPS, x="day", y="bill", **options)
        chart = one()
        equal(chart["type"], "box_and_whisker", str(options))
        for e in chart["elements"]:
            own = TIPS[TIPS["day"] == e["label"]]
            if "hue" in options:
                own = own[own["sex"] == e["group"]]
            for key, part in (("first_quartile", 0.25), ("median", 0.5), ("third_quartile", 0.75)):
                close(e[key], own["bill"].quantile(part))
        equal(len(chart["elements"]), 6 if "hue" in options else 3)


def test_other_seaborn_plots():
    for draw, want in (
        (lambda: sns.scatterplot(data=TIPS, x="bill", y="tip", hue="day"), "scatter"),
        (lambda: sns.stripplot(data=TIPS, x="day", y="tip"), "scatter"),
        (lambda: sns.histplot(data=TIPS, x="bill", hue="sex"), "bar"),
        (lambda: sns.countplot(data=TIPS, x="day"), "bar"),
        (lambda: sns.pointplot(data=TIPS, x="day", y="tip", capsize=0.1), "line"),
        (lambda: sns.kdeplot(data=TIPS, x="bill"), "line"),
        (lambda: sns.heatmap(np.eye(3), annot=True), "unknown"),
        (lambda: sns.violinplot(data=TIPS, x="day", y="tip"), "unknown"),
        (lambda: sns.regplot(data=TIPS, x="bill", y="tip"), ["scatter", "line"]),
        (lambda: sns.histplot(data=TIPS, x="bill", kde=True), ["bar", "line"]),
        (lambda: sns.pairplot(TIPS[["bill", "tip"]]), ["scatter", "scatter", "bar", "bar"]),
        (lambda: sns.catplot(data=TIPS, x="day", y="tip", col="sex", kind="bar"), ["bar", "bar"]),
    ):
        before()
        draw()
        chart = one()
        equal([e["type"] for e in chart["elements"]] if isinstance(want, list) else chart["type"], want)


def test_pandas_plots():
    frame = pd.DataFrame({"a": [1, 2, 3], "b": [4.0, 5.5, 6]}, index=["x", "y", "z"])
    bars = [("x", "a", "1"), ("y", "a", "2"), ("z", "a", "3"), ("x", "b", "4"), ("y", "b", "5.5"), ("z", "b", "6")]
    for draw, orientation in (
        (frame.plot.bar, "vertical"),
        (frame.plot.barh, "horizontal"),
        (lambda: frame.plot.bar(stacked=True), "vertical"),
    ):
        before()
        draw()
        chart = one()
        equal([(e["label"], e["group"], e["value"]) for e in chart["elements"]], bars)
        equal(chart["orientation"], orientation)
    frame.plot(title="T")
    chart = one()
    equal([chart["type"], chart["title"]], ["line", "T"])
    equal(chart["elements"][1], {"label": "b", "points": [[0.0, 4.0], [1.0, 5.5], [2.0, 6.0]]})
    frame.plot.scatter(x="a", y="b")
    equal(one()["elements"][0]["points"], [[1.0, 4.0], [2.0, 5.5], [3.0, 6.0]])
    frame["a"].plot.pie()
    equal([(e["label"], e["angle"]) for e in one()["elements"]], [("x", 60.0), ("y", 120.0), ("z", 180.0)])
    frame.plot.box()
    equal([(e["label"], e["median"]) for e in one()["elements"]], [("a", 2.0), ("b", 5.5)])
    frame.hist()
    equal([e["title"] for e in one()["elements"]], ["a", "b"])


def test_pandas_times_are_seconds():
    for index, seconds in (
        (pd.date_range("2024-01-01", periods=3), [0, DAY, 2 * DAY]),
        (pd.date_range("2024-01-01", periods=3, freq="MS"), [0, 31 * DAY, 60 * DAY]),
        (pd.date_range("2024-01-01", periods=3, freq="h"), [0, 3600, 7200]),
        (pd.to_datetime(["2024-01-01", "2024-01-05", "2024-03-01"]), [0, 4 * DAY, 60 * DAY]),
        (pd.period_range("2024-01", periods=3, freq="M"), [0, 31 * DAY, 60 * DAY]),
    ):
        before()
        pd.Series([1, 2, 3], index=index).plot()
        chart = one()
        equal(chart["elements"][0]["points"], [[1704067200.0 + s, float(i + 1)] for i, s in enumerate(seconds)])
        equal(chart["x_scale"], "datetime")


# Figures shown and saved.


def test_several_figures_come_in_order_and_once():
    for values in ([1, 2], [3, 4], [1, 2]):
        plt.figure()
        plt.plot(values)
    plt.figure(1)
    equal([c["elements"][0]["points"][0][1] for c in shown()], [1.0, 3.0])
    plt.plot([1, 2])
    equal(len(shown()), 0)  # it was shown before
    charts.reset()
    plt.plot([1, 2])
    equal(len(shown()), 1)


def test_saved_figures_are_emitted_and_stay_open():
    plt.plot([1, 2])
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "f.png")
        equal(plt.savefig(path), None)
        with open(path, "rb") as f:
            equal(f.read(4), b"\x89PNG")
        plt.savefig(os.path.join(folder, "f.svg"))
        plt.gcf().savefig(os.path.join(folder, "f.pdf"), dpi=50, transparent=True)
    out = io.BytesIO()
    plt.gcf().savefig(out, format="png")
    equal(out.getvalue()[:4], b"\x89PNG")
    equal(plt.get_fignums(), [1])
    equal([checked(c)["type"] for c in emitted], ["line"])
    plt.plot([5, 6])
    equal(len(one()["elements"]), 2)


def test_a_saved_file_is_the_one_without_us():
    fig = plt.figure()
    fig.add_subplot().plot([1, 2])
    out, alone = io.BytesIO(), io.BytesIO()
    fig.savefig(out, format="png")
    fig.canvas.print_figure(alone, format="png")
    equal(out.getvalue() == alone.getvalue(), True)


def test_figures_without_pyplot():
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    fig = Figure()
    FigureCanvasAgg(fig)
    fig.subplots().bar(["a"], [1])
    fig.savefig(io.BytesIO())
    equal([checked(c)["type"] for c in emitted], ["bar"])
    equal(charts.extract(fig)["elements"], emitted[0]["elements"])


def test_closed_figures_are_not_shown():
    plt.plot([1, 2])
    plt.close()
    equal(shown(), [])


def test_figures_own_show():
    fig, ax = plt.subplots()
    ax.plot([1, 2])
    equal(fig.show(), None)
    equal(len(emitted), 1)
    equal(plt.get_fignums(), [1])


def test_errors_of_savefig_are_matplotlibs():
    plt.plot([1, 2])
    for call, kind in (
        (lambda: plt.savefig("/no/such/folder/f.png"), FileNotFoundError),
        (lambda: plt.savefig("f.nonsense"), ValueError),
    ):
        try:
            call()
        except kind:
            ours = [f for f in traceback.extract_tb(sys.exc_info()[2]) if f.filename == "<sandlot>"]
            equal(len(ours), 1)  # that of savefig, which the worker leaves out
        else:
            raise AssertionError("no error")
    equal(emitted, [])


def test_hooks_look_like_what_they_replace():
    import inspect

    from matplotlib.figure import Figure

    equal(str(inspect.signature(Figure.savefig)), "(self, fname, *, transparent=None, **kwargs)")
    equal([plt.show.__name__, plt.show.__module__], ["show", "matplotlib.pyplot"])
    if not plt.show.__doc__ or not Figure.savefig.__doc__:
        raise AssertionError("no doc")


def test_reload_and_backends():
    equal(matplotlib.get_backend().lower(), "agg")
    importlib.reload(plt)
    plt.plot([1, 2])
    equal(one()["type"], "line")
    matplotlib.use("svg")
    plt.plot([1, 3])
    equal(one()["type"], "line")
    equal(matplotlib.get_backend().lower(), "svg")
    matplotlib.use("agg", force=True)


def test_a_choice_of_backend_is_kept():
    program = """
import sys
sys.path.insert(0, %r)
import cases
charts = cases.load("charts")
if "late" not in sys.argv:
    charts.watch(print)
import matplotlib
if "use" in sys.argv:
    matplotlib.use("pdf")
import matplotlib.pyplot as plt
if "late" in sys.argv:
    charts.watch(print)
print(matplotlib.get_backend().lower())
""" % os.path.dirname(cases.__file__)
    own = {k: v for k, v in os.environ.items() if k not in ("MPLBACKEND", "DISPLAY", "WAYLAND_DISPLAY")}
    with tempfile.TemporaryDirectory() as folder:
        rc = os.path.join(folder, "matplotlibrc")
        with open(rc, "w") as f:
            f.write("backend: ps")
        for word, env, want in (
            ("", {}, "agg"),
            ("", {"DISPLAY": ":99"}, "agg"),
            ("", {"MPLBACKEND": "svg"}, "svg"),
            ("", {"MATPLOTLIBRC": rc}, "ps"),
            ("use", {}, "pdf"),
            ("late", {}, "agg"),
            ("late", {"MPLBACKEND": "svg"}, "svg"),
        ):
            command = [sys.executable, "-B", "-W", "error", "-c", program, word]
            out = subprocess.run(command, env=dict(own, **env), stdout=subprocess.PIPE, check=True).stdout.decode()
            equal(out.split(), [want], "backend with %s %s" % (word, env))


def test_a_backend_of_the_program_shows_too():
    import types

    from matplotlib.backends import backend_agg

    calls = []
    module = types.ModuleType("own_backend")
    module.FigureCanvas = backend_agg.FigureCanvasAgg
    module.show = lambda *args, **kwargs: calls.append((args, kwargs)) or "shown"
    sys.modules["own_backend"] = module
    matplotlib.use("module://own_backend")
    plt.plot([1, 2])
    equal(plt.show(block=False), "shown")
    equal(calls, [((), {"block": False})])
    equal(len(emitted), 1)
    equal(plt.get_fignums(), [1])


def test_animations_do_not_emit_their_frames():
    from matplotlib.animation import FuncAnimation

    fig, ax = plt.subplots()
    (line,) = ax.plot([0, 1], [0, 1])
    moves = FuncAnimation(fig, lambda i: line.set_data([0, 1], [0, i]), frames=5)
    with tempfile.TemporaryDirectory() as folder:
        moves.save(os.path.join(folder, "m.gif"), writer="pillow")
    equal(emitted, [])


# Bounds.


def test_many_points_are_thinned_and_marked():
    values = np.zeros(1000000)
    values[123456], values[654321] = 5, -5
    plt.plot(values)
    plt.plot([1, 2, 3])
    chart = one()
    equal([chart["truncated"], chart["points_total"]], [True, 1000003])
    points = chart["elements"][0]["points"]
    if not 40000 < len(points) <= 100000:
        raise AssertionError(len(points))
    equal([max(points, key=lambda p: p[1]), min(points, key=lambda p: p[1])], [[123456.0, 5.0], [654321.0, -5.0]])
    equal(points, sorted(points))


def test_many_elements_are_cut_and_marked():
    ax = plt.gca()
    ax.bar(np.arange(10100), np.ones(10100))
    chart = charts.extract(plt.gcf())
    equal([len(chart["elements"]), chart["truncated"]], [10000, True])


def test_large_images_are_bounded():
    fig = plt.figure(figsize=(500, 300))
    fig.add_subplot().plot([1, 2])
    chart = checked(charts.extract(fig))
    size = base64.b64decode(chart["png"])[16:24]
    width, height = int.from_bytes(size[:4], "big"), int.from_bytes(size[4:], "big")
    if width * height > 17000000:
        raise AssertionError((width, height))
    plt.figure()
    plt.plot([1, 2])
    plt.text(1000, 1000, "far away")
    checked(charts.extract(plt.gcf()))


def test_many_figures_are_bounded():
    import matplotlib.figure

    fig = matplotlib.figure.Figure(figsize=(1, 1))
    text = fig.text(0, 0, "")
    for i in range(charts.MAX_FIGURES + 5):
        text.set_text(str(i))
        fig.savefig(io.BytesIO())
    equal([len(emitted), charts.dropped()], [charts.MAX_FIGURES, 5])


def test_nothing_raises_into_the_program():
    class Broken(matplotlib.lines.Line2D):
        def get_xdata(self, orig=True):
            raise RuntimeError("broken")

    plt.gca().add_line(Broken([1, 2], [1, 2]))
    chart = one()
    equal([chart["type"], chart["elements"]], ["unknown", []])
    charts.watch(lambda chart: 1 / 0)
    plt.plot([1, 2])
    plt.show()
    charts.watch(emitted.append)
    equal(charts.extract(None), {"type": "unknown", "title": "", "elements": []})


if __name__ == "__main__":
    cases.run(globals(), before)
