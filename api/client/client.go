// Package client calls Sandlot's APIs: a typed Go client on net/http.
//
// A Client speaks to one server with one API key. Errors of the server are *Error, with status, code and message. Calls last as
// long as their context.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/sandlot-dev/sandlot/api"
)

// Error is an error body of a server.
type Error struct {
	StatusCode int    `json:"statusCode"`
	Message    string `json:"message"`
	Code       string `json:"code"`
}

// Error returns the server's message.
func (e *Error) Error() string { return e.Message }

// Client calls one server. It is safe for concurrent use.
type Client struct {
	base, key string
	http      *http.Client
}

// New returns a client of the API at base, such as http://127.0.0.1:3001/api.
func New(base, key string) *Client {
	return &Client{base: strings.TrimRight(base, "/"), key: key, http: &http.Client{}}
}

// Create makes a sandbox and returns it as soon as it runs.
func (c *Client) Create(ctx context.Context, req api.CreateSandbox) (api.Sandbox, error) {
	var s api.Sandbox
	return s, c.call(ctx, http.MethodPost, c.base+"/sandbox", req, &s)
}

// Get returns a sandbox by id or name.
func (c *Client) Get(ctx context.Context, idOrName string) (api.Sandbox, error) {
	var s api.Sandbox
	return s, c.call(ctx, http.MethodGet, c.base+"/sandbox/"+url.PathEscape(idOrName), nil, &s)
}

// Delete has a sandbox removed.
func (c *Client) Delete(ctx context.Context, idOrName string) (api.Sandbox, error) {
	var s api.Sandbox
	return s, c.call(ctx, http.MethodDelete, c.base+"/sandbox/"+url.PathEscape(idOrName), nil, &s)
}

// List returns all sandboxes of the key's organisation.
func (c *Client) List(ctx context.Context) ([]api.SandboxListItem, error) {
	var all []api.SandboxListItem
	for query := (url.Values{"limit": {"200"}}); ; {
		var page api.ListSandboxes
		if err := c.call(ctx, http.MethodGet, c.base+"/sandbox?"+query.Encode(), nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if page.NextCursor == nil {
			return all, nil
		}
		query.Set("cursor", *page.NextCursor)
	}
}

// Execute runs a command in a sandbox and waits for it.
func (c *Client) Execute(ctx context.Context, s api.Sandbox, req api.ExecuteRequest) (api.ExecuteResponse, error) {
	var res api.ExecuteResponse
	return res, c.call(ctx, http.MethodPost, strings.TrimRight(s.ToolboxProxyURL, "/")+"/"+s.ID+"/process/execute", req, &res)
}

func (c *Client) call(ctx context.Context, method, address string, in, out any) (err error) {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Daytona-Source", source)
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	if res.StatusCode >= http.StatusBadRequest {
		return failure(res, method, address)
	}
	return json.NewDecoder(res.Body).Decode(out)
}

// failure reads the error that a server answered.
func failure(res *http.Response, method, address string) error {
	failed := &Error{StatusCode: res.StatusCode}
	raw, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return err
	}
	if json.Unmarshal(raw, failed) != nil || failed.Message == "" {
		failed.Message = fmt.Sprintf("%s %s: %s", method, address, res.Status)
	}
	return failed
}

// source tells servers which client calls.
const source = "sandlot-go"
