package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"

	"github.com/gorilla/websocket"
)

// source names this client to servers.
const source = "sandlot-go"

// maxRefusal bounds, in bytes, the body of a refusal that is read.
const maxRefusal = 64 << 10

// Error is a refusal by a server.
type Error struct {
	StatusCode int    `json:"statusCode"`
	Message    string `json:"message"`
	Code       string `json:"code"` // such as FILE_NOT_FOUND
}

// Error returns the server's message.
func (e *Error) Error() string { return e.Message }

// Answer returns status and code. Servers that pass an error on take its kind from them (internal/serve.Received).
func (e *Error) Answer() (status int, code string) { return e.StatusCode, e.Code }

// endpoint is a base address and what all requests to it have in common.
type endpoint struct {
	base   string // has no slash at its end
	header http.Header
	http   *http.Client
}

// call sends in, if it is not nil, as JSON and decodes the answer into out, if that is not nil.
func (e *endpoint) call(ctx context.Context, method, path string, in, out any) (err error) {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(raw)
	}
	res, err := e.do(ctx, method, path, "application/json", body)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	if out == nil {
		return nil
	}
	return json.NewDecoder(res.Body).Decode(out)
}

// do sends a request and returns the answer, whose body the caller closes. A status of 400 or more is an *Error.
func (e *endpoint) do(ctx context.Context, method, path, contentType string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, e.base+path, body)
	if err != nil {
		return nil, err
	}
	req.Header = e.headers()
	if body != nil {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := e.http.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode >= http.StatusBadRequest {
		defer res.Body.Close()
		return nil, refusal(res, method, e.base+path)
	}
	return res, nil
}

// dial opens a websocket. A refusal is an *Error.
func (e *endpoint) dial(ctx context.Context, path string, subprotocols ...string) (*websocket.Conn, error) {
	address := e.base + path
	dialer := *websocket.DefaultDialer
	dialer.Subprotocols = subprotocols
	ws, res, err := dialer.DialContext(ctx, "ws"+strings.TrimPrefix(address, "http"), e.headers())
	if err != nil {
		if res != nil {
			defer res.Body.Close()
			if res.StatusCode >= http.StatusBadRequest {
				return nil, refusal(res, http.MethodGet, address)
			}
		}
		return nil, err
	}
	ws.SetReadLimit(maxFrame)
	return ws, nil
}

// maxFrame bounds, in bytes, a message of a websocket. Servers send far less at once.
const maxFrame = 1 << 20

func (e *endpoint) headers() http.Header {
	h := maps.Clone(e.header)
	if h == nil {
		h = http.Header{}
	}
	h.Set("X-Daytona-Source", source)
	return h
}

// refusal reads the error that a server answered.
func refusal(res *http.Response, method, address string) error {
	refused := &Error{}
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxRefusal))
	if err != nil {
		return err
	}
	if json.Unmarshal(raw, refused) != nil || refused.Message == "" {
		refused.Message = fmt.Sprintf("%s %s: %s", method, address, res.Status)
	}
	refused.StatusCode = res.StatusCode
	return refused
}
