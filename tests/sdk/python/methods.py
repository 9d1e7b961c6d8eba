"""Call every public method of the installed daytona package once, and print what became of each as JSON.

Usage: methods.py sync|async. The server and key come from DAYTONA_API_URL and DAYTONA_API_KEY.

One line of output: {"version": ..., "methods": {"Class.method": {"status": ..., "detail": ...}}}. The status is
  works    the call returned, and its result, or what it changed, is right
  partial  the same but for what the detail names
  refused  the server refused it with a status that the contract gives for a container sandbox
  501      the server says that it is not built
  fails    anything else
The classes are walked, so a method that this program does not call is listed as "fails: not called by the test". So is one that returns
without a comparison of what it gave.
"""

import asyncio
import gc
import importlib
import importlib.metadata
import inspect
import io
import json
import os
import pathlib
import pkgutil
import re
import sys
import tempfile
import urllib.error
import urllib.request
import uuid

import aiohttp
import daytona as sdk
from preview import fetch, visit

MODE = sys.argv[1]
PACKAGE = "daytona._async" if MODE == "async" else "daytona._sync"

# Methods that call no server, with the reason why they are not asked.
OFFLINE = {
    "Sandbox.model_post_init",  # inherited from the model library
    "ObjectStorage.upload",  # internal; reached by creating from an image with a context
    "ObjectStorage.compute_archive_base_path",
    "SnapshotService.process_image_context",
}

results = {}


def walk():
    """Names of all public methods, the same for both kinds of client."""
    found = set()
    modules = [importlib.import_module(f"{PACKAGE}.{m.name}") for m in pkgutil.iter_modules(importlib.import_module(PACKAGE).__path__)]
    modules.append(importlib.import_module("daytona.handle." + ("async_pty_handle" if MODE == "async" else "pty_handle")))
    for module in modules:
        for name, cls in vars(module).items():
            if not inspect.isclass(cls) or cls.__module__ != module.__name__ or name.startswith("_"):
                continue
            for method in dir(cls):
                own = any(method in vars(base) and base.__module__.startswith("daytona.") for base in cls.__mro__)
                if own and not method.startswith("_") and callable(getattr(cls, method, None)):
                    found.add(f"{name.removeprefix('Async')}.{method}")
    return found - OFFLINE


async def call(work):
    """Run one call of either kind of client, at most a minute."""

    async def both():
        if MODE == "async" or inspect.iscoroutinefunction(work):
            got = work()
        else:
            got = await asyncio.to_thread(work)
        return await got if inspect.isawaitable(got) else got

    return await asyncio.wait_for(both(), 60)


def status_of(err):
    """The HTTP status of an error; of a refused websocket it is only in the text."""
    told = re.search(r"(?:Response \[|: |error ')(\d{3})(?: [A-Z]|, message=)", str(err))
    return getattr(err, "status_code", None) or getattr(err, "status", None) or (int(told[1]) if told else None)


async def step(name, work, check=None, *, seen=None, partly="", refused=None):
    """Call work, and note under name what came of it.

    check(value) says whether the result is right. seen() says whether what the call had to change is so; it must not be so before. A call that
    returns and has neither fails: nothing was compared. partly names what is left out when check says no. refused is the status that the contract
    gives for this call on a container. A method called twice keeps its worse result.
    """
    value = None
    try:
        if seen is not None and await looks(seen):
            raise AssertionError("what the call is to change was so before it")
        value = await call(work)
        status, detail = "works", ""
        if check is None and seen is None:
            status, detail = "fails", "it returned, and this program compares nothing of it"
        elif check is not None and not await call(lambda: check(value)):
            status, detail = ("partial", partly) if partly else ("fails", f"wrong answer: {value!r}"[:300])
        elif seen is not None and not await looks(seen):
            status, detail = "fails", f"it returned {value!r} and changed nothing"[:300]
    except Exception as err:  # noqa: BLE001 - every failure is a row of the table
        detail = f"{type(err).__name__}: {err}".replace("\n", " ")[:300]
        status = {501: "501", refused: "refused"}.get(status_of(err) or 0, "fails")
    order = ["works", "partial", "refused", "501", "fails"]
    if name not in results or order.index(status) > order.index(results[name]["status"]):
        results[name] = {"status": status, "detail": detail}
    return value


async def looks(seen):
    """What seen says, which may be asynchronous; False where it cannot look."""
    try:
        got = seen()
        return bool(await got if inspect.isawaitable(got) else got)
    except (sdk.DaytonaError, OSError):
        return False


def reads(get, right):
    """seen of a value that get, a call of either kind of client, reads back."""

    async def look():
        return right(await call(get))

    return look


def shows(box, command, output):
    """seen of what a command in the sandbox prints."""
    return reads(lambda: box.process.exec(command), lambda r: r.result == output)


def missing(get):
    """seen of something that get no longer finds."""

    async def look():
        try:
            await call(get)
        except sdk.DaytonaNotFoundError:
            return True
        return False

    return look


async def collect(items):
    if hasattr(items, "__aiter__"):
        return [item async for item in items]
    return await asyncio.to_thread(lambda: list(items))


