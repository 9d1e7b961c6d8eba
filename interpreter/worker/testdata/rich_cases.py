"""Values of real packages in all their forms."""

import base64
import datetime
import decimal
import json
import sys
import time

import cases
from cases import equal

charts, rich = cases.load("charts"), cases.load("rich")
shown = []  # (bundle, keyword arguments)


def display(*objs, **kwargs):
    for obj in objs:
        shown.append((bundle(obj), kwargs))


rich.watch(display, charts.on_import)
if {"IPython", "plotly", "matplotlib"} & set(sys.modules):
    raise SystemExit("watch imports what it watches for")

import altair
import matplotlib
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import seaborn as sns
import sympy
from IPython import display as ipython
from PIL import Image

matplotlib.use("agg")
import matplotlib.pyplot as plt


def before():
    del shown[:]
    plt.close("all")


def bundle(obj):
    found = rich.bundle(obj, charts)
    equal(json.loads(json.dumps(found, allow_nan=False)), found)
    return found


def table(obj):
    found = bundle(obj)
    equal(sorted(found), ["application/vnd.sandlot.dataframe+json", "text/html", "text/plain"])
    equal("<table" in found["text/html"], True)
    return found["application/vnd.sandlot.dataframe+json"]


def test_frames_are_tables():
    frame = pd.DataFrame(
        {
            "i": [1, 2],
            "f": [0.5, np.nan],
            "t": pd.to_datetime(["2024-01-01", None]),
            "s": ["x", None],
            "b": [True, False],
        }
    )
    equal(
        table(frame),
        {
            "columns": ["i", "f", "t", "s", "b"],
            "dtypes": [str(d) for d in frame.dtypes],
            "rows": 2,
            "truncated": False,
            "records": [
                {"i": 1, "f": 0.5, "t": "2024-01-01T00:00:00", "s": "x", "b": True},
                {"i": 2, "f": None, "t": None, "s": None, "b": False},
            ],
        },
    )
    equal(bundle(frame)["text/plain"], repr(frame))
    equal(bundle(frame)["text/html"], frame._repr_html_())


def test_cells_are_json():
    cells = [
        (None, None),
        (float("inf"), None),
        (pd.NA, None),
        (pd.NaT, None),
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (datetime.date(2024, 1, 2), "2024-01-02"),
        (decimal.Decimal("1.10"), "1.10"),
        (pd.Timedelta("1D"), "P1DT0H0M0S"),
        (pd.Period("2024-01"), "2024-01"),
        (10**30, 10**30),
        ((1, 2), "(1, 2)"),
        ({"a": 1}, "{'a': 1}"),
        (np.array([1, 2]), "[1 2]"),
        (b"x", "b'x'"),
        (1j, "1j"),
        ("\ud800", "\ufffd"),
        (np.datetime64("2024-01-02"), "2024-01-02"),
    ]
    frame = pd.DataFrame({"a": pd.Series([c[0] for c in cells], dtype=object)})
    got = [r["a"] for r in table(frame)["records"]]
    for value, pair in zip(got, cells):
        equal((value, type(value)), (pair[1], type(pair[1])), "cell of %r" % (pair[0],))
    typed = pd.DataFrame(
        {
            "n": pd.array([1, None], dtype="Int64"),
            "c": pd.Categorical(["u", None]),
            "d": pd.to_timedelta(["1h", None]),
            "z": pd.to_datetime(["2024-01-01", None]).tz_localize("Europe/Berlin"),
        }
    )
    equal(
        table(typed)["records"],
        [
            {"n": 1, "c": "u", "d": "P0DT1H0M0S", "z": "2024-01-01T00:00:00+01:00"},
            {"n": None, "c": None, "d": None, "z": None},
        ],
    )


def test_names_and_indexes_of_tables():
    frame = pd.DataFrame([[1, 2, 3]], columns=["a", "a", "a.1"], index=pd.Index(["k"], name="key"))
    got = table(frame)
    equal([got["columns"], got["records"]], [["a", "a.1", "a.1.1"], [{"a": 1, "a.1": 2, "a.1.1": 3}]])
    equal(got["index"], {"names": ["key"], "values": ["k"]})
    multi = pd.DataFrame(
        [[1]], columns=pd.MultiIndex.from_tuples([("a", 2)]), index=pd.MultiIndex.from_tuples([("x", 1)])
    )
    got = table(multi)
    equal([got["columns"], got["index"]], [["a.2"], {"names": [None, None], "values": [["x", 1]]}])
    got = table(pd.DataFrame({"v": [1]}, index=pd.to_datetime(["2024-01-01"])))
    equal(got["index"], {"names": [None], "values": ["2024-01-01T00:00:00"]})
    equal(table(pd.DataFrame())["records"], [])


def test_series_are_tables():
    got = table(pd.Series([1.5, 2], name="v", index=["a", "b"]))
    equal([got["columns"], got["records"], got["rows"]], [["v"], [{"v": 1.5}, {"v": 2.0}], 2])
    got = table(pd.Series(np.arange(5000)))
    equal([len(got["records"]), got["rows"], got["truncated"], got["columns"]], [1000, 5000, True, ["0"]])


