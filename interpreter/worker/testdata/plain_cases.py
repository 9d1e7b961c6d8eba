"""What needs no package: the text of values, the forms of their own methods, the import hook."""

import ast
import collections
import importlib
import json
import os
import sys
import tempfile
import time
import traceback

import cases
from cases import equal

rich = cases.load("rich")


def text(obj):
    return rich.bundle(obj)["text/plain"]


def test_texts_parse_in_the_oldest_python():
    for name in ("charts", "rich"):
        ast.parse(cases.source(name), feature_version=(3, 8))


def test_loading_imports_nothing_of_others():
    for name in ("charts", "rich"):
        before = set(sys.modules)
        cases.load(name)
        new = {m.split(".")[0] for m in set(sys.modules) - before}
        if not new <= {"functools", "os", "collections", "_thread"}:
            raise AssertionError("%s imports %s" % (name, new))


def test_small_values_read_as_python_writes_them():
    Point = collections.namedtuple("Point", "x y")

    class Names(list):
        pass

    class Tagged(dict):
        def __repr__(self):
            return "Tagged!"

    looped = [1]
    looped.append(looped)
    around = {}
    around["me"] = around
    for obj in (
        1,
        -0.0,
        10**300,
        True,
        None,
        ...,
        "a'b",
        "\u00e9",
        b"\x00b",
        bytearray(b"x"),
        [],
        [1, [2, (3,), ()]],
        (1,),
        {},
        {1: {2: [3]}},
        set(),
        {1},
        frozenset(),
        frozenset([2]),
        Point(1, 2),
        Names([1]),
        Tagged(a=1),
        [Tagged()],
        range(3),
        {1: 2}.keys(),
        {1: 2}.values(),
        {1: 2}.items(),
        collections.deque([1], 3),
        collections.deque([1]),
        collections.defaultdict(list, {1: [2]}),
        collections.OrderedDict(a=1),
        collections.Counter("aab"),
        looped,
        around,
        int,
        len,
        ValueError("x"),
        1j,
        slice(1, 2),
    ):
        equal(text(obj), repr(obj))
        equal(list(rich.bundle(obj)), ["text/plain"])


def test_large_values_are_cut_marked_and_quick():
    for obj in (
        list(range(10**7)),
        "x" * 10**7,
        b"\0" * 10**7,
        {i: i for i in range(10**6)},
        [[0] * 10**6] * 10,
        collections.deque(range(10**6)),
        set(range(10**6)),
        {i: 0 for i in range(10**6)}.keys(),
        ["x" * 1000] * 10**6,
        10**1000000,
        [10**100000],
    ):
        began = time.process_time()
        bundle = rich.bundle(obj)
        took = time.process_time() - began
        if took > 0.5:
            raise AssertionError("%s took %.2f s" % (type(obj), took))
        equal(bundle["truncated"], ["text/plain"])
        plain = bundle["text/plain"]
        if len(plain) > 65536 + 100 or not ("... [cut" in plain[-100:] or "bits>" in plain):
            raise AssertionError(plain[-200:])
    if not text([0] * 10**6).endswith("... [cut: list of length 1000000]"):
        raise AssertionError(text([0] * 10**6)[-100:])


def test_deep_values_are_marked():
    deep = []
    for _ in range(10**5):
        deep = [deep]
    equal(rich.bundle(deep)["truncated"], ["text/plain"])
    while deep:  # one by one, for Python before 3.9
        deep = deep[0]


def test_text_has_no_lone_surrogates():
    class Odd:
        def __repr__(self):
            return "a\ud800b \U0001f600"

    equal(text(Odd()), "a\ufffdb \U0001f600")
    json.dumps(rich.bundle(Odd()), ensure_ascii=False).encode("utf-8")


def test_methods_of_values_that_fail_leave_the_rest():
    class Fails:
        def __repr__(self):
            raise RuntimeError("repr")

    class Exits:
        def __repr__(self):
            raise SystemExit(3)

    class Wrong:
        def __repr__(self):
            return 5

        def _repr_html_(self):
            return 7

        def _repr_png_(self):
            return "text"

        def _repr_svg_(self):
            raise ValueError

        def _repr_markdown_(self):
            return "*m*"

        _repr_latex_ = "not a method"

        def _repr_json_(self):
            return {1, 2}

        def _repr_mimebundle_(self, include=None, exclude=None):
            return ["no dict"]

    for obj in (Fails(), Exits(), [Fails()]):
        equal(rich.bundle(obj), {"text/plain": object.__repr__(obj)})
    wrong = Wrong()
    want = {"text/plain": object.__repr__(wrong), "text/markdown": "*m*", "image/png": "text"}
    equal(rich.bundle(wrong), want)