async def sandboxes(client):
    tag = uuid.uuid4().hex[:8]
    params = sdk.CreateSandboxFromSnapshotParams(
        name=f"table-{tag}", language="python", labels={"table": tag}, env_vars={"FROM_CREATE": "yes"}, auto_stop_interval=30
    )
    box = await step("Daytona.create", lambda: client.create(params, timeout=60), lambda b: (b.state, b.name, b.labels["table"], b.cpu, b.auto_stop_interval) == ("started", f"table-{tag}", tag, 1, 30))
    if box is None:
        return None, None
    other = await step("Daytona.create", lambda: client.create(timeout=60), lambda b: b.state == "started")
    await step("Daytona.get", lambda: client.get(box.id), lambda b: b.name == box.name)
    await step("Daytona.get", lambda: client.get(box.name), lambda b: b.id == box.id)
    await step(
        "Daytona.list",
        lambda: _listed(client, sdk.ListSandboxesQuery(labels={"table": tag}, limit=2)),
        lambda found: [b.id for b in found] == [box.id],
    )
    await step("Daytona.stop", lambda: client.stop(other), seen=reads(lambda: client.get(other.id), lambda b: b.state == "stopped"))
    await step("Daytona.start", lambda: client.start(other), seen=reads(lambda: client.get(other.id), lambda b: b.state == "started"))
    return box, other


def _listed(client, query):
    if MODE == "async":
        return collect(client.list(query))
    return list(client.list(query))


async def settings(client, box):
    def has(**fields):
        return reads(lambda: client.get(box.id), lambda b: all(getattr(b, name) == value for name, value in fields.items()))

    await step("Sandbox.set_labels", lambda: box.set_labels({"a": "b"}), lambda got: got == {"a": "b"}, seen=has(labels={"a": "b"}))
    await step("Sandbox.set_autostop_interval", lambda: box.set_autostop_interval(31), seen=has(auto_stop_interval=31))
    await step("Sandbox.set_auto_archive_interval", lambda: box.set_auto_archive_interval(120), seen=has(auto_archive_interval=120))
    await step("Sandbox.set_auto_delete_interval", lambda: box.set_auto_delete_interval(60), seen=has(auto_delete_interval=60))
    await step("Sandbox.set_auto_delete_interval", lambda: box.set_auto_delete_interval(-1), seen=has(auto_delete_interval=-1))
    twin = await call(lambda: client.get(box.id))
    await call(lambda: twin.set_labels({"by": "twin"}))
    await step("Sandbox.refresh_data", box.refresh_data, seen=lambda: box.labels == {"by": "twin"})
    await step("Sandbox.set_auto_pause_interval", lambda: box.set_auto_pause_interval(0), refused=422)
    await step("Sandbox.set_ttl", lambda: box.set_ttl(600), seen=reads(lambda: client.get(box.id), lambda b: b.auto_destroy_at))
    await step("Sandbox.set_public", lambda: box.set_public(True), seen=has(public=True))
    await step("Sandbox.set_public", lambda: box.set_public(False), seen=has(public=False))
    active = (await call(lambda: client.get(box.id))).last_activity_at
    await step("Sandbox.refresh_activity", box.refresh_activity, seen=reads(lambda: client.get(box.id), lambda b: b.last_activity_at > active))
    await step("Sandbox.get_user_home_dir", box.get_user_home_dir, lambda d: d == "/home/daytona")
    await step("Sandbox.get_user_root_dir", box.get_user_root_dir, lambda d: d == "/home/daytona")
    await step("Sandbox.get_work_dir", box.get_work_dir, lambda d: d == "/home/daytona")
    await step("Sandbox.get_metrics_latest", box.get_metrics_latest, lambda m: m.mem_total == 1 << 30 and 0 < m.mem_used < m.mem_total and m.cpu_count == 1)
    await step("Sandbox.get_metrics", box.get_metrics)
    await step("Sandbox.update_env", lambda: box.update_env({"LATER": "1"}, unset=["FROM_NOTHING"]), seen=shows(box, "printenv LATER", "1\n"))
    await step("Sandbox.update_network_settings", lambda: box.update_network_settings(network_block_all=False))
    await step("Sandbox.update_secrets", lambda: box.update_secrets({}))
    await call(lambda: box.process.exec("cd /tmp; echo page > page; setsid python3 -m http.server 3000 & until curl -sf localhost:3000; do sleep 0.05; done"))
    await step("Sandbox.get_preview_link", lambda: box.get_preview_link(3000), lambda link: fetch(link, "/page") == b"page\n")
    signed = await step("Sandbox.create_signed_preview_url", lambda: box.create_signed_preview_url(3000, 60), lambda s: b"page" in visit(s.url)[1])
    await step(
        "Sandbox.expire_signed_preview_url", lambda: box.expire_signed_preview_url(3000, signed.token), seen=lambda: visit(signed.url)[0] == 401
    )
    access = await step("Sandbox.create_ssh_access", lambda: box.create_ssh_access(5))
    token = access.token if access else "a" * 32
    await step("Sandbox.validate_ssh_access", lambda: box.validate_ssh_access(token))
    await step("Sandbox.revoke_ssh_access", lambda: box.revoke_ssh_access(token))


