package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/textproto"
	"strings"
	"sync"
	"time"
)

const (
	// maxInterims bounds the interim answers (status 100 to 199) to one request.
	maxInterims = 16
	// continueWithin is how long a server may leave an Expect unanswered until the body is sent; curl waits as long.
	continueWithin = time.Second
	// sentWithin bounds the wait for the return of a write whose bytes the server has answered already.
	sentWithin = 50 * time.Millisecond
)

// Exchange is one request and its answer. It implements http.RoundTripper for a ReverseProxy that writes to W, with a
// FlushInterval of 0.
type Exchange struct {
	Pool *Pool
	Port int
	// W is where the answer goes. A large body goes to W directly from the connection, so the body of the answer may only
	// be read to be written to W unchanged.
	W http.ResponseWriter
	// Body is the body of the client's request.
	Body io.Reader

	conn    *conn
	sent    chan struct{} // closed when send has ended; nil without a body
	whole   bool          // the whole body was sent; valid when sent is closed
	refused bool          // the body was not requested from the client; valid when sent is closed
	proceed chan bool     // whether the server wants the body; capacity 1; nil if it was not asked

	interims int
	mu       sync.Mutex // held while an interim answer is written
	over     bool       // no interim answer may be written any more
	bodyErr  error      // why the body could not be read to its end
}

// RoundTrip implements http.RoundTripper. Errors: those of the dialling, of the connection, of the body, and of the
// server's answer, which they may quote; the cause of the context's end.
func (x *Exchange) RoundTrip(r *http.Request) (*http.Response, error) {
	for {
		c, err := x.Pool.get(r.Context(), x.Port)
		if err != nil {
			return nil, err
		}
		res, err := x.on(c, r)
		if err == nil {
			return res, nil
		}
		_ = c.Close() // it cannot be used again
		if r.Context().Err() != nil {
			return nil, context.Cause(r.Context())
		}
		if !c.kept || c.heard || !repeatable(r) {
			return nil, err
		}
	}
}

// repeatable reports whether a request may be sent twice.
func repeatable(r *http.Request) bool {
	if r.Body != nil {
		return false
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return r.Header["Idempotency-Key"] != nil || r.Header["X-Idempotency-Key"] != nil
}

// on sends a request on a connection and reads the header of its answer.
func (x *Exchange) on(c *conn, r *http.Request) (res *http.Response, err error) {
	stop := context.AfterFunc(r.Context(), func() { _ = c.Close() }) // every wait for the connection ends
	defer func() {
		x.mu.Lock()
		x.over = true
		x.mu.Unlock()
		if err != nil {
			stop()
			x.answerContinue(false)
		}
	}()
	head, expects, err := header(r)
	if err != nil {
		return nil, err
	}
	x.conn, x.over = c, false
	_, failed := c.Write(head.Bytes()) // if it fails, the server's answer may still be there to read
	heads.Put(head)
	if r.Body != nil {
		x.sent = make(chan struct{})
		if expects {
			x.proceed = make(chan bool, 1)
		}
		go x.send(r, failed != nil)
	}
	for {
		c.inHead, c.room = true, maxHeader
		res, err = http.ReadResponse(c.from, r)
		c.inHead = false
		if err != nil {
			return nil, x.why(err)
		}
		if res.StatusCode < 100 || res.StatusCode > 199 || res.StatusCode == http.StatusSwitchingProtocols {
			break
		}
		if err := x.interim(res.StatusCode, res.Header, r.ProtoAtLeast(1, 1)); err != nil {
			return nil, err
		}
		if res.StatusCode == http.StatusContinue {
			x.answerContinue(true)
		}
	}
	x.answerContinue(false)
	to := res.Header.Get("Upgrade")
	if res.StatusCode == http.StatusSwitchingProtocols && (to == "" || !strings.EqualFold(to, r.Header.Get("Upgrade"))) {
		return nil, errors.New("it switches to a protocol that it was not asked for")
	}
	x.receive(c, res, stop)
	return res, nil
}

// why returns the reason to report for an answer that did not come.
func (x *Exchange) why(err error) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.bodyErr != nil:
		return x.bodyErr
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errClosed
	}
	return err
}

