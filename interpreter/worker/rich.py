"""Values as what a reader may show of them: text, HTML, images, tables, charts.

bundle(obj, charts) is the MIME bundle of a value; watch(display, on_import) has IPython's display and Plotly's show
call display. charts is the module of charts.py, a function that returns it, or None.

Nothing here raises into the program: a form whose method raises, or is of the wrong type, is left out. Nothing of
pandas, matplotlib or another library is imported unless the program has it. Limits: 64 KiB of text/plain, a table of
1,000 rows and 200,000 cells, 16 MiB in all.
"""

import sys

MAX_TEXT = 65536
MAX_BUNDLE = 16 << 20
MAX_ROWS = 1000
MAX_COLUMNS = 1000
MAX_CELLS = 200000
MAX_DEPTH = 100
MAX_INT_BITS = 14000  # Python writes no integer of more than 4,300 digits, and is slow at it

TABLE = "application/vnd.sandlot.dataframe+json"
CHART = "application/vnd.sandlot.chart+json"
PLOTLY = "application/vnd.plotly.v1+json"

_BINARY = {"image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf"}
_METHODS = (
    ("_repr_html_", "text/html"),
    ("_repr_markdown_", "text/markdown"),
    ("_repr_svg_", "image/svg+xml"),
    ("_repr_png_", "image/png"),
    ("_repr_jpeg_", "image/jpeg"),
    ("_repr_latex_", "text/latex"),
    ("_repr_json_", "application/json"),
    ("_repr_javascript_", "application/javascript"),
    ("_repr_pdf_", "application/pdf"),
)


def bundle(obj, charts=None):
    """The MIME bundle of a value: text/plain always, and what else the value offers. Binary forms are base64, JSON
    forms are values. The key truncated lists what was cut (text/plain) or left out for its size (all others)."""
    return _attempt(_bundle, obj, charts) or {"text/plain": _attempt(object.__repr__, obj) or "<unprintable>"}


def _bundle(obj, charts):
    forms = {}
    if not isinstance(obj, type):
        for collect in (_own, _figure, _table, _plotly, _altair):
            forms.update(_attempt(collect, obj, forms, charts) or {})
    plain = forms.pop("text/plain", None)
    if plain is None:
        plain, cut = text(obj)
    else:
        plain, cut = _cut(plain)
    result = {"text/plain": plain}
    result.update(forms)
    truncated = ["text/plain"] if cut else []
    sizes = {form: _size(form, value) for form, value in result.items()}
    while sum(sizes.values()) > MAX_BUNDLE:
        largest = max(sizes, key=sizes.get)
        del sizes[largest], result[largest]
        truncated.append(largest)
    if truncated:
        result["truncated"] = truncated
    return result


def _attempt(call, *args, **kwargs):
    """What call returns, or None if it raises. An interrupt is the program's."""
    try:
        return call(*args, **kwargs)
    except KeyboardInterrupt:
        raise
    except BaseException:
        return None


def _size(form, value):
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode("utf-8"))
    import json

    return len(json.dumps(value))


# Forms.


def _own(obj, forms, charts):
    """What the object's own _repr_*_ methods give."""
    if charts is not None and _is_figure(obj):
        return {}
    # Objects that have every attribute, as mocks do, have these by accident.
    if _attempt(getattr, obj, "_no_object_has_this_attribute_", None) is not None:
        return {}
    found = {}
    whole = _unpack(_call(obj, "_repr_mimebundle_", include=None, exclude=None))
    if isinstance(whole, dict):
        for form, value in whole.items():
            _add(found, form, value)
    for method, form in _METHODS:
        if form in found or form == "image/jpeg" and "image/png" in found and type(obj).__module__.startswith("PIL."):
            continue
        _add(found, form, _unpack(_call(obj, method)))
    return found


def _call(obj, method, **kwargs):
    call = _attempt(getattr, obj, method, None)
    return _attempt(call, **kwargs) if callable(call) else None


def _unpack(value):
    """Methods may return (data, metadata)."""
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], dict):
        return value[0]
    return value


