"""Charts of matplotlib figures, as data.

watch(emit) calls emit(chart) for every figure that the program shows or saves; extract(fig) is the chart of one figure.
A chart is a dict of JSON values: type, title, png and, by type, x_label, y_label, ticks, scales and elements. Additive
keys: orientation (bar, box_and_whisker), and truncated and points_total where points or elements were left out.

Nothing here imports matplotlib: it is touched only once the program has imported it. Nothing here raises into the
program. Limits per figure: 100,000 points, 10,000 elements, an image of 16 million pixels and 8 MiB. Per run: 200
figures, 64 MiB.
"""

import _thread
import functools
import os
import sys

MAX_POINTS = 100000
MAX_ELEMENTS = 10000
MAX_TICKS = 10000
MAX_TEXT = 65536
MAX_PIXELS = 16000000
MAX_PNG = 8 << 20
MAX_FIGURES = 200
MAX_RUN_BYTES = 64 << 20


# The import hook.


class _Finder:
    """Runs functions before and after modules run, at import and at reload. It stays in sys.meta_path, because a reload
    looks there again; for any other module it costs one look-up in a dict."""

    def __init__(self):
        self.hooks = {}  # module name -> list of (before, after)
        self.busy = set()  # (name, thread) that is being looked for now

    def find_spec(self, name, path=None, target=None):
        if name not in self.hooks:
            return None
        key = (name, _thread.get_ident())
        if key in self.busy:
            return None
        self.busy.add(key)
        try:
            for finder in list(sys.meta_path):
                find = getattr(finder, "find_spec", None)
                spec = find(name, path, target) if find and finder is not self else None
                if spec is not None:
                    self.attach(name, spec.loader)
                    return spec
        finally:
            self.busy.discard(key)
        return None

    def attach(self, name, loader):
        """Shadows the loader's exec_module, on this one instance, until it runs the module."""
        run = getattr(loader, "exec_module", None)
        if run is None:
            return
        fire = self.fire

        def exec_module(module):
            if module.__name__ != name:
                return run(module)
            loader.__dict__.pop("exec_module", None)
            fire(name, 0, module)
            run(module)
            fire(name, 1, module)

        # Python leaves frames of importlib out of an ImportError's traceback. This one is to be left out with them.
        exec_module.__code__ = exec_module.__code__.replace(
            co_filename="<frozen importlib._bootstrap>", co_name="_call_with_frames_removed"
        )
        try:
            loader.exec_module = exec_module
        except Exception:
            pass

    def fire(self, name, when, module):
        for hook in self.hooks[name]:
            if hook[when] is not None:
                _quietly(hook[when], module)


def _quietly(call, *args):
    """What call returns, or None if it raises."""
    try:
        return call(*args)
    except Exception:
        return None


_finder = _Finder()


def on_import(name, after, before=None):
    """Calls before(module) and after(module) around each import and reload of the module; at once if it is there."""
    _finder.hooks.setdefault(name, []).append((before, after))
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    module = sys.modules.get(name)
    if module is not None:
        for hook in (before, after):
            if hook is not None:
                _quietly(hook, module)


# Figures that are shown and saved.


class _Run:
    """What one run has emitted."""

    def __init__(self):
        self.seen = set()
        self.bytes = 0
        self.dropped = 0


_run = _Run()
_emit = None
_SILENT = {"agg", "cairo", "pdf", "pgf", "ps", "svg", "template"}  # backends that show no window


def watch(emit):
    """Has emit(chart) called for each figure that is shown or saved from now on. A second call replaces emit."""
    global _emit
    first = _emit is None
    _emit = emit
    if first:
        on_import("matplotlib.figure", _hook_figure)
        on_import("matplotlib.pyplot", _hook_pyplot, _choose_backend)


def reset():
    """Starts a new run: figures emitted before may be emitted again."""
    global _run
    _run = _Run()


def dropped():
    """How many figures of this run were left out because of its limits."""
    return _run.dropped


def _choose_backend(_):
    """Agg, where neither MPLBACKEND nor a matplotlibrc nor the program chose."""
    rc = sys.modules["matplotlib"].rcParams
    if not isinstance(dict.get(rc, "backend"), str):
        rc["backend"] = os.environ.get("MPLBACKEND") or "agg"


