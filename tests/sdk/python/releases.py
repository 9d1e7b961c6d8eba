"""What every supported release of the daytona package must do: create, exec, files, list, delete. Prints "ok" and its version."""

import importlib.metadata

from daytona import CreateSandboxFromSnapshotParams, Daytona, ListSandboxesQuery

client = Daytona()
box = client.create(CreateSandboxFromSnapshotParams(language="python", labels={"release": "one"}, env_vars={"A": "b"}))
try:
    assert box.state == "started", box.state
    ran = box.process.exec("echo $A; exit 3")
    assert (ran.exit_code, ran.result.strip()) == (3, "b"), ran
    assert box.process.code_run("print(6 * 7)").result.strip() == "42"
    box.fs.create_folder("folder", "755")
    box.fs.upload_file(b"bytes \x00\xff", "folder/a.bin")
    assert box.fs.download_file("folder/a.bin") == b"bytes \x00\xff"
    assert [f.name for f in box.fs.list_files("folder")] == ["a.bin"]
    assert box.fs.get_file_info("folder/a.bin").size == 8
    box.fs.move_files("folder/a.bin", "folder/b.bin")
    box.fs.delete_file("folder/b.bin")
    assert client.get(box.id).id == box.id
    assert client.get(box.name).id == box.id
    found = [b.id for b in client.list(ListSandboxesQuery(labels={"release": "one"}))]
    assert found == [box.id], found
    box.set_labels({"release": "two"})
    box.stop()
    assert box.state == "stopped", box.state
    box.start()
    assert box.process.exec("echo back").result.strip() == "back"
finally:
    box.delete()
print("ok", importlib.metadata.version("daytona"))