def http(url, body=None):
    """Status and body of an answer to a GET, or to a POST of body."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as err:
        return err.code, err.read()


async def signed_urls(box):
    await call(lambda: box.fs.upload_file(b"signed", "signed.txt"))
    url = await step("Sandbox.download_url", lambda: box.download_url("signed.txt"), lambda url: http(url) == (200, b"signed"))
    await step("Sandbox.upload_url", lambda: box.upload_url("signed.txt"), lambda up: http(up, b"again")[0] == 200 and http(url) == (200, b"again"))
    await step("Sandbox.rotate_signing_key", box.rotate_signing_key, seen=lambda: http(url)[0] == 401)


async def files(box, folder):
    fs = box.fs
    local = pathlib.Path(folder, "local.txt")
    local.write_bytes(b"from a local file\n")
    def holds(path, content):
        return reads(lambda: fs.download_file(path), lambda got: got == content)

    await step("FileSystem.create_folder", lambda: fs.create_folder("work/deep", "755"), seen=shows(box, "stat -c '%F %a' work/deep", "directory 755\n"))
    await step("FileSystem.upload_file", lambda: fs.upload_file(b"from memory\x00\xff", "work/memory.bin"), seen=holds("work/memory.bin", b"from memory\x00\xff"))
    await step("FileSystem.upload_file", lambda: fs.upload_file(str(local), "work/local.txt"), seen=shows(box, "cat work/local.txt", "from a local file\n"))
    many = [sdk.FileUpload(source=b"one", destination="work/1.txt"), sdk.FileUpload(source=str(local), destination="work/new/2 \u00e9.txt")]
    both = "onefrom a local file\n"
    await step("FileSystem.upload_files", lambda: fs.upload_files(many), seen=shows(box, "cat work/1.txt 'work/new/2 \u00e9.txt'", both))
    streamed = shows(box, "wc -c < work/stream.bin; tr -d x < work/stream.bin | wc -c", "300000\n0\n")
    await step("FileSystem.upload_file_stream", lambda: fs.upload_file_stream(io.BytesIO(b"x" * 300_000), "work/stream.bin"), seen=streamed)
    names = {"deep", "memory.bin", "local.txt", "1.txt", "new", "stream.bin"}
    await step("FileSystem.list_files", lambda: fs.list_files("work"), lambda got: {f.name for f in got} == names)
    deeper = names | {"2 \u00e9.txt"}
    await step("FileSystem.list_files", lambda: fs.list_files("work", depth=2), lambda got: {f.name.rsplit("/", 1)[-1] for f in got} == deeper)
    await step("FileSystem.get_file_info", lambda: fs.get_file_info("work/stream.bin"), lambda f: (f.name, f.size, f.is_dir) == ("stream.bin", 300_000, False))
    await step("FileSystem.download_file", lambda: fs.download_file("work/memory.bin"), lambda got: got == b"from memory\x00\xff")
    back = pathlib.Path(folder, "back.txt")
    await step("FileSystem.download_file", lambda: fs.download_file("work/local.txt", str(back)), seen=lambda: back.read_bytes() == b"from a local file\n")
    wanted = [sdk.FileDownloadRequest(source=p) for p in ("work/1.txt", "work/new/2 \u00e9.txt", "work/missing")]
    await step(
        "FileSystem.download_files",
        lambda: fs.download_files(wanted),
        lambda got: [r.result for r in got] == [b"one", b"from a local file\n", None] and got[2].error,
    )
    await step("FileSystem.download_file_stream", lambda: _streamed(fs, "work/stream.bin"), lambda got: got == b"x" * 300_000)
    await step("FileSystem.move_files", lambda: fs.move_files("work/1.txt", "work/moved.txt"), seen=shows(box, "cat work/moved.txt; ls work | grep ^1", "one"))
    await step("FileSystem.set_file_permissions", lambda: fs.set_file_permissions("work/moved.txt", mode="600"), seen=shows(box, "stat -c %a work/moved.txt", "600\n"))
    matches = [("2 \u00e9.txt", 1, "from a local file"), ("local.txt", 1, "from a local file")]
    await step(
        "FileSystem.find_files",
        lambda: fs.find_files("work", "local file"),
        lambda got: sorted((m.file.rsplit("/", 1)[-1], m.line, m.content) for m in got) == matches,
    )
    texts = ["2 \u00e9.txt", "local.txt", "moved.txt"]
    await step("FileSystem.search_files", lambda: fs.search_files("work", "*.txt"), lambda got: sorted(f.rsplit("/", 1)[-1] for f in got.files) == texts)
    await step(
        "FileSystem.replace_in_files",
        lambda: fs.replace_in_files(["work/moved.txt"], "one", "two"),
        lambda got: [r.success for r in got] == [True],
        seen=shows(box, "cat work/moved.txt", "two"),
    )
    await step("FileSystem.delete_file", lambda: fs.delete_file("work/moved.txt"), seen=missing(lambda: fs.get_file_info("work/moved.txt")))
    await step("FileSystem.delete_file", lambda: fs.delete_file("work", recursive=True), seen=missing(lambda: fs.get_file_info("work")))


def _streamed(fs, path):
    if MODE == "async":

        async def read():
            return b"".join([chunk async for chunk in await fs.download_file_stream(path)])

        return read()
    return b"".join(fs.download_file_stream(path))


async def processes(box):
    p = box.process
    await step("Process.exec", lambda: p.exec("echo out; echo err >&2; exit 7"), lambda r: r.exit_code == 7 and "out" in r.result and "err" in r.result)
    await step("Process.exec", lambda: p.exec("echo $FROM_CREATE $A; pwd", cwd="/tmp", env={"A": "b"}, timeout=10), lambda r: r.result == "yes b\n/tmp\n")
    try:
        await call(lambda: p.exec("sleep 30", timeout=1))
        results["Process.exec"] = {"status": "fails", "detail": "a timeout of 1 s did not end sleep 30"}
    except sdk.DaytonaProcessExecutionTimeoutError:
        pass
    await step("Process.code_run", lambda: p.code_run("import sys; print(sys.argv[1:], 6 * 7)", sdk.CodeRunParams(argv=["a b"])), lambda r: r.result == "['a b'] 42\n")
    await step("Process.code_run", lambda: p.code_run("raise SystemExit(3)"), lambda r: r.exit_code == 3)
    drawing = "import matplotlib.pyplot as plt; plt.plot([1, 2, 3]); plt.show(); print('drawn')"
    await step("Process.code_run", lambda: p.code_run(drawing), lambda r: (r.exit_code, r.result) == (0, "drawn\n"))
    await step("Process.code_run", lambda: p.code_run(drawing), lambda r: [(c.type, c.elements[0].points, len(c.png) > 1000) for c in r.artifacts.charts] == [("line", [[0, 1], [1, 2], [2, 3]], True)])

    def sessions(*ids):
        return reads(p.list_sessions, lambda got: [s.session_id for s in got if s.session_id != "entrypoint"] == list(ids))

    await step("Process.create_session", lambda: p.create_session("s1"), seen=sessions("s1"))
    ran = await step(
        "Process.execute_session_command",
        lambda: p.execute_session_command("s1", sdk.SessionExecuteRequest(command="echo hello")),
        lambda r: r.exit_code == 0 and r.stdout == "hello\n",
    )
    command = ran.cmd_id if ran else "nothing"
    await step("Process.list_sessions", p.list_sessions, lambda got: {s.session_id: len(s.commands) for s in got if s.session_id != "entrypoint"} == {"s1": 1})
    await step("Process.get_session", lambda: p.get_session("s1"), lambda s: (s.session_id, [c.command for c in s.commands]) == ("s1", ["echo hello"]))
    await step("Process.get_session_command", lambda: p.get_session_command("s1", command), lambda c: (c.id, c.command, c.exit_code) == (command, "echo hello", 0))
    await step("Process.get_session_command_logs", lambda: p.get_session_command_logs("s1", command), lambda r: (r.stdout, r.stderr) == ("hello\n", ""))
    heard = []

    async def follow(cmd):
        heard.clear()
        await p.get_session_command_logs_async("s1", cmd, heard.append, heard.append)
        return "".join(heard)

    await step("Process.get_session_command_logs_async", lambda: follow(command), lambda text: text == "hello\n")
    reading = await step(
        "Process.execute_session_command",
        lambda: p.execute_session_command("s1", sdk.SessionExecuteRequest(command="read x; echo got $x", run_async=True)),
        lambda r: r.cmd_id and r.exit_code is None,
    )
    waits = reading.cmd_id if reading else "nothing"

    async def give():
        await call(lambda: p.send_session_command_input("s1", waits, "text\n"))
        return await follow(waits)

    await step("Process.send_session_command_input", give, lambda text: text.endswith("got text\n"))
    await step("Process.delete_session", lambda: p.delete_session("s1"), seen=sessions())
    # The default image starts nothing: the session is there, and its log is empty.
    await step("Process.get_entrypoint_session", p.get_entrypoint_session, lambda s: s.session_id == "entrypoint")
    await step("Process.get_entrypoint_logs", p.get_entrypoint_logs, lambda r: (r.stdout or "", r.stderr or "") == ("", ""))
    heard.clear()
    await step("Process.get_entrypoint_logs_async", lambda: p.get_entrypoint_logs_async(heard.append, heard.append), lambda _: heard == [])


async def terminals(box):
    p = box.process
    size = sdk.PtySize(cols=100, rows=30)
    shown = []

    def are(*ids):
        return reads(p.list_pty_sessions, lambda got: [s.id for s in got] == list(ids))

    def sized(cols, rows):
        return reads(lambda: p.get_pty_session_info("t1"), lambda s: (s.cols, s.rows) == (cols, rows))

    handle = await step("Process.create_pty_session", lambda: _create_pty(p, size, shown), lambda h: h.session_id == "t1", seen=are("t1"))
    await step("Process.list_pty_sessions", p.list_pty_sessions, lambda got: [(s.id, s.active) for s in got] == [("t1", True)])
    await step("Process.get_pty_session_info", lambda: p.get_pty_session_info("t1"), lambda s: (s.id, s.cols, s.rows) == ("t1", 100, 30))
    smaller = sdk.PtySize(cols=90, rows=20)
    await step("Process.resize_pty_session", lambda: p.resize_pty_session("t1", smaller), lambda s: (s.cols, s.rows) == (90, 20), seen=sized(90, 20))
    names = ["wait_for_connection", "is_connected", "send_input", "resize", "kill", "wait", "disconnect"]
    if handle is None:
        for name in names:
            results[f"PtyHandle.{name}"] = dict(results["Process.create_pty_session"])
        return

    def ended():
        """Wait for the program's end, and collect what it shows."""
        return handle.wait() if MODE == "async" else handle.wait(on_data=shown.append)

    await step("PtyHandle.wait_for_connection", handle.wait_for_connection, lambda _: handle.is_connected())
    await step("PtyHandle.is_connected", handle.is_connected, lambda yes: yes is True)
    await step("PtyHandle.resize", lambda: handle.resize(size), lambda s: (s.cols, s.rows) == (100, 30), seen=sized(100, 30))
    asked = "echo 3$((1))4; exit 7\n"

    async def typed():
        await call(lambda: handle.send_input(asked))
        return await call(ended), b"".join(shown)

    result, _ = await step("PtyHandle.send_input", typed, lambda got: b"314" in got[1]) or (None, b"")
    await step("PtyHandle.wait", lambda: result if MODE == "sync" else handle.wait(), lambda r: r.exit_code == 7)
    again = await step("Process.create_pty_session", lambda: _create_pty(p, size, shown), lambda h: h.session_id == "t1", seen=are("t1"))
    joined = await step("Process.connect_pty_session", lambda: _connect_pty(p), lambda h: h.session_id == "t1" and h.is_connected())
    await step("PtyHandle.disconnect", joined.disconnect, seen=lambda: not joined.is_connected())
    await step("PtyHandle.kill", again.kill, seen=are())
    last = await step("Process.create_pty_session", lambda: _create_pty(p, size, shown), lambda h: h.session_id == "t1", seen=are("t1"))
    await step("Process.kill_pty_session", lambda: p.kill_pty_session("t1"), seen=are())
    for h in (again, last):
        await call(h.disconnect)


