import asyncio
import concurrent.futures
import multiprocessing
import threading
import time
print(multiprocessing.current_process().name, threading.current_thread().name)
# %%
async def work(n):
    await asyncio.sleep(0.001 * (5 - n))
    return n * n
print(asyncio.run(work(3)))
# %%
async def many():
    return await asyncio.gather(*(work(n) for n in range(5)))
print(asyncio.run(many()))
# %%
async def queue():
    q, seen = asyncio.Queue(), []
    async def taker():
        while (item := await q.get()) is not None:
            seen.append(item)
    task = asyncio.create_task(taker())
    for i in range(4):
        await q.put(i)
    await q.put(None)
    await task
    return seen
print(asyncio.run(queue()))
# %%
async def late():
    try:
        await asyncio.wait_for(asyncio.sleep(5), 0.01)
    except TimeoutError as e:
        return type(e).__name__
print(asyncio.run(late()))
# %%
async def child():
    p = await asyncio.create_subprocess_exec("echo", "from a child", stdout=asyncio.subprocess.PIPE)
    return (await p.communicate())[0]
print(asyncio.run(child()))
# %%
async def group():
    said = []
    try:
        async with asyncio.TaskGroup() as g:
            g.create_task(work(1))
            raise ValueError("in the group")
    except* ValueError as e:
        said = [str(x) for x in e.exceptions]
    return said
print(asyncio.run(group()))
# %%
def square(n):
    return n * n
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(square, range(6)))
# %%
with concurrent.futures.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
    print(list(pool.map(square, range(4))))
# %%
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    print(sum(pool.map(square, range(100))))
# %%
ctx = multiprocessing.get_context("fork")
q = ctx.Queue()
p = ctx.Process(target=lambda: q.put("from a process"))
p.start()
print(q.get(timeout=10))
p.join()
print(p.exitcode)
# %%
def fails():
    raise SystemExit(3)
p = ctx.Process(target=fails)
p.start()
p.join()
print(p.exitcode)
# %%
lock, total = threading.Lock(), 0
def add():
    global total
    for _ in range(1000):
        with lock:
            total += 1
threads = [threading.Thread(target=add) for _ in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
print(total)
# %%
local = threading.local()
local.x = 1
t = threading.Thread(target=lambda: print(hasattr(local, "x")))
t.start()
t.join()
# %%
event = threading.Event()
timer = threading.Timer(0.01, event.set)
timer.start()
print(event.wait(10))
# %%
value = ctx.Value("i", 0)
def count():
    for _ in range(100):
        with value.get_lock():
            value.value += 1
ps = [ctx.Process(target=count) for _ in range(2)]
[p.start() for p in ps]
[p.join() for p in ps]
print(value.value)
# %%
from multiprocessing import shared_memory
memory = shared_memory.SharedMemory(create=True, size=16)
memory.buf[:3] = b"abc"
print(bytes(memory.buf[:3]))
memory.close()
memory.unlink()
# %%
import subprocess
print(subprocess.run("echo $((6 * 7)); exit 3", shell=True, capture_output=True, text=True))
# %%
import os, signal
got = []
signal.signal(signal.SIGUSR1, lambda *_: got.append("signal"))
os.kill(os.getpid(), signal.SIGUSR1)
print(got)
# %%
r, w = os.pipe()
if (pid := os.fork()) == 0:
    os.write(w, b"child")
    os._exit(4)
print(os.read(r, 9), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
