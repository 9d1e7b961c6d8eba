# Runs one program as `python3 -u - ARGUMENTS` does, but for its standard input, which is at its end. The daemon starts it with
# three descriptors of its own: 3 is a file that takes a chart as JSON on each line, 4 had this text and the one that finds charts, 5 has
# the program.
import sys

SELF = "<sandlot>"


def read(fd):
    import os

    with os.fdopen(fd, "rb") as f:
        f.seek(0)
        return f.read()


def write(chart):
    import json
    import os

    data = memoryview((json.dumps(chart) + "\n").encode("ascii"))
    while data:
        data = data[os.write(3, data) :]


class Imports:
    """Loads the watch over figures when something is imported that makes any."""

    def find_spec(self, name, path=None, target=None):
        if name == "matplotlib":
            watch()
        return None


def watch():
    if imports in sys.meta_path:
        sys.meta_path.remove(imports)
    module = type(sys)(SELF)
    exec(compile(parts[1], SELF, "exec"), module.__dict__)
    module.watch(write)


def failed(e, source):
    """Says what ended the program, without this file's part in it."""
    import linecache
    import traceback

    tb = e.__traceback__
    while tb is not None and tb.tb_frame.f_code.co_filename == SELF:
        tb = tb.tb_next
    e.__traceback__ = tb
    text = source.decode("utf-8", "replace")
    linecache.cache["<stdin>"] = (len(text), None, text.splitlines(True), "<stdin>")
    if sys.excepthook is sys.__excepthook__:
        traceback.print_exception(type(e), e, tb)
    else:
        sys.excepthook(type(e), e, tb)


def run():
    import os

    os.set_inheritable(3, False)
    source = read(5)
    sys.argv[0] = "-"
    main = type(sys)("__main__")
    main.__builtins__ = sys.modules["builtins"]
    sys.modules["__main__"] = main
    if "matplotlib" in sys.modules:
        watch()
    else:
        sys.meta_path.insert(0, imports)
    try:
        exec(compile(source, "<stdin>", "exec", 0, True), main.__dict__)
    except SystemExit:
        raise
    except KeyboardInterrupt as e:
        import signal

        failed(e, source)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException as e:
        failed(e, source)
        sys.exit(1)


imports = Imports()
run()