def _add(found, form, value):
    """Adds a form if its value is of the right type."""
    if value is None or not isinstance(form, str):
        return
    if form.endswith("json"):
        value = _attempt(_json, value)
        if value is not None:
            found[form] = value
    elif isinstance(value, (bytes, bytearray)) and form in _BINARY:
        import base64

        found[form] = base64.b64encode(value).decode()
    elif isinstance(value, str):
        found[form] = _clean(value)


def _json(value):
    """The value as JSON holds it: numbers that JSON has not are None, what is no JSON raises."""
    import json

    if isinstance(value, str):
        return json.loads(value) if value.lstrip()[:1] in ("{", "[") else value
    text = json.dumps(value, default=_plain)
    return json.loads(text, parse_constant=lambda _: None)


def _plain(value):
    """What json does not know: numpy's numbers and arrays, by their tolist."""
    return value.tolist()


def _clean(value):
    """Text without lone surrogates, which have no UTF-8."""
    value = str.__str__(value)
    if value.isascii():
        return value
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _is_figure(obj):
    module = sys.modules.get("matplotlib.figure")
    return module is not None and isinstance(obj, module.Figure)


def _figure(obj, forms, charts):
    if charts is None or not _is_figure(obj):
        return {}
    module = charts if hasattr(charts, "extract") else charts()
    return of_chart(module.extract(obj))


def of_chart(chart):
    """The forms of a chart: its image, and its data without the image."""
    data = {key: value for key, value in chart.items() if key != "png"}
    png = chart.get("png")
    found = {CHART: data}
    if png:
        found["image/png"] = png
    return found


def _plotly(obj, forms, charts):
    if not type(obj).__module__.startswith("plotly.") or not hasattr(obj, "to_plotly_json"):
        return {}
    import json

    found = {}
    if PLOTLY not in forms:
        found[PLOTLY] = _attempt(lambda: json.loads(obj.to_json()))
    if "text/html" not in forms:
        found["text/html"] = _attempt(obj.to_html, include_plotlyjs="cdn", full_html=False)
    return {form: value for form, value in found.items() if value is not None}


def _altair(obj, forms, charts):
    module = sys.modules.get("altair")
    if module is None or not type(obj).__module__.startswith("altair.") or not hasattr(obj, "to_dict"):
        return {}
    if any(form.startswith("application/vnd.vega") for form in forms):
        return {}
    version = getattr(module, "SCHEMA_VERSION", "v5").split(".")[0]
    return {"application/vnd.vegalite.%s+json" % version: _json(obj.to_dict())}


# Tables.


def _table(obj, forms, charts):
    pandas = sys.modules.get("pandas")
    if pandas is None or not isinstance(obj, (getattr(pandas, "DataFrame", ()), getattr(pandas, "Series", ()))):
        return {}
    series = not isinstance(obj, pandas.DataFrame)
    frame = obj.head(MAX_ROWS).to_frame() if series else obj
    found = {}
    if "text/html" not in forms:
        html = _attempt(obj.to_frame()._repr_html_) if series else None
        _add(found, "text/html", html)
    table = _attempt(_records, frame, len(obj))
    if table is not None:
        found[TABLE] = table
    return found