def _create_pty(p, size, shown):
    if MODE == "async":

        async def show(data):
            shown.append(data)

        return p.create_pty_session("t1", on_data=show, pty_size=size)
    return p.create_pty_session("t1", pty_size=size)


def _connect_pty(p):
    return p.connect_pty_session("t1", on_data=_ignore) if MODE == "async" else p.connect_pty_session("t1")


async def _ignore(_data):
    return None


async def interpreter(box):
    ci = box.code_interpreter
    context = await step("CodeInterpreter.create_context", lambda: ci.create_context(cwd="/tmp"), lambda c: (c.cwd, c.active, c.language) == ("/tmp", True, "python"))
    await step("CodeInterpreter.list_contexts", ci.list_contexts, lambda got: [c.id for c in got] == [context.id])

    async def run(code, check, **how):
        await step("CodeInterpreter.run_code", lambda: ci.run_code(code, **how), check)

    await run("print(1 + 1)", lambda r: (r.stdout, r.stderr, r.error) == ("2\n", "", None))
    await run("x = 1\nimport os\nprint(os.getcwd(), os.environ['A'])", lambda r: r.stdout == "/tmp b\n", context=context, envs={"A": "b"})
    await run("x += 1\nprint(x, os.environ.get('A'))", lambda r: r.stdout == "2 None\n", context=context)
    await run("x", lambda r: r.error.name == "NameError" and "line 1" in r.error.traceback)
    await run("import sys\nprint('err', file=sys.stderr)\nos.system('echo child')\ninput()", lambda r: (r.stdout, r.stderr, r.error.name) == ("child\n", "err\n", "EOFError"), context=context)
    got = []
    handlers = {f"on_{kind}": (lambda m, kind=kind: got.append((kind, getattr(m, "output", None) or m.name))) for kind in ("stdout", "stderr", "error")}
    await run("import sys\nprint(1)\nprint(2, file=sys.stderr)\nprint(3)\n1 / 0", lambda _: got == [("stdout", "1\n"), ("stderr", "2\n"), ("stdout", "3\n"), ("error", "ZeroDivisionError")], **handlers)
    await run("import sys\nsys.exit(1)", lambda r: r.error is None)
    await run("import os\nos._exit(3)", lambda r: r.error.name == "InterpreterCrashed" and "exit code 3" in r.error.value)
    await run("print('anew')", lambda r: (r.stdout, r.error) == ("anew\n", None))
    try:
        await call(lambda: ci.run_code("import time\ntime.sleep(60)", timeout=1))
        results["CodeInterpreter.run_code"] = {"status": "fails", "detail": "a timeout of 1 s did not end sleep(60)"}
    except sdk.DaytonaTimeoutError:
        pass
    await run("print(os.getpid() > 1)", lambda r: r.stdout == "True\n", context=context)
    await step("CodeInterpreter.delete_context", lambda: ci.delete_context(context), seen=reads(ci.list_contexts, lambda got: got == []))


