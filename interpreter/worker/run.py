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
    code = parts[1]  # compiled already where the fork server had to do with figures before
    exec(compile(code, SELF, "exec") if isinstance(code, bytes) else code, module.__dict__)
    module.watch(write)


def failed(e, source):
    """Says what ended the program, without this file's part in it."""
    import linecache
    import traceback

    text = source.decode("utf-8", "replace")
    linecache.cache["<stdin>"] = (len(text), None, [line + "\n" for line in text.splitlines()], "<stdin>")
    tb = e.__traceback__
    while tb is not None and tb.tb_frame.f_code.co_filename == SELF:
        tb = tb.tb_next
    if sys.excepthook is not sys.__excepthook__:
        return sys.excepthook(type(e), e, tb)
    told = traceback.TracebackException(type(e), e, tb)
    without_ours(told, set())
    for line in told.format():
        print(line, file=sys.stderr, end="")


def without_ours(told, seen):
    """Takes the frames of this file out of an exception's traceback and those of what led to it."""
    if told is None or id(told) in seen:
        return
    seen.add(id(told))
    told.stack[:] = [frame for frame in told.stack if frame.filename != SELF]
    for other in (told.__cause__, told.__context__, *(getattr(told, "exceptions", None) or ())):
        without_ours(other, seen)


def leave(status, loaded, main):
    """Ends a forked process without the end of Python, after all of it that a program can see. Where it could see more
    this returns, and Python ends as ever."""
    import atexit
    import gc
    import weakref

    if "threading" in sys.modules:
        sys.modules["threading"]._shutdown()
    atexit._run_exitfuncs()
    if any(name.partition(".")[0] not in sys.stdlib_module_names for name in set(sys.modules) - loaded):
        return
    flush()

    class Last:
        pass

    last = main[0].__dict__[""] = Last()
    last = weakref.ref(last)
    sys.modules.pop("__main__", None)
    main.clear()
    gc.collect()
    if last() is None:
        flush()  # what has ended just now may have written
        end(status)


def flush():
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        if not stream.closed:
            stream.flush()


def run():
    import os

    loaded = set(sys.modules)
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
    main = [main]
    status = 0
    try:
        exec(compile(source, "<stdin>", "exec", 0, True), main[0].__dict__)
    except SystemExit as e:
        status = 0 if e.code is None else e.code
        if type(status) is not int or not 0 <= status < 256:
            raise
    except KeyboardInterrupt as e:
        import signal

        failed(e, source)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException as e:
        failed(e, source)
        status = 1
    if end is not None:
        try:
            leave(status, loaded, main)
        except BaseException:  # such as of a stream that is no stream: Python has words and a status for it
            pass
    sys.exit(status)


end = globals().get("end")
imports = Imports()
run()
