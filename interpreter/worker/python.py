# Runs the cells of one context in one Python process. The daemon starts it with three descriptors of its own: 3 is the
# control socket, 4 this text; 0 is at its end, 1 and 2 are pipes that the daemon reads.
#
# Control messages are JSON objects, one a line. The daemon sends {"cell", "code", "envs"}. This program sends "ready"
# once and "done" for each cell; "sync", "display" and "source" wait for an answer. Whoever reads a message has read
# before it all that was written to 1 and 2 before it was sent: that is what keeps output and messages in order.
import ast
import builtins
import io
import json
import linecache
import os
import signal
import sys
import threading
import types

CONTROL = 3
SELF = "<sandlot>"
ANSWERED = ("sync", "display", "source")

own_pid = os.getpid()
main_thread = threading.get_ident()
speaking = threading.RLock()
received = bytearray()
# Copies to restore 1 and 2 from, where nobody looks for them.
copies = {fd: os.dup(fd) for fd in (1, 2)}


class Interrupts:
    """Lets SIGINT reach the user's handler while the user's code runs, and no other time."""

    theirs = signal.default_int_handler

    def note(self, *_):
        self.came = True

    def allow(self):
        self.came = False
        signal.signal(signal.SIGINT, self.theirs)

    def hold(self):
        while True:
            try:
                was = signal.signal(signal.SIGINT, self.note)
            except KeyboardInterrupt:  # it came just before
                self.came = True
                continue
            if was != self.note:
                self.theirs = was
            return


interrupts = Interrupts()


def receive():
    while True:
        end = received.find(b"\n")
        if end >= 0:
            line = bytes(received[:end])
            del received[: end + 1]
            return json.loads(line)
        data = os.read(CONTROL, 1 << 16)
        if not data:
            os._exit(0)  # the daemon has gone
        received.extend(data)


def send(message):
    data = memoryview((json.dumps(message) + "\n").encode("ascii"))
    while data:
        data = data[os.write(CONTROL, data) :]


def ask(message):
    """Sends a message and waits for its answer. No interrupt comes between."""
    if os.getpid() != own_pid:
        return {}  # a fork of a cell: the socket is its parent's
    outside = threading.get_ident() == main_thread and signal.getsignal(signal.SIGINT) != interrupts.note
    if outside:
        interrupts.hold()
    try:
        with speaking:
            send(message)
            answer = receive()
    finally:
        if outside:
            came = interrupts.came
            interrupts.allow()
            if came:
                signal.raise_signal(signal.SIGINT)
    return answer


class Output(io.TextIOWrapper):
    """An output stream as a terminal has it: lines are written at once, and so is a beginning that another follows."""

    last = None  # the stream that was written to last
    beginning = False

    def __init__(self, fd, like):
        raw = io.BufferedWriter(io.FileIO(fd, "w", closefd=False))
        super().__init__(raw, encoding=like.encoding or "utf-8", errors=like.errors or "strict", line_buffering=True)
        self.mode = "w"

    name = property(lambda self: "<stdout>" if self.fileno() == 1 else "<stderr>")

    def write(self, text):
        other = Output.last
        if other is not self:
            Output.last = self
            if other is not None:
                try:
                    other.flush()
                except (OSError, ValueError):
                    pass
                ask({"type": "sync"})
        n = super().write(text)
        if "\n" in text or "\r" in text:
            self.beginning = False
        elif text == "" or self.beginning and text != " ":
            self.beginning = False
            self.flush()
        else:
            self.beginning = True
        return n


def streams():
    """Makes the standard streams usable again where a cell has closed them."""
    for fd, name in ((1, "stdout"), (2, "stderr")):
        try:
            os.fstat(fd)
        except OSError:
            os.dup2(copies[fd], fd)
        stream = getattr(sys, name, None)
        if stream is None or getattr(stream, "closed", False):
            own = Output(fd, getattr(sys, "__%s__" % name))
            setattr(sys, name, own)
            outputs[name] = own
    try:
        os.fstat(0)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)


def flush():
    for stream in (sys.stdout, sys.stderr, *outputs.values()):
        try:
            stream.flush()
        except Exception:  # closed, or full: the user's
            pass


modules = {}


def helper(name):
    """Loads one of the other texts."""
    if name not in modules:
        module = types.ModuleType(SELF)
        exec(compile(ask({"type": "source", "name": name}).get("source", ""), SELF, "exec"), module.__dict__)
        modules[name] = module
    return modules[name]


class Imports:
    """Loads the watch over figures when something is imported that makes any."""

    def find_spec(self, name, path=None, target=None):
        if name in ("matplotlib", "IPython", "plotly"):
            charts()
        return None


def charts():
    loaded = "charts" in modules
    module = helper("charts")
    if imports in sys.meta_path:
        sys.meta_path.remove(imports)
    if not loaded:
        rich = helper("rich")
        module.watch(lambda chart: show(rich.of_chart(chart)))
        rich.watch(display, module.on_import)
    return module


imports = Imports()

simple = (int, float, bool, complex)


def bundle(value):
    if type(value) in simple or type(value) in (str, bytes) and len(value) < 1000:
        return {"text/plain": repr(value)}
    try:
        return helper("rich").bundle(value, charts)
    except Exception:
        return {"text/plain": object.__repr__(value)}


def show(data):
    """Sends one MIME bundle, or a chart."""
    flush()
    ask({"type": "display", "data": data})


