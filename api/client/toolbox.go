package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"

	"github.com/sandlot-dev/sandlot/api"
)

// contract is the release of the published clients whose answers this client reads: older ones get other shapes.
const contract = "0.226.1"

// Toolbox calls the toolbox of one sandbox. It is safe for concurrent use.
type Toolbox struct {
	endpoint
}

// NewToolbox returns a client of the toolbox at base. Each request has the header, which may be nil; by is who sends
// requests, nil the standard library's client. Client.Toolbox is the way through a server.
func NewToolbox(base string, header http.Header, by *http.Client) *Toolbox {
	if by == nil {
		by = http.DefaultClient
	}
	h := maps.Clone(header)
	if h == nil {
		h = http.Header{}
	}
	h.Set("X-Daytona-SDK-Version", contract)
	return &Toolbox{endpoint{base: strings.TrimRight(base, "/"), header: h, http: by}}
}

// Version returns the version of the toolbox, and in state what it waits for; "" means that it serves its sandbox.
func (t *Toolbox) Version(ctx context.Context) (version, state string, err error) {
	res, err := t.do(ctx, http.MethodGet, "/version", "", nil)
	if err != nil {
		return "", "", err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	var body struct{ Version, State string }
	err = json.NewDecoder(io.LimitReader(res.Body, 4<<10)).Decode(&body)
	return body.Version, body.State, err
}

// Execute runs a command and waits for its end.
func (t *Toolbox) Execute(ctx context.Context, req api.ExecuteRequest) (res api.ExecuteResponse, err error) {
	return res, t.call(ctx, http.MethodPost, "/process/execute", req, &res)
}

// RunCode runs a program given as text and waits for its end.
func (t *Toolbox) RunCode(ctx context.Context, req api.CodeRunRequest) (res api.ExecuteResponse, err error) {
	return res, t.call(ctx, http.MethodPost, "/process/code-run", req, &res)
}