async def repositories(box):
    git = box.git
    def shell(command, output):
        return shows(box, command, output)

    async def run(command):
        ran = await call(lambda: box.process.exec(command))
        assert ran.exit_code == 0, ran

    await step("Git.init", lambda: git.init("repo", initial_branch="main"), seen=shell("git -C repo branch --show-current", "main\n"))
    await step("Git.configure_user", lambda: git.configure_user("A", "a@example.com"), seen=shell("git config --global user.name", "A\n"))
    await step("Git.set_config", lambda: git.set_config("core.abbrev", "12"), seen=shell("git config --global core.abbrev", "12\n"))
    await step("Git.get_config", lambda: git.get_config("core.abbrev"), lambda v: v == "12")
    await run("echo text > repo/a.txt")
    await step("Git.add", lambda: git.add("repo", ["a.txt"]), seen=shell("git -C repo diff --cached --name-only", "a.txt\n"))
    await step("Git.commit", lambda: git.commit("repo", "first", "A", "a@example.com"), lambda c: len(c.sha) == 40, seen=shell("git -C repo log --format='%an %s'", "A first\n"))
    await step("Git.status", lambda: git.status("repo"), lambda s: (s.current_branch, s.file_status) == ("main", []))
    await step("Git.create_branch", lambda: git.create_branch("repo", "next"), seen=shell("git -C repo branch --list next --format '%(refname:short)'", "next\n"))
    await run("git -C repo checkout -q next")
    await step("Git.checkout_branch", lambda: git.checkout_branch("repo", "main"), seen=shell("git -C repo branch --show-current", "main\n"))
    await step("Git.branches", lambda: git.branches("repo"), lambda b: set(b.branches) == {"main", "next"})
    await step("Git.delete_branch", lambda: git.delete_branch("repo", "next"), seen=shell("git -C repo branch --list next", ""))
    await step("Git.init", lambda: git.init("bare.git", bare=True, initial_branch="main"), seen=shell("git -C bare.git rev-parse --is-bare-repository", "true\n"))
    await step("Git.remote_add", lambda: git.remote_add("repo", "origin", "../bare.git"), seen=shell("git -C repo remote get-url origin", "../bare.git\n"))
    await step("Git.remotes", lambda: git.remotes("repo"), lambda r: [(x.name, x.url) for x in r.remotes] == [("origin", "../bare.git")])
    await step("Git.remote_get", lambda: git.remote_get("repo", "origin"), lambda u: u == "../bare.git")
    await step("Git.push", lambda: git.push("repo", branch="main", remote="origin", set_upstream=True), seen=shell("git -C bare.git log --format=%s main", "first\n"))
    await step("Git.clone", lambda: git.clone("bare.git", "clone"), seen=shell("cat clone/a.txt", "text\n"))
    await run("cd clone && echo more >> a.txt && git commit -qam second && git push -q")
    await step("Git.pull", lambda: git.pull("repo"), seen=shell("git -C repo log -1 --format=%s; cat repo/a.txt", "second\ntext\nmore\n"))
    await run("echo changed > repo/a.txt")
    await step("Git.restore", lambda: git.restore("repo", ["a.txt"]), seen=shell("cat repo/a.txt", "text\nmore\n"))
    await run("echo changed > repo/a.txt")
    await step("Git.reset", lambda: git.reset("repo", mode="hard", target="HEAD"), seen=shell("cat repo/a.txt", "text\nmore\n"))
    asked = "printf 'protocol=https\\nhost=git.example.com\\n\\n' | GIT_TERMINAL_PROMPT=0 git credential fill 2>/dev/null | grep ^password"
    await step("Git.dangerously_authenticate", lambda: git.dangerously_authenticate("u", "p", host="git.example.com"), seen=shell(asked, "password=p\n"))