def test_large_tables_are_cut_and_quick():
    for frame, rows, columns in (
        (pd.DataFrame(np.zeros((1000000, 10))), 1000, 10),
        (pd.DataFrame(np.zeros((1000, 1000))), 200, 1000),
        (pd.DataFrame(np.zeros((3, 5000))), 3, 1000),
    ):
        began = time.process_time()
        got = table(frame)
        if time.process_time() - began > 2:
            raise AssertionError("%s took %.1f s" % (frame.shape, time.process_time() - began))
        equal(
            [len(got["records"]), len(got["columns"]), got["truncated"], got["rows"]],
            [rows, columns, True, len(frame)],
        )


def test_arrays_have_their_own_text():
    for obj in (np.zeros(10**7), np.float64(1.5), pd.Index([1, 2]), [np.float64(1.5)], {"a": pd.Timestamp("2024")}):
        equal(bundle(obj), {"text/plain": repr(obj)})


def test_figures_are_image_and_chart():
    fig, ax = plt.subplots()
    ax.bar(["a"], [2], label="g")
    found = bundle(fig)
    equal(sorted(found), ["application/vnd.sandlot.chart+json", "image/png", "text/plain"])
    chart = found["application/vnd.sandlot.chart+json"]
    equal([chart["type"], chart["elements"]], ["bar", [{"label": "a", "group": "g", "value": "2"}]])
    equal("png" in chart, False)
    equal(base64.b64decode(found["image/png"])[:4], b"\x89PNG")
    equal(rich.bundle(fig, lambda: charts), found)  # charts may be a function that loads it
    equal(plt.get_fignums(), [1])


def test_artists_are_text_alone():
    for obj in (plt.plot([1, 2]), plt.gca(), sns.catplot(x=["a"], y=[1], kind="bar")):
        equal(bundle(obj), {"text/plain": repr(obj)})


def test_plotly():
    fig = go.Figure(go.Bar(x=["a", "b"], y=[1, float("nan")]))
    found = bundle(fig)
    equal(sorted(found), ["application/vnd.plotly.v1+json", "text/html", "text/plain"])
    bar = found["application/vnd.plotly.v1+json"]["data"][0]
    equal([bar["type"], bar["x"], bar["y"]], ["bar", ["a", "b"], [1, None]])
    equal("plotly" in found["text/html"] and len(found["text/html"]) < 100000, True)
    equal(fig.show(), None)
    equal([sorted(b) for b, _ in shown], [sorted(found)])


def test_plotly_with_a_renderer_of_the_program():
    fig = go.Figure(go.Bar(x=["a"], y=[1]))
    import plotly.io as pio

    was = pio.renderers.default
    pio.renderers.default = "json"
    try:
        fig.show()
    except ValueError:  # nbformat, which that renderer needs, is not installed
        pass
    finally:
        pio.renderers.default = was
    equal([b for b, _ in shown if "text/html" in b], [])


def test_altair():
    chart = altair.Chart(pd.DataFrame({"x": [1], "y": [2]})).mark_bar().encode(x="x", y="y")
    found = bundle(chart)
    vega = [form for form in found if form.startswith("application/vnd.vegalite.v")]
    equal(len(vega), 1)
    equal(found[vega[0]]["mark"], {"type": "bar"})


def test_pillow():
    found = bundle(Image.new("RGB", (3, 2), "red"))
    equal(sorted(found), ["image/png", "text/plain"])
    equal(base64.b64decode(found["image/png"])[:4], b"\x89PNG")


def test_sympy():
    equal(bundle(sympy.Symbol("x") ** 2), {"text/plain": "x**2", "text/latex": "$\\displaystyle x^{2}$"})


def test_objects_of_ipython_reach_display():
    png = base64.b64decode(bundle(Image.new("1", (1, 1)))["image/png"])
    for obj, form, value in (
        (ipython.HTML("<b>"), "text/html", "<b>"),
        (ipython.Markdown("*m*"), "text/markdown", "*m*"),
        (ipython.SVG("<svg/>"), "image/svg+xml", "<svg/>"),
        (ipython.Latex("$x$"), "text/latex", "$x$"),
        (ipython.JSON({"a": 1}), "application/json", {"a": 1}),
        (ipython.Javascript("1"), "application/javascript", "1"),
        (ipython.Image(data=png), "image/png", base64.b64encode(png).decode()),
    ):
        before()
        equal(ipython.display(obj), None)
        equal([(b[form], kwargs) for b, kwargs in shown], [(value, {})])


def test_display_takes_what_ipythons_takes():
    ipython.display(1, "two", metadata={"m": 1})
    equal([b["text/plain"] for b, _ in shown], ["1", "'two'"])
    before()
    ipython.display({"text/html": "<i>", "text/plain": "i"}, raw=True)
    equal([b for b, _ in shown], [{"text/plain": "i", "text/html": "<i>"}])
    before()
    handle = ipython.display(1, display_id="here")
    equal(handle.display_id, "here")
    handle.update(2)
    ipython.update_display(3, display_id="here")
    equal([(b["text/plain"], kw.get("update")) for b, kw in shown], [("1", None), ("2", True), ("3", True)])
    before()
    ipython.display_html("<u>", raw=True)
    equal([b.get("text/html") for b, _ in shown], ["<u>"])
    from IPython.core.display_functions import display as inner

    equal(inner is ipython.display, True)


if __name__ == "__main__":
    cases.run(globals(), before)