def display(*objects, **_):
    """Shows objects in the richest form each has."""
    for obj in objects:
        show(bundle(obj))


class Cell:
    def __init__(self, message):
        self.number = message["cell"]
        self.code = message["code"]
        self.envs = message.get("envs") or {}
        self.file = "<stdin-%d>" % self.number

    def run(self):
        """Runs the code. The answer is the message of its end."""
        streams()
        Output.last = None
        was = {name: os.environ.get(name) for name in self.envs}
        os.environ.update(self.envs)
        if "charts" in modules:
            modules["charts"].reset()
        done = {"type": "done", "cell": self.number}
        try:
            try:
                interrupts.allow()
                value = self.evaluate()
                if value is not None:
                    done["result"] = bundle(value)
            finally:
                interrupts.hold()
        except SystemExit as e:
            if isinstance(e.code, str):
                print(e.code, file=sys.stderr)
            self.left(e)
        except BaseException as e:
            interrupts.hold()
            self.left(e)
            done["error"] = self.error(e)
        self.left(None)
        for name, value in was.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        flush()
        return done

    def left(self, e):
        """Ends a fork of a cell where the cell ends, as it would end a script."""
        if os.getpid() == own_pid:
            return
        code = 0
        if isinstance(e, SystemExit):
            code = e.code if isinstance(e.code, int) else int(e.code is not None)
        elif e is not None:
            code = 1
            sys.stderr.write(self.error(e)["traceback"])
        flush()
        os._exit(code & 255)

    def evaluate(self):
        lines = [line + "\n" for line in self.code.splitlines()]
        linecache.cache[self.file] = (len(self.code), None, lines, self.file)
        tree = compile(self.code, self.file, "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        last = None
        if tree.body and isinstance(tree.body[-1], ast.Expr):
            last = ast.Expression(tree.body.pop().value)
        self.execute(tree, "exec")
        return self.execute(last, "eval") if last else None

    def execute(self, tree, mode):
        code = compile(tree, self.file, mode, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, True)
        if code.co_flags & 0x80:  # CO_COROUTINE: it awaits something
            return loop().run(types.FunctionType(code, main.__dict__)())
        return eval(code, main.__dict__)

    def error(self, e):
        import traceback

        try:
            told = traceback.TracebackException(type(e), e, e.__traceback__)
            without_ours(told, set())
            text = "".join(told.format())
        except BaseException:  # its own __str__ fails
            text = "%s\n" % type(e).__name__
        try:
            value = str(e)
        except BaseException:
            value = ""
        if isinstance(e, MemoryError) and not value:
            value = memory_limit()
        if isinstance(e, SyntaxError) and e.msg:
            value = "%s (line %s)" % (e.msg, e.lineno) if e.lineno else e.msg
        return {"name": type(e).__name__, "value": value, "traceback": plain(text)}


def without_ours(told, seen):
    """Takes the frames of this program out of an exception's traceback and those of what led to it."""
    if told is None or id(told) in seen:
        return
    seen.add(id(told))
    told.stack[:] = [frame for frame in told.stack if frame.filename != SELF]
    for other in (told.__cause__, told.__context__, *(getattr(told, "exceptions", None) or ())):
        without_ours(other, seen)


def plain(text):
    """Names the cells in a traceback as one text from standard input."""
    import re

    return re.sub(r'File "<stdin-\d+>"', 'File "<stdin>"', text)


def memory_limit():
    import resource

    soft = resource.getrlimit(resource.RLIMIT_DATA)[0]
    if soft == resource.RLIM_INFINITY:
        return ""
    return "the memory limit of this context, %d MiB, is reached" % (soft >> 20)


class Loop:
    """The event loop of cells that await: one for all, so that what one made another can use."""

    def __init__(self):
        import asyncio

        self.loop = asyncio.new_event_loop()

    def run(self, coroutine):
        import asyncio

        asyncio.set_event_loop(self.loop)
        task = self.loop.create_task(coroutine)
        try:
            return self.loop.run_until_complete(task)
        except BaseException:
            if not task.done():
                task.cancel()
                try:
                    self.loop.run_until_complete(task)
                except BaseException:
                    pass
            raise


the_loop = None


def loop():
    global the_loop
    if the_loop is None or the_loop.loop.is_closed():
        the_loop = Loop()
    return the_loop


def forked():
    global speaking
    speaking = threading.RLock()
    try:
        os.close(CONTROL)
    except OSError:
        pass


os.set_inheritable(CONTROL, False)
signal.signal(signal.SIGURG, lambda *_: None)  # the daemon's nudge: it makes Python look for signals, and is ignored else
interrupts.hold()
interrupts.theirs = signal.default_int_handler
os.register_at_fork(after_in_child=forked)
outputs = {"stdout": Output(1, sys.stdout), "stderr": Output(2, sys.stderr)}
sys.stdout, sys.stderr = outputs["stdout"], outputs["stderr"]
sys.argv = [""]
builtins.display = display
sys.meta_path.insert(0, imports)
main = types.ModuleType("__main__")
main.__dict__["__builtins__"] = builtins
sys.modules["__main__"] = main


def serve():
    send({"type": "ready"})
    while True:
        try:
            message = receive()
        except KeyboardInterrupt:
            continue
        done = Cell(message).run()
        with speaking:
            send(done)


serve()
