"""Runs the cases of a file: functions named test_*. For each it prints a JSON object: name and error."""

import json
import os
import sys
import traceback
import types

FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def source(name):
    with open(os.path.join(FOLDER, name + ".py"), encoding="utf-8") as f:
        return f.read()


def load(name):
    """One of the worker's texts as the worker loads it: a module that nobody can import."""
    module = types.ModuleType("<sandlot>")
    exec(compile(source(name), "<sandlot>", "exec"), module.__dict__)
    return module


def equal(got, want, what="value"):
    if got != want:
        raise AssertionError("%s is %r, want %r" % (what, got, want))


def close(got, want, within=1e-9, what="value"):
    if not abs(got - want) <= within:
        raise AssertionError("%s is %r, want %r" % (what, got, want))


def run(names, before=None):
    for name in sorted(names):
        if not name.startswith("test_"):
            continue
        error = None
        try:
            if before:
                before()
            names[name]()
        except BaseException:
            error = traceback.format_exc()
        print(json.dumps({"name": name[5:], "error": error}))
        sys.stdout.flush()