def test_an_interrupt_is_the_programs():
    class Slow:
        def __repr__(self):
            raise KeyboardInterrupt

    class SlowForm:
        def _repr_html_(self):
            raise KeyboardInterrupt

    for obj in (Slow(), SlowForm(), [Slow()]):
        try:
            rich.bundle(obj)
        except KeyboardInterrupt:
            continue
        raise AssertionError("the interrupt is lost")


def test_forms_of_own_methods():
    class Rich:
        def __repr__(self):
            return "Rich()"

        def _repr_html_(self):
            return "<b>"

        def _repr_markdown_(self):
            return "*m*"

        def _repr_svg_(self):
            return "<svg/>"

        def _repr_png_(self):
            return b"\x89PNG", {"width": 1}

        def _repr_jpeg_(self):
            return b"\xff\xd8"

        def _repr_latex_(self):
            return "$x$"

        def _repr_json_(self):
            return {"a": [1, float("nan")]}

        def _repr_javascript_(self):
            return "1"

        def _repr_pdf_(self):
            return b"%PDF"

    equal(
        rich.bundle(Rich()),
        {
            "text/plain": "Rich()",
            "text/html": "<b>",
            "text/markdown": "*m*",
            "image/svg+xml": "<svg/>",
            "image/png": "iVBORw==",
            "image/jpeg": "/9g=",
            "text/latex": "$x$",
            "application/json": {"a": [1, None]},
            "application/javascript": "1",
            "application/pdf": "JVBERg==",
        },
    )
    equal(list(rich.bundle(Rich)), ["text/plain"])  # the class is no such value

    class Bundle:
        def _repr_mimebundle_(self, include=None, exclude=None):
            return {"text/plain": "own", "text/html": "first", "application/x+json": {"a": 1}, "image/png": b"x"}, {}

        def _repr_html_(self):
            return "second"

    equal(
        rich.bundle(Bundle()),
        {"text/plain": "own", "text/html": "first", "application/x+json": {"a": 1}, "image/png": "eA=="},
    )


def test_values_with_every_attribute_have_no_forms():
    from unittest import mock

    equal(list(rich.bundle(mock.MagicMock())), ["text/plain"])

    class Proxy:
        def __getattr__(self, name):
            return lambda *a, **k: "<i>"

    equal(list(rich.bundle(Proxy())), ["text/plain"])


def test_the_largest_forms_go_first():
    class Large:
        def _repr_html_(self):
            return "h" * (9 << 20)

        def _repr_markdown_(self):
            return "m" * (8 << 20)

        def _repr_latex_(self):
            return "$x$"

    bundle = rich.bundle(Large())
    equal(sorted(bundle), ["text/latex", "text/markdown", "text/plain", "truncated"])
    equal(bundle["truncated"], ["text/html"])


# The import hook, with a module of our own.


def hooked(text):
    folder = tempfile.mkdtemp()
    name = "hooked_%s" % os.path.basename(folder).replace("-", "_")
    with open(os.path.join(folder, name + ".py"), "w") as f:
        f.write(text)
    sys.path.insert(0, folder)
    sys.dont_write_bytecode = True
    return name


def test_import_hook_fires_at_import_and_at_reload():
    charts, name, seen = cases.load("charts"), hooked("value = 1"), []
    charts.on_import(
        name, lambda m: seen.append(("after", m.value)), lambda m: seen.append(("before", hasattr(m, "value")))
    )
    module = importlib.import_module(name)
    equal(seen, [("before", False), ("after", 1)])
    equal(type(module.__loader__).__name__, "SourceFileLoader")
    equal("exec_module" in vars(module.__loader__), False)
    importlib.reload(module)
    equal(seen[2:], [("before", True), ("after", 1)])
    charts.on_import(name, lambda m: seen.append("late"))
    equal(seen[4:], ["late"])


def test_import_hook_is_not_seen_in_tracebacks():
    charts = cases.load("charts")
    for text, kind in (("import no_such_module_here", ImportError), ("1/0", ZeroDivisionError)):
        name = hooked(text)
        charts.on_import(name, lambda m: 1 / 0)
        try:
            exec(compile("import " + name, "<stdin>", "exec"), {})
        except kind:
            frames = [f.filename for f in traceback.extract_tb(sys.exc_info()[2])][1:]
            equal([os.path.basename(f) for f in frames], ["<stdin>", name + ".py"])
        else:
            raise AssertionError("no error")


def test_a_hook_that_fails_is_not_seen():
    charts, name = cases.load("charts"), hooked("value = 2")
    charts.on_import(name, lambda m: 1 / 0, lambda m: 1 / 0)
    equal(importlib.import_module(name).value, 2)


def test_a_missing_module_is_missing():
    charts = cases.load("charts")
    charts.on_import("no_such_module_there", lambda m: None)
    try:
        importlib.import_module("no_such_module_there")
    except ModuleNotFoundError:
        return
    raise AssertionError("found")


if __name__ == "__main__":
    cases.run(globals())