def _windowless():
    return sys.modules["matplotlib"].get_backend().lower() in _SILENT


def _replace(owner, name, make):
    """Puts make(original) in original's place, once."""
    original = getattr(owner, name)
    if getattr(original, "_sandlot", False):
        return
    wrapper = functools.wraps(original)(make(original))
    wrapper._sandlot = True
    setattr(owner, name, wrapper)


def _hook_pyplot(plt):
    def make(original):
        def show(*args, **kwargs):
            _quietly(_shown, plt)
            if _quietly(_windowless) is not True:
                return original(*args, **kwargs)
            plt.close("all")

        return show

    _replace(plt, "show", make)


def _shown(plt):
    for number in plt.get_fignums():
        _send(plt._pylab_helpers.Gcf.figs[number].canvas.figure)


def _hook_figure(module):
    def make_savefig(original):
        def savefig(self, *args, **kwargs):
            result = original(self, *args, **kwargs)
            # An animation saves each of its frames in this way.
            if sys._getframe(1).f_globals.get("__name__") != "matplotlib.animation":
                _send(self)
            return result

        return savefig

    def make_show(original):
        def show(self, *args, **kwargs):
            _send(self)
            if getattr(self.canvas, "manager", None) is None or not _windowless():
                return original(self, *args, **kwargs)

        return show

    _replace(module.Figure, "savefig", make_savefig)
    _replace(module.Figure, "show", make_show)


def _send(fig):
    """Emits the chart of a figure that this run has not emitted yet."""
    run, emit = _run, _emit
    try:
        import hashlib
        import json

        png = _quietly(_png, fig)
        chart = None if png else _chart(fig, None)
        key = hashlib.sha256((png or json.dumps(chart)).encode()).digest()
        if key in run.seen:
            return
        run.seen.add(key)
        if len(run.seen) > MAX_FIGURES or run.bytes > MAX_RUN_BYTES:
            run.dropped += 1
            return
        run.bytes += len(png or "")
        emit(chart or _chart(fig, png))
    except Exception:
        pass


def extract(fig):
    """The chart of a figure. What cannot be read is an unknown chart, one that cannot be drawn has no png."""
    return _chart(fig, _quietly(_png, fig))


