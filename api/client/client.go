package client

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/sandlot-dev/sandlot/api"
)

// Client calls the control API of one server. It is safe for concurrent use.
type Client struct {
	endpoint
}

// New returns a client of the API at base, such as http://127.0.0.1:3001/api.
func New(base, key string) *Client {
	return &Client{endpoint{base: strings.TrimRight(base, "/"), header: withKey(key), http: &http.Client{}}}
}

func withKey(key string) http.Header {
	return http.Header{"Authorization": {"Bearer " + key}}
}

// Create makes a sandbox and returns it as soon as it runs.
func (c *Client) Create(ctx context.Context, req api.CreateSandbox) (s api.Sandbox, err error) {
	return s, c.call(ctx, http.MethodPost, "/sandbox", req, &s)
}

// Get returns a sandbox by id or name.
func (c *Client) Get(ctx context.Context, idOrName string) (s api.Sandbox, err error) {
	return s, c.call(ctx, http.MethodGet, "/sandbox/"+url.PathEscape(idOrName), nil, &s)
}

// Start starts a stopped sandbox.
func (c *Client) Start(ctx context.Context, idOrName string) (s api.Sandbox, err error) {
	return s, c.call(ctx, http.MethodPost, "/sandbox/"+url.PathEscape(idOrName)+"/start", nil, &s)
}

// Stop stops a sandbox and keeps its files.
func (c *Client) Stop(ctx context.Context, idOrName string) (s api.Sandbox, err error) {
	return s, c.call(ctx, http.MethodPost, "/sandbox/"+url.PathEscape(idOrName)+"/stop", nil, &s)
}

// Delete removes a sandbox.
func (c *Client) Delete(ctx context.Context, idOrName string) (s api.Sandbox, err error) {
	return s, c.call(ctx, http.MethodDelete, "/sandbox/"+url.PathEscape(idOrName), nil, &s)
}

// List returns all sandboxes of the key's organisation.
func (c *Client) List(ctx context.Context) ([]api.SandboxListItem, error) {
	var all []api.SandboxListItem
	for query := (url.Values{"limit": {"200"}}); ; {
		var page api.ListSandboxes
		if err := c.call(ctx, http.MethodGet, "/sandbox?"+query.Encode(), nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if page.NextCursor == nil {
			return all, nil
		}
		query.Set("cursor", *page.NextCursor)
	}
}

// Toolbox returns a client of a sandbox's toolbox.
func (c *Client) Toolbox(s api.Sandbox) *Toolbox {
	return NewToolbox(strings.TrimRight(s.ToolboxProxyURL, "/")+"/"+s.ID, c.header, c.http)
}
