// A websocket that holds Origin's host against X-Forwarded-Host, or else Host, as editors in the browser do; its page names it by an absolute path.
import { createServer } from 'node:http'
import { WebSocketServer } from 'ws'

const page = `<!doctype html><title>origin</title><p id=said>
<script>
const socket = new WebSocket((location.protocol === 'https:' ? 'wss://' : 'ws://') + location.host + '/socket')
socket.onopen = () => socket.send('hello')
socket.onmessage = (e) => { document.getElementById('said').textContent = e.data }
socket.onclose = () => { document.getElementById('said').textContent = 'closed' }
</script>`

const server = createServer((req, res) => {
  res.statusCode = req.url === '/' ? 200 : 404
  res.setHeader('Content-Type', 'text/html')
  res.end(req.url === '/' ? page : 'not found')
})
const sockets = new WebSocketServer({ noServer: true })
sockets.on('connection', (socket) => socket.on('message', (text) => socket.send(`heard ${text}`)))
server.on('upgrade', (req, socket, head) => {
  const host = (req.headers['x-forwarded-host'] ?? req.headers.host).split(',')[0].trim()
  if (!req.headers.origin || new URL(req.headers.origin).host !== host) {
    console.log(`refused: origin ${req.headers.origin}, host ${host}`)
    return socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n')
  }
  sockets.handleUpgrade(req, socket, head, (ws) => sockets.emit('connection', ws))
})
server.listen(process.env.PORT, '0.0.0.0')
