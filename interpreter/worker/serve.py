# Forks Python processes for the daemon, so that none waits for Python's start. It runs no code of users itself. One is
# forked ahead of each request.
#
# On the socket 3 comes one packet for each process: one byte, and descriptors. The first is a file with the request as
# JSON, the second a pipe to wait on, the others become 0, 1, 2, ... of the process, which runs the text in its descriptor
# 4. The answer is its id, when it has become an orphan and so the daemon's. "ready" is sent when requests are welcome,
# "stale" when packages were changed since the start, and nothing is forked then.
import array
import ast  # this and others are for the programs
import gc
import json
import linecache
import os
import signal
import socket
import sys
import threading

SELF = "<sandlot>"
sock = socket.socket(fileno=3)
sock.set_inheritable(False)
MOST = 16
TOUCH = """
import io
class A:
    def f(self, *values, **named):
        return [str(v) for v in values]
try:
    A().f(1, a=2.5, b="text")
    print("".join(map(str, range(100))), file=io.StringIO())
    raise ValueError
except ValueError:
    pass
"""


def folders():
    """What changes when a package is installed or removed."""
    seen = []
    for folder in sys.path:
        try:
            seen.append((folder, os.stat(folder).st_mtime_ns))
        except OSError:
            pass
    return seen


def receive(link):
    """Waits for a request: its descriptors, None when the other side has gone."""
    data, ancillary, _, _ = link.recvmsg(16, socket.CMSG_SPACE(MOST * array.array("i").itemsize))
    fds = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    return list(fds) if data else None


def fork():
    """Forks twice. It answers the id of the grandchild, or 0 in that."""
    r, w = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            grandchild = os.fork()
        except OSError:
            os._exit(1)
        if grandchild == 0:
            os.close(r)
            os.close(w)
            return 0
        os.write(w, b"%d" % grandchild)
        os._exit(0)
    os.close(w)
    os.waitpid(child, 0)  # from here on the grandchild is an orphan
    pid = int(os.read(r, 32) or -1)
    os.close(r)
    return pid


def ahead():
    """Forks a process before it is asked for. It answers its id and where it takes its descriptors, and in that process,
    once it has them, 0 and these."""
    gc.freeze()  # so that no collection of it touches, and so copies, what is shared
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = fork()
    if pid == 0:
        sock.close()
        ours.close()
        touch()
        fds = receive(theirs)
        if not fds:
            os._exit(0)
        theirs.close()
        return 0, fds
    theirs.close()
    return pid, ours


def touch():
    """Does some of what a short program does: the pages that it writes to are this process's own then."""
    module = type(sys)("__main__")
    exec(compile(TOUCH, SELF, "exec"), module.__dict__)
    json.loads(json.dumps({"env": ["%s=%s" % item for item in os.environ.items()]}))
    os.environ.update(dict(os.environ))
    del module
    gc.collect()


def become(fds):
    """Makes this process the one that was asked for, and answers its program."""
    with os.fdopen(fds[0], "rb") as f:
        f.seek(0)
        request = json.load(f)
    if not os.read(fds[1], 1):  # the daemon knows this process then
        os._exit(1)
    os.close(fds[1])
    os.setsid()
    # The descriptors may lie where others are to go.
    high = [os.dup(fd) if fd < MOST else fd for fd in fds[2:]]
    for i, fd in enumerate(high):
        os.dup2(fd, i)
    os.closerange(max(3, len(high)), 256)
    os.environ.clear()
    os.environ.update(item.split("=", 1) for item in request["env"])
    try:
        os.chdir(request["dir"])
    except OSError as e:
        print(e, file=sys.stderr)
        os._exit(1)
    sys.argv[:] = ["-c"] + (request["argv"] or [])
    for sig, handler in signals.items():
        signal.signal(sig, handler)
    random = sys.modules.get("numpy.random")
    if random is not None:
        random.seed()
    gc.enable()
    code = program(4)
    os.close(4)
    return code


def program(fd):
    """The text in a file, its first part compiled: before the fork, so that processes share it. So is the part that
    finds charts, once there may be some: it takes longer than a short program."""
    text = os.pread(fd, os.fstat(fd).st_size, 0)
    if text not in programs:
        parts = text.split(b"\0")
        programs[text] = compile(parts[0], SELF, "exec"), parts
    code, parts = programs[text]
    if len(parts) > 1 and isinstance(parts[1], bytes) and "matplotlib" in sys.modules:
        parts[1] = compile(parts[1], SELF, "exec")
    return code, parts


def imports(names):
    """Imports what programs asked for, so that the next ones have it."""
    for name in names:
        if name not in sys.modules:
            try:
                __import__(name)
            except BaseException:
                pass


def serve():
    before = folders()
    sock.send(b"ready")
    spare = None
    while True:
        fds = receive(sock)
        if fds is None:
            os._exit(0)
        if folders() != before:
            sock.send(b"stale")
            os._exit(0)
        wanted = []
        try:
            size = os.fstat(fds[0]).st_size
            wanted = json.loads(os.pread(fds[0], size, 0)).get("imports") or []
            wanted = [name for name in wanted if name not in sys.modules]
            program(fds[2 + 4])
            pid, link = spare or ahead()
            spare = None
            if pid == 0:
                return become(link)
            link.sendmsg([b"\1"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
            link.close()
        except Exception:
            pid = -1
        for fd in fds:
            os.close(fd)
        sock.send(b"%d busy" % pid if wanted else b"%d" % pid)
        if wanted:
            imports(wanted)
        try:
            spare = ahead()
        except OSError:
            pass  # the next is forked when it is asked for
        if spare and spare[0] == 0:
            return become(spare[1])
        if wanted:
            sock.send(b"ready")


sys.path[0:1] = [""]
signals = {signal.SIGINT: signal.default_int_handler}
signal.signal(signal.SIGINT, signal.SIG_IGN)
try:
    import ctypes

    end = ctypes.PyDLL(None).exit  # of the C library: it leaves out the end of Python, which writes to all of memory
except (ImportError, OSError, AttributeError):
    end = None
programs = {}
gc.disable()
code, parts = serve()
exec(code, {"__name__": "__sandlot__", "parts": parts, "end": end})