def _records(frame, rows):
    """The first rows of a table. Equal column names are told apart as a, a.1, a.2."""
    width = min(frame.shape[1], MAX_COLUMNS)
    height = min(rows, MAX_ROWS, max(1, MAX_CELLS // max(1, width)))
    head = frame.iloc[:height, :width]
    names, taken = [], set()
    for column in head.columns:
        base = ".".join(str(part) for part in column) if isinstance(column, tuple) else str(column)
        base = name = _cut(base)[0]
        count = 0
        while name in taken:
            count += 1
            name = "%s.%d" % (base, count)
        taken.add(name)
        names.append(name)
    columns = [_column(head.iloc[:, i]) for i in range(width)]
    records = [dict(zip(names, row)) for row in zip(*columns)] if width else [{} for _ in range(height)]
    table = {
        "columns": names,
        "dtypes": [str(dtype) for dtype in head.dtypes],
        "records": records,
        "rows": rows,
        "truncated": height < rows or width < frame.shape[1],
    }
    index = head.index
    if type(index).__name__ != "RangeIndex" or index.start != 0 or index.step != 1 or index.name is not None:
        table["index"] = {
            "names": [None if name is None else str(name) for name in index.names],
            "values": [[_cell(v) for v in key] if isinstance(key, tuple) else _cell(key) for key in index.tolist()],
        }
    return table


def _column(column):
    kind = getattr(column.dtype, "kind", "O")
    if type(column.dtype).__module__.startswith("numpy") and kind in "biuf":
        values = column.tolist()
        return values if kind != "f" else [value if value - value == 0 else None for value in values]
    return [_cell(value) for value in column.tolist()]


def _cell(value):
    """A cell as JSON holds it: dates as ISO text, what is missing or not finite as None, the rest as text."""
    if value is None or isinstance(value, (bool, str)):
        return _clean(_cut(value)[0]) if isinstance(value, str) else value
    if isinstance(value, int):
        return int(value) if value.bit_length() <= MAX_INT_BITS else text(value)[0]
    if isinstance(value, float):
        return float(value) if value - value == 0 else None
    if value is sys.modules["pandas"].NA or _attempt(lambda: bool(value != value)):  # NaT is not equal to itself
        return None
    if hasattr(value, "dtype") and hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        return _cell(value.item())
    iso = getattr(value, "isoformat", None)
    if callable(iso):
        return iso()
    return text(value)[0] if isinstance(value, (list, tuple, dict, set, bytes)) else _cut(_clean(str(value)))[0]


# Text.


class _Full(Exception):
    """The text has reached its limit."""


def text(obj):
    """repr(obj) in at most 64 KiB, and whether it was cut. Large builtin containers are read only as far as is shown.
    For a value whose repr raises it is object's repr."""
    out = _Text()
    try:
        out.write(obj, 0)
    except KeyboardInterrupt:
        raise
    except _Full:
        pass
    except BaseException:
        return _attempt(object.__repr__, obj) or "<unprintable>", False
    joined = "".join(out.parts)
    if not out.full:
        plain, cut = _cut(_clean(joined))
        return plain, cut or out.short
    return _clean(joined)[:MAX_TEXT] + _mark(obj), True


def _mark(obj):
    size = _attempt(len, obj) if type(obj).__module__ in ("builtins", "collections") else None
    return "... [cut%s]" % (": %s of length %d" % (type(obj).__name__, size) if size is not None else "")


def _cut(value):
    """The text in at most MAX_TEXT characters, and whether it was cut."""
    if len(value) <= MAX_TEXT:
        return value, False
    return "%s... [cut: %d characters]" % (value[:MAX_TEXT], len(value)), True


class _Text:
    """Writes reprs up to MAX_TEXT characters, then raises _Full."""

    def __init__(self):
        self.parts, self.left, self.open = [], MAX_TEXT, set()
        self.full = False  # the limit is reached
        self.short = False  # something within was left out: what is nested too deeply, or an integer too long

    def put(self, part):
        self.parts.append(part)
        self.left -= len(part)
        if self.left < 0:
            self.full = True
            raise _Full

    def write(self, obj, depth):
        # By repr's own function, so that a subclass which has a repr of its own is asked for it.
        writer = _WRITERS.get(type(obj).__repr__)
        if writer is None:
            self.put(repr(obj))
        elif writer in (_Text.string, _Text.integer):
            writer(self, obj)
        elif id(obj) in self.open:
            self.put(_RECURSIVE.get(type(obj).__repr__, "..."))
        elif depth > MAX_DEPTH:
            self.short = True
            self.put("...")
        else:
            self.open.add(id(obj))
            writer(self, obj, depth + 1)
            self.open.discard(id(obj))

    def items(self, values, depth):
        for i, value in enumerate(values):
            if i:
                self.put(", ")
            self.write(value, depth)

    def list(self, obj, depth):
        self.put("[")
        self.items(list.__iter__(obj), depth)
        self.put("]")

    def tuple(self, obj, depth):
        self.put("(")
        self.items(tuple.__iter__(obj), depth)
        self.put(",)" if tuple.__len__(obj) == 1 else ")")

    def set(self, obj, depth):
        name = type(obj).__name__
        if not obj:
            return self.put(name + "()")
        self.put("{" if type(obj) is set else name + "({")
        self.items(obj, depth)
        self.put("}" if type(obj) is set else "})")

    def dict(self, obj, depth):
        self.put("{")
        for i, (key, value) in enumerate(dict.items(obj)):
            if i:
                self.put(", ")
            self.write(key, depth)
            self.put(": ")
            self.write(value, depth)
        self.put("}")

    def view(self, obj, depth):
        self.put(type(obj).__name__ + "([")
        self.items(obj, depth)
        self.put("])")

    def deque(self, obj, depth):
        self.put(type(obj).__name__ + "([")
        self.items(obj, depth)
        self.put("])" if obj.maxlen is None else "], maxlen=%d)" % obj.maxlen)

    def defaultdict(self, obj, depth):
        self.put("%s(%r, " % (type(obj).__name__, obj.default_factory))
        self.dict(obj, depth)
        self.put(")")

    def string(self, obj):
        if len(obj) > MAX_TEXT:
            self.put(type(obj).__repr__(obj[:MAX_TEXT])[:-1])
            self.full = True
            raise _Full
        self.put(repr(obj))

    def integer(self, obj):
        bits = obj.bit_length()
        if bits > MAX_INT_BITS:
            self.short = True
            return self.put("<int of %d bits>" % bits)
        self.put(repr(obj))


def _writers():
    import collections

    return {
        list.__repr__: _Text.list,
        tuple.__repr__: _Text.tuple,
        set.__repr__: _Text.set,
        frozenset.__repr__: _Text.set,
        dict.__repr__: _Text.dict,
        type({}.keys()).__repr__: _Text.view,
        type({}.values()).__repr__: _Text.view,
        type({}.items()).__repr__: _Text.view,
        collections.deque.__repr__: _Text.deque,
        collections.defaultdict.__repr__: _Text.defaultdict,
        str.__repr__: _Text.string,
        bytes.__repr__: _Text.string,
        bytearray.__repr__: _Text.string,
        int.__repr__: _Text.integer,
    }


_WRITERS = _writers()
_RECURSIVE = {list.__repr__: "[...]", tuple.__repr__: "(...)", dict.__repr__: "{...}"}


# IPython's display, Plotly's show.


def watch(display, on_import):
    """Has display(*objs, **kwargs) called where the program calls IPython's display without a running IPython, and
    where it shows a Plotly figure for which no renderer was chosen. on_import is that of charts.py."""

    def hook_display(module):
        original = getattr(module, "display", None)
        if callable(original) and not hasattr(original, "_sandlot"):
            module.display = _display_for(original, display)

    for name in ("IPython.core.display_functions", "IPython.core.display", "IPython.display"):
        on_import(name, hook_display)
    on_import("plotly.basedatatypes", lambda module: _hook_plotly(module, display))


class _Raw:
    """A MIME bundle that the program has made itself."""

    def __init__(self, data):
        self._data = data

    def __repr__(self):
        return str(self._data.get("text/plain", ""))

    def _repr_mimebundle_(self, include=None, exclude=None):
        return self._data


def _display_for(original, display):
    import functools

    @functools.wraps(original)
    def wrapper(*objs, **kwargs):
        shell = sys.modules.get("IPython.core.interactiveshell")
        if shell is not None and shell.InteractiveShell.initialized():
            return original(*objs, **kwargs)
        if kwargs.pop("raw", False):
            objs = tuple(_Raw(o) if isinstance(o, dict) else o for o in objs)
        display(*objs, **kwargs)
        handles = sys.modules.get(original.__module__)
        handle = kwargs.get("display_id")
        if handle and hasattr(handles, "DisplayHandle") and not kwargs.get("update"):
            return handles.DisplayHandle(None if handle is True else handle)

    wrapper._sandlot = True
    return wrapper


def _hook_plotly(module, display):
    import functools

    original = module.BaseFigure.show
    if hasattr(original, "_sandlot"):
        return

    @functools.wraps(original)
    def show(self, *args, **kwargs):
        if args or kwargs.get("renderer") or _attempt(_renderer) not in ("browser", "", None):
            return original(self, *args, **kwargs)
        display(self)

    show._sandlot = True
    module.BaseFigure.show = show


def _renderer():
    return sys.modules["plotly.io"].renderers.default
