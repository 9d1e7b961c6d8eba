"""Redirects that are absolute: to /items/ of a slash that lacks (307), and by name (308, which browsers keep)."""
from typing import Annotated

from fastapi import FastAPI, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse

app = FastAPI()


@app.get("/")
def page():
    return HTMLResponse("""<!doctype html><title>redirect</title>
<a href=items>Items</a> <a href=old>Moved</a>
<form action=items method=post><input name=name><button>Add</button></form>
<button id=fetch onclick="fetch('items').then(r => r.text()).then(t => { said.textContent = 'fetched: ' + t })">Fetch</button><p id=said>""")


@app.get("/items/", name="items")
def items():
    return HTMLResponse("<p>All items")


@app.post("/items/")
def add(name: Annotated[str, Form()]):
    return HTMLResponse(f"<p>Added {name}")


@app.get("/old")
def old(request: Request):
    return RedirectResponse(request.url_for("items"), status_code=308)
