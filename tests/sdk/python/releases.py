"""The small program that every release of the daytona package from 0.18 on must do. Prints "ok" and its version.

Create, exec, code, files, session, git, list, get, labels, preview link, stop, start, delete; every result is compared. What a release has
under another name, or not at all, is found out by looking.
"""

import importlib.metadata
import uuid

import daytona
from preview import fetch

client = daytona.Daytona()
one, two = uuid.uuid4().hex, uuid.uuid4().hex  # labels


def listed(labels):
    """Ids of the sandboxes with labels, by whichever list this release has: an iterator, a page, or a plain list."""
    if hasattr(daytona, "ListSandboxesQuery"):
        found = client.list(daytona.ListSandboxesQuery(labels=labels))
    else:
        found = client.list(labels)
    return [item.id for item in getattr(found, "items", found)]


def same(got, want):
    assert got == want, f"{got!r}, want {want!r}"


def output(command):
    """What a command prints, without the last line's end, which some releases cut off."""
    return box.process.exec(command, timeout=20).result.strip()


box = client.create(daytona.CreateSandboxFromSnapshotParams(language="python", labels={"release": one}, env_vars={"A": "b"}))
try:
    same(box.state, "started")

    ran = box.process.exec("echo $A; exit 3")
    same((ran.exit_code, ran.result.strip()), (3, "b"))
    same(box.process.exec("pwd", cwd="/tmp", env={"B": "c"}).result.strip(), "/tmp")
    same(box.process.code_run("print(6 * 7)").result.strip(), "42")
    same(box.process.code_run("raise SystemExit(4)").exit_code, 4)

    root = box.get_work_dir() if hasattr(box, "get_work_dir") else box.get_user_root_dir()
    same(output("pwd"), root)
    box.fs.create_folder("folder", "755")
    box.fs.upload_file(b"bytes \x00\xff", "folder/a.bin")
    same(box.fs.download_file("folder/a.bin"), b"bytes \x00\xff")
    same(output(f"wc -c < {root}/folder/a.bin"), "8")
    big = bytes(range(256)) * 8192
    box.fs.upload_files([daytona.FileUpload(source=b"one line\n", destination="folder/b.txt"), daytona.FileUpload(source=big, destination="folder/big")])
    same(box.fs.download_file("folder/big"), big)
    same(sorted(f.name for f in box.fs.list_files("folder")), ["a.bin", "b.txt", "big"])
    same(box.fs.get_file_info("folder/a.bin").size, 8)
    same([m.line for m in box.fs.find_files("folder", "one line")], [1])
    same([f.rsplit("/", 1)[-1] for f in box.fs.search_files("folder", "*.txt").files], ["b.txt"])
    same(box.fs.replace_in_files(["folder/b.txt"], "one", "two")[0].success, True)
    box.fs.set_file_permissions("folder/b.txt", mode="600")
    box.fs.move_files("folder/b.txt", "folder/c.txt")
    same(output("stat -c %a folder/c.txt; cat folder/c.txt"), "600\ntwo line")
    box.fs.delete_file("folder/c.txt")
    same(sorted(f.name for f in box.fs.list_files("folder")), ["a.bin", "big"])

    box.process.create_session("s")
    box.process.execute_session_command("s", daytona.SessionExecuteRequest(command="cd /tmp; X=1"))
    ran = box.process.execute_session_command("s", daytona.SessionExecuteRequest(command="echo $X; pwd; (exit 5)"))
    same(ran.exit_code, 5)
    logs = box.process.get_session_command_logs("s", ran.cmd_id)
    logs = logs if isinstance(logs, str) else logs.stdout if getattr(logs, "stdout", None) is not None else logs.output
    same(logs.strip(), "1\n/tmp")
    same(box.process.get_session_command("s", ran.cmd_id).exit_code, 5)
    same(len(box.process.get_session("s").commands), 2)
    same([s.session_id for s in box.process.list_sessions() if s.session_id != "entrypoint"], ["s"])
    served = daytona.SessionExecuteRequest(command="cd /tmp && echo page > page && exec python3 -m http.server 8123", run_async=True)
    server = box.process.execute_session_command("s", served)
    same(output("until curl -sf localhost:8123/page; do sleep 0.05; done"), "page")
    same(box.process.get_session_command("s", server.cmd_id).exit_code, None)
    same(fetch(box.get_preview_link(8123), "/page"), b"page\n")
    box.process.delete_session("s")
    same([s.session_id for s in box.process.list_sessions() if s.session_id != "entrypoint"], [])

    same(box.process.exec("git init -q -b main repo && echo text > repo/a.txt").exit_code, 0)
    box.git.add("repo", ["a.txt"])
    same([f.name for f in box.git.status("repo").file_status], ["a.txt"])
    box.git.commit("repo", "first", "A", "a@example.com")
    same(output("git -C repo log --format='%an %ae %s'"), "A a@example.com first")
    same(box.git.status("repo").current_branch, "main")
    box.git.create_branch("repo", "next")
    box.git.checkout_branch("repo", "next")
    same(box.git.status("repo").current_branch, "next")
    same(sorted(box.git.branches("repo").branches), ["main", "next"])
    box.git.clone(f"{root}/repo", "copy")
    same(box.fs.download_file("copy/a.txt"), b"text\n")

    same(client.get(box.id).id, box.id)
    same(listed({"release": one}), [box.id])
    same(listed({"release": "none"}), [])
    same(box.set_labels({"release": two}), {"release": two})
    same(listed({"release": two}), [box.id])
    box.set_autostop_interval(30)
    box.refresh_data()
    same((int(box.auto_stop_interval), box.labels), (30, {"release": two}))

    box.stop()
    same(box.state, "stopped")
    box.start()
    same(box.state, "started")
    same(output("cat repo/a.txt"), "text")
finally:
    box.delete()
try:
    left = client.get(box.id).state
except daytona.DaytonaError:
    left = "destroyed"  # 404
assert left in ("destroying", "destroyed"), left
print("ok", importlib.metadata.version("daytona"))