// receive replaces the body of an answer.
func (x *Exchange) receive(c *conn, res *http.Response, stop func() bool) {
	end := func() {
		if stop() && !res.Close && c.from.Buffered() == 0 && x.sentAll() {
			x.Pool.put(c)
		} else {
			_ = c.Close() // it cannot be used again
		}
	}
	switch {
	case res.StatusCode == http.StatusSwitchingProtocols:
		if x.sent != nil {
			<-x.sent // the context's end ends it at the latest
		}
		res.Body = upgraded{c}
	case res.Body == http.NoBody:
		end()
	case res.ContentLength > 0:
		kind := strings.ToLower(res.Header.Get("Content-Type"))
		flushes := strings.HasPrefix(kind, "text/event-stream") // the ReverseProxy flushes W after each write
		res.Body = &sized{x: x, c: c, left: res.ContentLength, end: end, straight: !flushes}
	default:
		res.Body = &streamed{body: res.Body, c: c, end: end}
	}
}

// sentAll reports whether the request was sent whole.
func (x *Exchange) sentAll() bool {
	if x.sent == nil {
		return true
	}
	select {
	case <-x.sent:
		return x.whole
	default:
	}
	late := time.NewTimer(sentWithin)
	defer late.Stop()
	select {
	case <-x.sent:
		return x.whole
	case <-late.C:
		return false
	}
}

// interim forwards an interim answer to a client that knows them.
func (x *Exchange) interim(code int, header http.Header, known bool) error {
	if x.interims++; x.interims > maxInterims {
		return fmt.Errorf("more than %d interim answers", maxInterims)
	}
	if known {
		header.Del("Set-Cookie") // only the cookies of the answer itself are checked
		x.mu.Lock()
		defer x.mu.Unlock()
		x.interimLocked(code, header)
	}
	return nil
}

// interimLocked sends an interim answer. The header of the answer itself, which may have been begun, stays as it is.
func (x *Exchange) interimLocked(code int, header http.Header) {
	h := x.W.Header()
	own := maps.Clone(h)
	clear(h)
	maps.Copy(h, header)
	x.W.WriteHeader(code)
	clear(h)
	maps.Copy(h, own)
}

// finish ends the exchange after the ReverseProxy has returned. If the client still sends, finish reads and drops
// what it sends for within at most, so that the client comes to the answer, which is all of what W has by then.
func (x *Exchange) finish(within time.Duration) {
	if x.sent == nil {
		return
	}
	select {
	case <-x.sent:
		if x.whole || x.refused {
			return
		}
	default:
	}
	_ = x.conn.Close() // nobody reads the rest of the body
	client := http.NewResponseController(x.W)
	if within > 0 {
		_ = client.Flush() // a client that is gone needs no answer
	}
	if client.SetReadDeadline(time.Now().Add(within)) != nil {
		return // W is no connection, or has been taken over: send does not wait for it
	}
	<-x.sent
	if within > 0 && !x.refused {
		_, _ = io.Copy(io.Discard, x.Body) // until the deadline
	}
}

// heads holds headers of requests.
var heads = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// unsent are fields that header writes itself, or leaves out.
var unsent = map[string]bool{"Host": true, "Content-Length": true, "Transfer-Encoding": true, "Trailer": true}

// unsentAgent is unsent for a request without a User-Agent, which a ReverseProxy gives an empty one.
var unsentAgent = map[string]bool{
	"Host": true, "Content-Length": true, "Transfer-Encoding": true, "Trailer": true, "User-Agent": true,
}

// header writes the header of a request as it goes to the server; expects reports whether it asks the server if the
// body may come.
func header(r *http.Request) (head *bytes.Buffer, expects bool, err error) {
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	target := r.URL.RequestURI()
	if strings.ContainsFunc(host+target, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		return nil, false, errors.New("the address of the request has a space or a control character")
	}
	if strings.EqualFold(textproto.TrimString(r.Header.Get("Expect")), "100-continue") {
		if expects = r.Body != nil && r.ProtoAtLeast(1, 1); !expects {
			r.Header.Del("Expect")
		}
	}
	head, _ = heads.Get().(*bytes.Buffer)
	head.Reset()
	_, _ = fmt.Fprintf(head, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.Method, target, host) // a buffer takes all
	without := unsent
	if r.Header.Get("User-Agent") == "" {
		without = unsentAgent
	}
	_ = r.Header.WriteSubset(head, without)
	switch {
	case r.Body == nil:
		if r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch {
			_, _ = head.WriteString("Content-Length: 0\r\n")
		}
	case r.ContentLength > 0:
		_, _ = fmt.Fprintf(head, "Content-Length: %d\r\n", r.ContentLength)
	default:
		_, _ = head.WriteString("Transfer-Encoding: chunked\r\n")
	}
	_, _ = head.WriteString("\r\n")
	return head, expects, nil
}
