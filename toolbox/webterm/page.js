'use strict';
// The page of the web terminal: text both ways; a JSON object from here is a size.
const term = new Terminal({ cursorBlink: true, scrollback: 10000 });
const fit = new FitAddon.FitAddon();
term.loadAddon(fit);
term.open(document.getElementById('terminal'));
fit.fit();
const url = new URL('ws', location.href);
url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
const socket = new WebSocket(url);
const resize = () => {
  fit.fit();
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ rows: term.rows, cols: term.cols }));
};
socket.onopen = () => { resize(); term.focus(); };
socket.onmessage = (e) => term.write(e.data);
socket.onclose = () => { document.getElementById('end').hidden = false; };
term.onData((data) => { if (socket.readyState === WebSocket.OPEN) socket.send(data); });
term.onTitleChange((title) => { document.title = title || 'Terminal'; });
new ResizeObserver(resize).observe(document.getElementById('terminal'));