def _png(fig):
    """The figure as PNG in base64: 100 dpi, tight; less where that were too large."""
    import base64
    import warnings

    width, height = fig.get_size_inches()
    dpi = min(100.0, (MAX_PIXELS / max(width * height, 1e-9)) ** 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the program gets them when it draws
        data = _draw(fig, dpi)
        if len(data) > MAX_PNG:
            data = _draw(fig, dpi * (MAX_PNG / len(data)) ** 0.5 * 0.9)
    return base64.b64encode(data).decode() if len(data) <= 2 * MAX_PNG else None


def _draw(fig, dpi):
    import io

    tight = fig.get_tightbbox

    def bounded(*args, **kwargs):
        box = tight(*args, **kwargs)
        return box if box.width * box.height * dpi * dpi <= MAX_PIXELS else fig.bbox_inches

    out = io.BytesIO()
    fig.get_tightbbox = bounded
    try:
        fig.canvas.print_figure(out, format="png", dpi=dpi, bbox_inches="tight")
    except Exception:
        out = io.BytesIO()
        fig.canvas.print_figure(out, format="png", dpi=dpi)
    finally:
        fig.__dict__.pop("get_tightbbox", None)
    return out.getvalue()


# The chart of a figure.


def _chart(fig, png):
    chart = _quietly(_read, fig) or {"type": "unknown", "title": "", "elements": []}
    if png:
        chart["png"] = png
    return chart


def _read(fig):
    axes = [ax for ax in fig.axes if ax.get_visible() and ax.has_data() and not _is_colorbar(ax)]
    title = _figure_title(fig)
    if len(axes) == 1:
        chart = _axes(axes[0])
        chart["title"] = chart["title"] or title or ""
    elif axes:
        chart = {"type": "composite_chart", "title": title, "elements": [_axes(ax) for ax in axes]}
    else:
        chart = {"type": "unknown", "title": title or "", "elements": []}
    return _finish(chart)


def _figure_title(fig):
    texts = [getattr(fig, "_suptitle", None)] + list(fig.texts)
    return next((_text(t.get_text()) for t in texts if t is not None and t.get_text()), None)


def _is_colorbar(ax):
    locator = type(getattr(ax, "_axes_locator", None)).__name__
    return hasattr(ax, "_colorbar") or ax.get_label() == "<colorbar>" or locator == "_ColorbarAxesLocator"


def _text(value):
    return str(value)[:MAX_TEXT]


def _axes(ax):
    return _quietly(_read_axes, ax) or {"type": "unknown", "title": "", "elements": []}


def _read_axes(ax):
    chart = {"type": "unknown", "title": "", "elements": []}
    titles = (ax.get_title(), ax.get_title(loc="left"), ax.get_title(loc="right"))
    chart["title"] = next((_text(t) for t in titles if t), "")
    if ax.name != "rectilinear":
        _labels(chart, ax.get_xlabel(), ax.get_ylabel())
        if ax.name != "polar":
            return chart
    x, y = _Axis(ax.xaxis, ax), _Axis(ax.yaxis, ax)
    parts = _Parts(ax)
    kinds = [kind for kind in ("pie", "box_and_whisker", "bar", "scatter", "line") if getattr(parts, kind)]
    if ax.name == "polar" and kinds != ["pie"] or parts.other and kinds != ["pie"]:
        kinds = []
    charts = [_KINDS[kind](dict(chart, type=kind), parts, x, y) for kind in kinds]
    if len(charts) == 1:
        return charts[0]
    # Several kinds in one place are no chart of the contract; each is told as an element all the same.
    if ax.name == "rectilinear":
        _two_axes(chart, x, y)
    chart["elements"] = charts
    return chart


def _labels(chart, x, y):
    chart["x_label"], chart["y_label"] = _text(x), _text(y)


def _two_axes(chart, x, y):
    _labels(chart, x.label, y.label)
    for name, axis in (("x", x), ("y", y)):
        chart[name + "_ticks"], chart[name + "_tick_labels"] = axis.ticks, axis.labels
        chart[name + "_scale"] = axis.scale
    return chart


def _line(chart, parts, x, y):
    chart["elements"] = [
        {
            "label": parts.name(line, line.get_color()),
            "points": _points(x, y, line.get_xdata(False), line.get_ydata(False)),
        }
        for line in parts.line
    ]
    return _two_axes(chart, x, y)


def _scatter(chart, parts, x, y):
    for dots in parts.scatter:
        colors = dots.get_facecolors()
        if not len(colors):
            colors = dots.get_edgecolors()
        xy = _floats(dots.get_offsets())
        label = parts.name(dots, colors[0] if len(colors) == 1 else None)
        chart["elements"].append({"label": label, "points": _points(x, y, xy[:, 0], xy[:, 1])})
    return _two_axes(chart, x, y)


def _bar(chart, parts, x, y):
    lying = parts.bar[0][1]
    for group, bar_lying, patches in parts.bar:
        axis, unit = (y, x) if bar_lying else (x, y)
        spans = [_span(p, bar_lying) for p in patches]
        for patch, name in zip(patches, axis.names(spans)):
            value = patch.get_width() if bar_lying else patch.get_height()
            value = _value(patch, bar_lying, unit, float(value))
            if value is not None:
                chart["elements"].append({"label": name, "value": value, "group": group})
    chart["orientation"] = "horizontal" if lying else "vertical"
    # Bars that lie are told as if they stood: x is where their names are.
    return _two_axes(chart, y, x) if lying else _two_axes(chart, x, y)


def _span(patch, lying):
    start, size = (patch.get_y(), patch.get_height()) if lying else (patch.get_x(), patch.get_width())
    return float(min(start, start + size)), float(max(start, start + size))


def _value(patch, lying, unit, size):
    """A bar's length as a decimal string, None if it has none. On an axis of dates it is a count of seconds; for a bar
    that begins at no date it is the Unix time of its end."""
    import decimal

    if unit.dates and not unit.freq:
        begin = float(patch.get_x() if lying else patch.get_y())
        size = round(size * 86400.0, 6) if begin else float(unit.numbers([size])[0])
    if size - size != 0:  # not a number, or infinite
        return None
    text = format(decimal.Decimal(repr(size)), "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def _pie(chart, parts, x, y):
    names = [w.get_label() for w in parts.pie]
    names = ["" if n.startswith("_") else n for n in names]
    legend = parts.legend_texts
    if not any(names) and len(legend) == len(names):
        names = legend
    for wedge, name in zip(parts.pie, names):
        angle = abs(float(wedge.theta2) - float(wedge.theta1))
        rough = round(angle, 3)  # older releases of matplotlib count angles in single precision
        angle = rough if abs(angle - rough) < 2e-5 else round(angle, 9)
        chart["elements"].append({"label": _text(name), "angle": angle, "radius": float(wedge.r)})
    return chart


def _box(chart, parts, x, y):
    lying = parts.box_and_whisker[0]["lying"]
    axis, unit = (y, x) if lying else (x, y)
    boxes = parts.box_and_whisker
    names = [None] * len(boxes)
    for series in {box["color"] for box in boxes}:
        own = [i for i, box in enumerate(boxes) if box["color"] == series]
        for i, name in zip(own, axis.names([boxes[i]["span"] for i in own])):
            names[i] = name
    for box, name in zip(boxes, names):
        element = {"label": name}
        for key in ("min", "first_quartile", "median", "third_quartile", "max"):
            element[key] = _number(unit, box.get(key))
        fliers = unit.numbers(_floats(box["outliers"]))
        element["outliers"] = fliers[abs(fliers) < float("inf")]
        if box["group"]:
            element["group"] = box["group"]
        chart["elements"].append(element)
    chart["orientation"] = "horizontal" if lying else "vertical"
    return _two_axes(chart, y, x) if lying else _two_axes(chart, x, y)


def _number(axis, value):
    if value is None or value - value != 0:
        return None
    return float(axis.numbers([value])[0])


_KINDS = {"line": _line, "scatter": _scatter, "bar": _bar, "pie": _pie, "box_and_whisker": _box}


def _floats(values):
    np = sys.modules["numpy"]
    return np.ma.filled(np.ma.asarray(values, dtype=float), float("nan"))


def _points(x, y, xs, ys):
    np = sys.modules["numpy"]
    points = np.column_stack((x.numbers(_floats(xs)), y.numbers(_floats(ys))))
    return points[np.isfinite(points).all(axis=1)]


def _finish(chart):
    """Bounds the chart's elements and points, and turns arrays into lists."""
    total = sum(len(points) for _, _, points in _arrays(chart))
    for holder, key, points in _arrays(chart):
        kept = points if total <= MAX_POINTS else _thin(points, max(2, len(points) * MAX_POINTS // total))
        holder[key] = kept.tolist()
    if total > MAX_POINTS:
        chart["truncated"], chart["points_total"] = True, total
    if _cut(chart, MAX_ELEMENTS) < 0:
        chart["truncated"] = True
    return chart


def _arrays(chart):
    for element in chart["elements"]:
        if "elements" in element:
            for found in _arrays(element):
                yield found
        for key in ("points", "outliers"):
            if key in element:
                yield element, key, element[key]


def _cut(chart, left):
    """Keeps so many elements of the chart and its sub-charts in all; returns how many more there might be."""
    count = len(chart["elements"])
    if count > left:
        chart["elements"] = chart["elements"][: max(left, 0)]
    left -= count
    for element in chart["elements"]:
        if "elements" in element:
            left = _cut(element, left)
    return left


def _thin(points, limit):
    """About limit of the points, in order: the lowest and the highest of each stretch."""
    np = sys.modules["numpy"]
    count = len(points)
    if count <= limit:
        return points
    height = points[:, 1] if points.ndim == 2 else points
    size = -(-count // max(1, limit // 2))
    rows = -(-count // size)
    height = np.concatenate((height, np.full(rows * size - count, height[-1]))).reshape(rows, size)
    starts = np.arange(rows) * size
    chosen = np.concatenate((starts + height.argmin(axis=1), starts + height.argmax(axis=1)))
    return points[np.unique(np.minimum(chosen, count - 1))]


# One axis.


_DATE_FORMATTERS = {"DateFormatter", "AutoDateFormatter", "ConciseDateFormatter", "PandasAutoDateFormatter"}
_DATE_CONVERTERS = {"DateConverter", "ConciseDateConverter", "_SwitchableDateConverter", "DatetimeConverter"}


class _Axis:
    """What is to be known of an x or y axis: label, ticks, tick labels, scale; and how its numbers are told."""

    def __init__(self, axis, ax):
        self.axis, self.ax = axis, ax
        self.formatter, self.locator = axis.get_major_formatter(), axis.get_major_locator()
        self.converter = type(axis.get_converter() if hasattr(axis, "get_converter") else axis.converter).__name__
        self.label = axis.get_label().get_text()
        self.freq = None
        kind = type(self.formatter).__name__
        if kind == "TimeSeries_DateFormatter":  # of pandas: numbers are counts of periods
            self.freq = getattr(self.formatter, "freq", None) or getattr(ax, "freq", None)
        self.dates = bool(self.freq) or kind in _DATE_FORMATTERS or self.converter in _DATE_CONVERTERS
        np = sys.modules["numpy"]
        locs = _floats(axis.get_majorticklocs())[:MAX_TICKS]
        texts = _quietly(lambda: [_text(t) for t in self.formatter.format_ticks(list(locs))])
        if texts is None or len(texts) != len(locs):
            texts = ["%.10g" % loc for loc in locs]
        self.locs, self.texts = locs, texts
        numbers = self.numbers(locs)
        finite = np.isfinite(numbers)
        self.ticks = numbers[finite].tolist()
        self.labels = [t for t, keep in zip(texts, finite) if keep]
        self.scale = self._scale()

    def _scale(self):
        if self.dates:
            return "datetime"
        if self.axis.get_scale() != "linear":
            return str(self.axis.get_scale())
        if self.converter == "StrCategoryConverter":
            return "categorical"
        if self.ticks and self.ticks == [float(i) for i in range(len(self.ticks))] and any(self.labels):
            if any(_plain(text) != tick for text, tick in zip(self.labels, self.ticks)):
                return "categorical"
        return "linear"

    def numbers(self, values):
        """An array of the axis's numbers as they are told: those of dates as Unix seconds."""
        np = sys.modules["numpy"]
        values = np.asarray(values, dtype=float)
        if not self.dates or not len(values):
            return values
        if self.freq:
            return self._periods(values)
        import datetime

        dates = sys.modules["matplotlib.dates"]
        return np.round((values - dates.date2num(datetime.datetime(1970, 1, 1))) * 86400.0, 6)

    def _periods(self, values):
        np, pandas = sys.modules["numpy"], sys.modules["pandas"]
        known, back = np.unique(values, return_inverse=True)
        found = np.full(len(known), float("nan"))
        for i, value in enumerate(known):
            if value - value == 0:
                start = pandas.Period(ordinal=int(value // 1), freq=self.freq).start_time
                found[i] = start.timestamp()
        return found[back.reshape(-1)]

    def names(self, spans):
        """A name for each bar or box, by the span that it takes on this axis: that of its tick, else its own middle."""
        names = [None] * len(spans)
        locator, formatter = type(self.locator).__name__, type(self.formatter).__name__
        if locator in ("FixedLocator", "StrCategoryLocator") and formatter != "ScalarFormatter":
            best = {}  # tick -> (distance, span): of two in one series the nearer one has the tick's name
            for i, (tick, distance) in enumerate(self._nearest(spans)):
                if tick is not None and (tick not in best or distance < best[tick][0]):
                    best[tick] = (distance, i)
            for tick, (_, i) in best.items():
                names[i] = self.texts[tick]
        return [self._place((a + b) / 2) if name is None else name for name, (a, b) in zip(names, spans)]

    def _nearest(self, spans):
        """For each span the tick with a label that is nearest to its middle, and how far that is; (None, None) for one
        that no tick is near to."""
        import bisect

        ticks = sorted((loc, i) for i, loc in enumerate(self.locs.tolist()) if loc - loc == 0)
        gaps = [b[0] - a[0] for a, b in zip(ticks, ticks[1:]) if b[0] > a[0]]
        reach = min(gaps) / 2 if gaps else 0.5
        for low, high in spans:
            middle = (low + high) / 2
            at = bisect.bisect_left(ticks, (middle, -1)) if middle - middle == 0 else 0
            found = [(abs(loc - middle), i) for loc, i in ticks[max(at - 1, 0) : at + 1]]
            distance, tick = min(found) if found else (None, None)
            near = found and distance <= max(reach, (high - low) / 2) * 1.000001
            yield (tick, distance) if near and self.texts[tick] else (None, None)

    def _place(self, value):
        if value - value != 0:
            return ""
        if self.dates:
            import datetime

            seconds = float(self.numbers([value])[0])
            moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds)
            return (moment.date() if moment.time() == datetime.time() else moment).isoformat()
        if type(self.formatter).__name__ == "FuncFormatter" and type(self.locator).__name__ != "FixedLocator":
            text = _quietly(self.formatter, value, None)
            if text:
                return _text(text)
        return "%.10g" % (round(value, 12) + 0.0)


def _plain(text):
    """The number that a tick label shows, None if it shows none."""
    try:
        return float(text.replace("\N{MINUS SIGN}", "-"))
    except ValueError:
        return None


# What is drawn on axes.


class _Parts:
    """The artists of axes by what they draw. Decoration is left out: reference lines and areas, error bars, bands,
    arrows."""

    def __init__(self, ax):
        self.ax = ax
        self.line, self.scatter, self.bar, self.pie, self.box_and_whisker = [], [], [], [], []
        self.other = bool(ax.images)
        self._legend()
        self._labels = {}  # of what has its label in its container, by id
        decor = set()  # ids of artists
        bands = False
        for container in ax.containers:
            kind = type(container).__name__
            if kind in ("ErrorbarContainer", "StemContainer"):
                self._labels[id(container[0])] = container.get_label()
            if kind == "ErrorbarContainer":
                decor.update(id(a) for group in container.lines[1:] for a in group or ())
            elif kind == "StemContainer":
                stems = container.stemlines
                decor.update(
                    [id(container.baseline)], [id(a) for a in (stems if isinstance(stems, list) else [stems])]
                )
            elif kind == "BarContainer":
                self._bars(container, decor)
        lines = [a for a in ax.lines if id(a) not in decor and self._has_points(a)]
        shapes = list(ax.patches) + [a for a in ax.artists if hasattr(a, "get_path")]
        patches = [a for a in shapes if id(a) not in decor]
        for collection in ax.collections:
            if id(collection) not in decor:
                bands = self._collection(collection) or bands
        self._patches(patches, lines)
        self._lines([a for a in lines if id(a) not in self._used])
        if bands and not any(len(line.get_xdata(False)) > 1 for line in self.line):
            self.other = True

    def _in_data(self, artist):
        return all(artist.get_transform().contains_branch_seperately(self.ax.transData))

    def _has_points(self, line):
        if "AxLine" in type(line).__name__ or not line.get_visible() or not self._in_data(line):
            return False
        return len(line.get_xdata(False)) > 0

    # Names.

    def _legend(self):
        self._by_color, self.legend_texts = {}, []
        legends = [self.ax.get_legend()] + list(getattr(self.ax.figure, "legends", ()))
        legend = next((found for found in legends if found is not None), None)
        if legend is None:
            return
        handles = getattr(legend, "legend_handles", None) or getattr(legend, "legendHandles", None) or []
        self.legend_texts = [_text(t.get_text()) for t in legend.get_texts()]
        for handle, text in zip(handles, self.legend_texts):
            color = _quietly(self._handle_color, handle)
            if color is not None:
                # A colour that two entries share names nothing.
                self._by_color[color] = None if color in self._by_color else text

    def _handle_color(self, handle):
        if hasattr(handle, "get_color"):
            marker = handle.get_linestyle() in ("None", "", " ") or not handle.get_linewidth()
            return _color(handle.get_markerfacecolor() if marker else handle.get_color())
        return _color(handle.get_facecolor())

    def name(self, artist, color=None):
        """The artist's label; in place of an automatic one the legend's text for its colour, if there is one."""
        label = _text(self._labels.get(id(artist)) or artist.get_label())
        if (label.startswith("_") or not label) and color is not None:
            return self._by_color.get(_quietly(_color, color)) or label
        return label

    # Bars.

    def _bars(self, container, decor):
        patches = [p for p in container.patches if p.axes is self.ax and hasattr(p, "get_height")]
        decor.update(id(p) for p in patches)
        if not patches:
            return
        orientation = getattr(container, "orientation", None)
        lying = orientation == "horizontal" if orientation else _lying(patches)
        if type(patches[0]).__name__ != "Rectangle":
            self.other = True
            return
        colors = {_quietly(_color, p.get_facecolor()) for p in patches}
        label = _text(container.get_label())
        first = _text(patches[0].get_label())
        if label.startswith("_") and first and not first.startswith("_"):
            label = first  # a histogram's
        if label.startswith("_") and len(colors) == 1:
            label = self._by_color.get(colors.pop()) or label
        self.bar.append((label, bool(lying), patches))

    # Patches: wedges, boxes, rectangles.

    def _patches(self, patches, lines):
        kinds = [(type(p).__name__, p) for p in patches if self._in_data(p)]
        self.pie = [p for kind, p in kinds if kind == "Wedge"]
        boxes = [p for kind, p in kinds if kind == "PathPatch"]
        self._used = set()
        self._boxes(lines, boxes)
        loose = []
        for kind, patch in kinds:
            if kind in ("Wedge", "Shadow", "FancyArrowPatch", "ConnectionPatch") or id(patch) in self._used:
                continue
            if kind == "Circle" and self.pie:  # the hole of a ring
                continue
            if kind == "Rectangle":
                if patch.get_width() and patch.get_height():
                    loose.append(patch)
                continue
            self.other = True
        if loose and not self.bar:
            lefts, bottoms = {p.get_x() for p in loose}, {p.get_y() for p in loose}
            if len(bottoms) == 1 or len(lefts) == 1:
                self.bar.append(("_container0", len(bottoms) > 1, loose))
            else:
                self.other = True

    def _boxes(self, lines, patches):
        """Finds box plots. matplotlib draws for each a box (a closed line, or a patch), two whiskers that start at its
        ends, perhaps two caps, a median across it, perhaps a mean, perhaps fliers, in this order."""
        waiting = list(patches)
        shapes = [_array(line.get_xdata(False), line.get_ydata(False)) for line in lines]
        i = 0
        while i < len(lines):
            patch = None
            if len(shapes[i]) in (5, 11) and (shapes[i][0] == shapes[i][-1]).all():
                outline, rest = shapes[i], i + 1
            elif waiting and len(shapes[i]) == 2:
                patch = waiting[0]
                outline, rest = patch.get_path().vertices, i
            else:
                i += 1
                continue
            box = _box_of(outline, shapes, rest, lines)
            if box is None:
                i += 1
                continue
            if patch is not None:
                waiting.pop(0)
                self._used.add(id(patch))
            owner = patch if patch is not None else lines[i]
            color = owner.get_facecolor() if patch is not None else owner.get_color()
            group = self.name(owner, color)
            box["group"], box["color"] = "" if group.startswith("_") else group, _quietly(_color, color)
            self.box_and_whisker.append(box)
            self._used.update(id(line) for line in lines[i : box["end"]])
            i = box["end"]
        if len({box["lying"] for box in self.box_and_whisker}) > 1:
            self.other = True

    # Lines and collections.

    def _lines(self, lines):
        shapes = [_array(line.get_xdata(False), line.get_ydata(False)) for line in lines]
        company = self.bar or self.box_and_whisker or self.scatter or self.pie
        real = [line for line, s in zip(lines, shapes) if not (_straight(s) or _capped(s))]
        self.line = real if real or company else lines

    def _collection(self, collection):
        """Sorts a collection in; returns whether it is a band, which is decoration beside a line and else a picture."""
        kind = type(collection).__name__
        if not collection.get_visible():
            return False
        if kind == "PathCollection":
            place = collection.get_offset_transform() if hasattr(collection, "get_offset_transform") else None
            if place is not None and all(place.contains_branch_seperately(self.ax.transData)):
                if len(collection.get_offsets()):
                    self.scatter.append(collection)
                return False
        elif kind in ("PolyCollection", "FillBetweenPolyCollection"):
            return True
        elif kind == "LineCollection":
            segments = collection.get_segments()
            if not self._in_data(collection) or all(_straight(s) for s in segments):
                return False
        self.other = True
        return False


def _color(color):
    return tuple(round(c, 3) for c in sys.modules["matplotlib.colors"].to_rgb(color))


def _array(xs, ys):
    return sys.modules["numpy"].column_stack((_floats(xs), _floats(ys)))


def _straight(shape):
    """Two points, on one level or one above the other."""
    return len(shape) == 2 and (shape[0] == shape[1]).any()


def _capped(shape):
    """An error bar with caps in one line, as seaborn draws it: cap, bar, cap."""
    shape = shape[(shape == shape).all(axis=1)]
    if len(shape) != 6:
        return False
    a, b, c, d, e, f = shape
    return any(
        a[along] == b[along]
        and e[along] == f[along]
        and c[across] == d[across]
        and a[across] == e[across] != b[across]
        for along, across in ((0, 1), (1, 0))
    )


def _lying(patches):
    """Whether bars lie, by what they have in common: bars that stand share a width and mostly a bottom."""

    def same(*values):
        return len({tuple(round(float(v), 9) for v in row) for row in zip(*values)}) == 1

    standing = same([p.get_y() for p in patches], [p.get_width() for p in patches])
    lying = same([p.get_x() for p in patches], [p.get_height() for p in patches])
    return lying and not standing


def _box_of(outline, shapes, rest, lines):
    """The box plot whose box is outline and whose other lines begin at rest; None if they are not such lines."""
    if len(shapes) < rest + 3 or len(outline) < 5:
        return None
    low, high = outline.min(axis=0), outline.max(axis=0)
    for across, along in ((0, 1), (1, 0)):
        middle = (low[across] + high[across]) / 2
        width = high[across] - low[across]

        def centred(shape, count, slack=1e-6 * width):
            return len(shape) == count and abs(shape[:, across].mean() - middle) <= slack

        def level(shape):
            return centred(shape, 2) and shape[0][along] == shape[1][along]

        first, second = shapes[rest], shapes[rest + 1]
        if width <= 0 or not all(centred(s, 2) and s[0][across] == s[1][across] for s in (first, second)):
            continue
        q1, q3 = first[0][along], second[0][along]
        if len(outline) < 11 and {q1, q3} != {low[along], high[along]}:  # a notch may reach beyond its box
            continue
        i = rest + 2
        levels = []
        while i < len(shapes) and len(levels) < 3 and level(shapes[i]):
            levels.append(shapes[i])
            i += 1
        ends = (first[1][along], second[1][along])
        if len(levels) == 3 and (levels[0][0][along], levels[1][0][along]) == ends:
            median = levels[2][0][along]
        elif levels and q1 <= levels[0][0][along] <= q3:  # without caps
            i -= len(levels) - 1
            median = levels[0][0][along]
        else:
            continue
        slack = 1e-6 * width
        if i < len(shapes) and level(shapes[i]) and abs(abs(shapes[i][1] - shapes[i][0])[across] - width) <= slack:
            i += 1  # the mean as a line
        outliers = []
        while i < len(shapes) and lines[i].get_linestyle() in ("None", "", " "):
            if (abs(shapes[i][:, across] - middle) > slack).any():
                break
            mean = len(shapes[i]) == 1 and ends[0] <= shapes[i][0][along] <= ends[1]
            if not mean:
                outliers = shapes[i][:, along]
            i += 1
        return {
            "lying": across == 1,
            "span": (float(low[across]), float(high[across])),
            "end": i,
            "outliers": outliers,
            "min": ends[0],
            "first_quartile": q1,
            "median": median,
            "third_quartile": q3,
            "max": ends[1],
        }
    return None
