package toolbox

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

// socket is a websocket whose reading side is always attended to: pings are answered, and a client that leaves ends
// Context. Any goroutine may write.
type socket struct {
	conn *websocket.Conn
	ctx  context.Context //nolint:containedctx // it is that of the connection
	stop context.CancelCauseFunc

	broken error         // by a panic of what takes messages; set when done is closed
	done   chan struct{} // closed when nothing is read any more

	mu sync.Mutex // held while writing

	answers   sync.WaitGroup
	pinging   sync.Mutex // guards the two below
	ping      *string    // to be answered
	answering bool       // answer runs
}

var errLeft = fault.New(fault.Gone, "the client closed the connection")

// maxMessage bounds what a client sends at once, a paste into a terminal for instance.
const maxMessage = 4 << 20

var upgrader = websocket.Upgrader{
	ReadBufferSize: 4 << 10, WriteBufferSize: 4 << 10,
	CheckOrigin: func(*http.Request) bool { return true }, // the secret decides who may connect, as for every route
}

// mayUpgrade tells whether a request can become a websocket, for those who act before upgrade. Error: fault.Invalid.
func mayUpgrade(r *http.Request) error {
	key, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-Websocket-Key"))
	switch {
	case !websocket.IsWebSocketUpgrade(r):
		return fault.New(fault.Invalid,
			"this call opens a websocket, and the request asks for none (Connection: Upgrade, Upgrade: websocket)")
	case r.Header.Get("Sec-Websocket-Version") != "13":
		return fault.New(fault.Invalid, "only version 13 of the websocket protocol is spoken here (Sec-WebSocket-Version)")
	case err != nil, len(key) != 16:
		return fault.New(fault.Invalid, "the header Sec-WebSocket-Key must be base64 of 16 bytes")
	}
	return nil
}

// upgrade makes a websocket of a request; before it, every error is an ordinary answer. Each message goes to take,
// from one goroutine, until it returns an error, which is then the cause that Context ends with; nil drops messages.
func upgrade(c *gin.Context, take func(kind int, data []byte) error) (*socket, error) {
	return upgradeFor(c, maxMessage, take)
}

// upgradeFor is upgrade for messages of up to limit bytes.
func upgradeFor(c *gin.Context, limit int64, take func(kind int, data []byte) error) (*socket, error) {
	var header http.Header
	if token := chooseSubprotocol(subprotocols(c)); token != "" {
		header = http.Header{"Sec-WebSocket-Protocol": {token}}
	}
	up, kind := upgrader, fault.Invalid
	// The caller gets the error, and serve answers it.
	up.Error = func(_ http.ResponseWriter, _ *http.Request, status int, _ error) {
		if status >= http.StatusInternalServerError {
			kind = fault.Internal
		}
	}
	conn, err := up.Upgrade(c.Writer, c.Request, header)
	if err != nil {
		return nil, fault.Newf(kind, "open a websocket: %w", err)
	}
	conn.SetReadLimit(limit)
	ctx, stop := context.WithCancelCause(c.Request.Context())
	s := &socket{conn: conn, ctx: ctx, stop: stop, done: make(chan struct{})}
	conn.SetPingHandler(s.pinged)
	go s.read(take)
	return s, nil
}

// pinged takes a ping, by whoever reads. The pong waits until what is being written is, however slow the client:
// giving it up would cost the client the connection. Reading does not wait for it.
func (s *socket) pinged(data string) error {
	s.pinging.Lock()
	defer s.pinging.Unlock()
	s.ping = &data // an answer to this one answers those before
	if !s.answering {
		s.answering = true
		s.answers.Go(s.answer)
	}
	return nil
}

func (s *socket) answer() {
	for {
		s.pinging.Lock()
		data := s.ping
		s.ping, s.answering = nil, data != nil
		s.pinging.Unlock()
		if data == nil {
			return
		}
		// It waits without bound. An error means that the client has left.
		_ = s.conn.WriteControl(websocket.PongMessage, []byte(*data), time.Time{})
	}
}

func (s *socket) read(take func(kind int, data []byte) error) {
	defer close(s.done)
	s.broken = s.messages(take)
	s.stop(errLeft)
}

// messages gives each message to take until there are no more, and returns what a panic left.
func (s *socket) messages(take func(kind int, data []byte) error) (broken error) {
	defer fault.Recovered(&broken)
	for {
		if take == nil {
			if _, _, err := s.conn.NextReader(); err != nil {
				return nil
			}
			continue
		}
		kind, data, err := s.conn.ReadMessage()
		if err != nil {
			return nil
		}
		if err := take(kind, data); err != nil {
			s.stop(err)
			return nil
		}
	}
}

// Context ends when the client has left.
func (s *socket) Context() context.Context { return s.ctx }

func (s *socket) send(kind int, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn.WriteMessage(kind, data)
}

func (s *socket) sendJSON(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.send(websocket.TextMessage, data)
}

// farewell is how long a client may take for what is on its way to it, the close frame included, and to answer that.
const farewell = time.Minute

// shortFarewell is farewell from when the client has left or the sandbox is stopping.
const shortFarewell = time.Second

// close says why, lets the client answer, and ends the connection. It panics with what a panic over a message left,
// so that it is told as every handler's.
func (s *socket) close(code int, reason string) {
	over := time.Now().Add(farewell)
	if s.ctx.Err() != nil {
		over = time.Now().Add(shortFarewell)
	}
	hurry := context.AfterFunc(s.ctx, func() { _ = s.conn.NetConn().SetDeadline(time.Now().Add(shortFarewell)) })
	defer hurry()
	err := s.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), over)
	if err == nil || errors.Is(err, websocket.ErrCloseSent) {
		if tcp, ok := s.conn.NetConn().(*net.TCPConn); ok {
			// Some clients wait for the end of the stream. A full close would discard what a slow client has not read yet.
			_ = tcp.CloseWrite()
		}
		select {
		case <-s.done:
		case <-time.After(time.Until(over)):
		}
	}
	_ = s.conn.Close() // the close frame is what counts
	<-s.done
	s.answers.Wait()
	if s.broken != nil {
		panic(s.broken)
	}
}