# A project for each language server: its files, the first of which is the document; what that declares, with the end of its class; what a
# search finds, also where nothing was opened; where the document ends, within a name; and another text of it.
PROJECTS = {
    "python": (
        {
            "a.py": "class Basket:\n    def total_price(self):\n        return 1\n\n\ndef make_basket():\n    return Basket()\n\n\n'😀漢', make_basket().to\n",
            "b.py": "def total_of_all():\n    return 2\n",
        },
        ["Basket", "total_price", "make_basket"],
        (3, 0),
        {"total_price", "total_of_all"},
        (9, 23),
        "def other():\n    return 3\n",
    ),
    "typescript": (
        {
            "a.ts": "class Basket {\n  totalPrice() { return 1 }\n}\nfunction makeBasket() { return new Basket() }\n'😀漢' + makeBasket().to\n",
            "b.ts": "export function totalOfAll() { return 2 }\n",
            "tsconfig.json": "{}",
        },
        ["Basket", "totalPrice", "makeBasket"],
        (2, 1),
        {"totalPrice", "totalOfAll"},
        (4, 23),
        "function other() { return 3 }\n",
    ),
}


async def languages(box):
    for language, (contents, declared, end, found, (line, character), changed) in PROJECTS.items():
        folder = f"lsp/{language}"
        for name, text in contents.items():
            await call(lambda name=name, text=text: box.fs.upload_file(text.encode(), f"{folder}/{name}"))
        document = f"{folder}/{next(iter(contents))}"
        await language_server(box, language, folder, document, declared, end, found, sdk.LspCompletionPosition(line=line, character=character), changed)


