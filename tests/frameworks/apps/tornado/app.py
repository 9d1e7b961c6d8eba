"""A websocket whose own check of Origin is tornado's: Origin's host must be Host."""
import asyncio
import os

import tornado.web
import tornado.websocket

PAGE = """<!doctype html><title>tornado</title>
<input id=text><button>Send</button><p id=said>
<script>
const socket = new WebSocket(new URL('socket', location.href.replace(/^http/, 'ws')))
socket.onmessage = (e) => { document.getElementById('said').textContent = e.data }
socket.onclose = () => { document.getElementById('said').textContent = 'closed' }
document.querySelector('button').onclick = () => socket.send(document.getElementById('text').value)
</script>"""


class Page(tornado.web.RequestHandler):
    def get(self):
        self.write(PAGE)


class Echo(tornado.websocket.WebSocketHandler):
    def open(self):
        self.write_message("open")

    def on_message(self, message):
        self.write_message(message.upper())


async def main():
    tornado.web.Application([("/", Page), ("/socket", Echo)]).listen(int(os.environ["PORT"]))
    await asyncio.Event().wait()


asyncio.run(main())