async def language_server(box, language, folder, document, declared, end, found, position, changed):
    lsp = await step("Sandbox.create_lsp_server", lambda: box.create_lsp_server(language, folder), lambda lsp: type(lsp).__name__.removeprefix("Async") == "LspServer")

    def names(symbols):
        return [s.name for s in symbols]

    def declares(what):
        return reads(lambda: lsp.document_symbols(document), lambda got: names(got) == what)

    async def change():
        """Give the document another text than its file has; published clients cannot."""
        body = {"languageId": language, "pathToProject": folder, "uri": f"file://{document}", "text": changed}
        headers = {"Authorization": f"Bearer {os.environ['DAYTONA_API_KEY']}"}
        at = urllib.request.Request(f"{box.toolbox_proxy_url}/{box.id}/lsp/did-change", json.dumps(body).encode(), headers)
        await asyncio.to_thread(lambda: urllib.request.urlopen(at, timeout=20).close())
        assert await declares(["other"])()

    async def stopped():
        try:
            await call(lambda: lsp.document_symbols(document))
        except sdk.DaytonaLspServerNotInitializedError:
            return await shows(box, f"readlink /proc/[0-9]*/cwd | grep {folder}", "")()
        return False

    def symbol(s):
        at = s.location.range
        return (s.location.uri, s.name, s.kind, at.start.line, at.start.character, at.end.line, at.end.character)

    # From here on each seen is false before its call: the server is not started, or the document has another text than its file.
    await step("LspServer.start", lsp.start, seen=declares(declared))
    await change()
    await step("LspServer.did_open", lambda: lsp.did_open(document), seen=declares(declared))
    basket = (f"file:///home/daytona/{document}", "Basket", 5, 0, 0, *end)
    await step("LspServer.document_symbols", lambda: lsp.document_symbols(document), lambda got: symbol(got[0]) == basket and names(got) == declared)
    await step("LspServer.workspace_symbols", lambda: lsp.workspace_symbols("total"), lambda got: set(names(got)) == found)
    await step("LspServer.sandbox_symbols", lambda: lsp.sandbox_symbols("basket"), lambda got: set(names(got)) == {declared[0], declared[2]})
    await step("LspServer.completions", lambda: lsp.completions(document, position), lambda got: declared[1] in [i.label.removesuffix("()") for i in got.items if i.kind in (2, 3)])
    await change()
    await step("LspServer.did_close", lambda: lsp.did_close(document), seen=declares(declared))
    await step("LspServer.stop", lsp.stop, seen=stopped)


async def desktop(box, folder):
    cu = box.computer_use
    region = sdk.ScreenshotRegion(x=0, y=0, width=10, height=10)
    await step("ComputerUse.start", cu.start)
    await step("ComputerUse.get_status", cu.get_status)
    for name in ("get_process_status", "get_process_logs", "get_process_errors", "restart_process"):
        await step(f"ComputerUse.{name}", lambda name=name: getattr(cu, name)("xvfb"))
    await step("Mouse.get_position", cu.mouse.get_position)
    await step("Mouse.move", lambda: cu.mouse.move(1, 1))
    await step("Mouse.click", lambda: cu.mouse.click(1, 1))
    await step("Mouse.drag", lambda: cu.mouse.drag(1, 1, 2, 2))
    await step("Mouse.scroll", lambda: cu.mouse.scroll(1, 1, "down"))
    await step("Mouse.down", cu.mouse.down)
    await step("Mouse.up", cu.mouse.up)
    await step("Keyboard.type", lambda: cu.keyboard.type("a"))
    await step("Keyboard.press", lambda: cu.keyboard.press("a"))
    await step("Keyboard.hotkey", lambda: cu.keyboard.hotkey("ctrl+a"))
    await step("Keyboard.down", lambda: cu.keyboard.down("shift"))
    await step("Keyboard.up", lambda: cu.keyboard.up("shift"))
    await step("Screenshot.take_full_screen", cu.screenshot.take_full_screen)
    await step("Screenshot.take_region", lambda: cu.screenshot.take_region(region))
    await step("Screenshot.take_compressed", cu.screenshot.take_compressed)
    await step("Screenshot.take_compressed_region", lambda: cu.screenshot.take_compressed_region(region))
    await step("Display.get_info", cu.display.get_info)
    await step("Display.get_windows", cu.display.get_windows)
    rec = await step("RecordingService.start", cu.recording.start)
    rec_id = rec.id if rec else "nothing"
    await step("RecordingService.stop", lambda: cu.recording.stop(rec_id))
    await step("RecordingService.list", cu.recording.list)
    await step("RecordingService.get", lambda: cu.recording.get(rec_id))
    await step("RecordingService.download", lambda: cu.recording.download(rec_id, os.path.join(folder, "rec.mp4")))
    await step("RecordingService.delete", lambda: cu.recording.delete(rec_id))
    await step("Accessibility.get_tree", cu.accessibility.get_tree)
    await step("Accessibility.find_nodes", cu.accessibility.find_nodes)
    await step("Accessibility.focus_node", lambda: cu.accessibility.focus_node("nothing"))
    await step("Accessibility.invoke_node", lambda: cu.accessibility.invoke_node("nothing"))
    await step("Accessibility.set_node_value", lambda: cu.accessibility.set_node_value("nothing", "a"))
    await step("ComputerUse.stop", cu.stop)


async def services(client):
    nothing = str(uuid.uuid4())
    await step("SnapshotService.list", client.snapshot.list, lambda p: p.total >= 1 and len(p.items) >= 1)
    await step("SnapshotService.get", lambda: client.snapshot.get("default"))
    made = await step("SnapshotService.create", lambda: client.snapshot.create(sdk.CreateSnapshotParams(name=f"t-{nothing[:8]}", image="debian:13"), timeout=60))
    await step("SnapshotService.activate", lambda: client.snapshot.activate(made or nothing))
    await step("SnapshotService.delete", lambda: client.snapshot.delete(made or nothing))
    volume = await step("VolumeService.create", lambda: client.volume.create(f"t-{nothing[:8]}"))
    await step("VolumeService.list", client.volume.list)
    await step("VolumeService.get", lambda: client.volume.get(f"t-{nothing[:8]}", create=True))
    if volume is None:
        from daytona.common.volume import Volume

        volume = Volume.model_construct(id=nothing, name="nothing")
    await step("VolumeService.delete", lambda: client.volume.delete(volume))
    secret = await step("SecretService.create", lambda: client.secret.create(sdk.CreateSecretParams(name="TABLE", value="v")))
    secret_id = secret.id if secret else nothing
    await step("SecretService.list", client.secret.list)
    await step("SecretService.get", lambda: client.secret.get(secret_id))
    await step("SecretService.update", lambda: client.secret.update(secret_id, sdk.UpdateSecretParams(value="w")))
    await step("SecretService.delete", lambda: client.secret.delete(secret_id))
    pool = await step("WarmPoolService.create", lambda: client.warm_pool.create("default", 1))
    pool_id = pool.id if pool else nothing
    await step("WarmPoolService.list", client.warm_pool.list)
    await step("WarmPoolService.update", lambda: client.warm_pool.update(pool_id, 0))
    await step("WarmPoolService.delete", lambda: client.warm_pool.delete(pool_id))


async def lives(client, box, other):
    fork = await step("Sandbox.fork", box.fork, refused=422)
    if fork is not None:
        await call(fork.delete)
    await step("Sandbox.create_snapshot", lambda: box.create_snapshot(f"from-{box.id[:8]}"))
    await step("Sandbox.pause", box.pause, refused=422)
    await step("Sandbox.resize", lambda: box.resize(sdk.Resources(cpu=2)))
    await step("Sandbox.wait_for_resize_complete", box.wait_for_resize_complete, lambda _: box.state == "started")
    await step("Sandbox.recover", box.recover, refused=400)

    def inside(state):
        return reads(lambda: client.get(box.id), lambda b: b.state == state)

    twin = await call(lambda: client.get(box.id))  # knows nothing of what box does
    await step("Sandbox.stop", box.stop, lambda _: box.state == "stopped", seen=inside("stopped"))
    await step("Sandbox.wait_for_sandbox_stop", twin.wait_for_sandbox_stop, seen=lambda: twin.state == "stopped")
    await step("Sandbox.start", box.start, lambda _: box.state == "started", seen=inside("started"))
    await step("Sandbox.wait_for_sandbox_start", twin.wait_for_sandbox_start, seen=lambda: twin.state == "started")
    await step("Sandbox.start", lambda: box.process.exec("echo back"), lambda r: r.result == "back\n")
    await step("Sandbox.stop", lambda: box.stop(force=True), lambda _: box.state == "stopped", seen=inside("stopped"))
    await step("Sandbox.archive", box.archive)
    await step("Sandbox.delete", lambda: box.delete(wait=True), seen=missing(lambda: client.get(box.id)))

    async def leaves():
        return await missing(lambda: client.get(other.id))() or (await call(lambda: client.get(other.id))).state == "destroying"

    await step("Daytona.delete", lambda: client.delete(other), seen=leaves)


async def main():
    client = sdk.AsyncDaytona() if MODE == "async" else sdk.Daytona()
    with tempfile.TemporaryDirectory() as folder:
        box, other = await sandboxes(client)
        if box is not None:
            await settings(client, box)
            await files(box, folder)
            await signed_urls(box)
            await processes(box)
            await terminals(box)
            await interpreter(box)
            await repositories(box)
            await languages(box)
            await desktop(box, folder)
            await lives(client, box, other)
        await services(client)
    if MODE == "async":
        # A later call would open its connections anew, so these are what is looked at.
        opened = [s for s in gc.get_objects() if isinstance(s, aiohttp.ClientSession)]
        await step("Daytona.close", client.close, seen=lambda: all(s.closed for s in opened))
    walked = walk()
    for name in walked - set(results):
        results[name] = {"status": "fails", "detail": "not called by the test"}
    for name in set(results) - walked:
        results[name] = {"status": "fails", "detail": "called by the test, but not a method of this release"}
    print(json.dumps({"version": importlib.metadata.version("daytona"), "methods": results}, sort_keys=True))


asyncio.run(main())
