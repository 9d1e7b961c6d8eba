package toolbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sandlot-dev/sandlot/session"
	"github.com/sandlot-dev/sandlot/telemetry"
)

// Telemetry says where measurements and the output of the image's own program go.
type Telemetry struct {
	Endpoint   string            // of an OTLP collector that takes JSON over HTTP, without /v1/metrics
	Attributes map[string]string // of the sandbox
	Every      time.Duration     // from one measurement to the next; 0 means 1 min
}

// Export sends the sandbox's measurements and the output of its entrypoint to a collector until ctx ends. What cannot
// be sent is dropped; the log says so once, until sending succeeds again.
func (s *Server) Export(ctx context.Context, to Telemetry) {
	client := &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone(), Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	at := collector{client: client, endpoint: strings.TrimRight(to.Endpoint, "/"), token: &s.system.token}
	telemetry.Export(ctx, telemetry.Config{
		Meter: &s.system.meter, Output: s.entrypointOutput(), Send: at.send,
		Attributes: to.Attributes, Every: to.Every, Logger: s.face.Logger,
	})
}

// entrypointOutput returns the output of the image's own program, nil if the image starts none.
func (s *Server) entrypointOutput() telemetry.Output {
	cmd, err := s.sessions.sessions.Entrypoint().Command(session.EntrypointCommand)
	if err != nil {
		return nil
	}
	return cmd
}

// collector is an OTLP collector that takes JSON over HTTP.
type collector struct {
	client   *http.Client
	endpoint string
	token    *atomic.Pointer[string] // names the sandbox; nil until it is known
}

// send posts one request.
func (to collector) send(ctx context.Context, signal telemetry.Signal, body []byte) (err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.endpoint+"/v1/"+string(signal), bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if token := to.token.Load(); token != nil {
		req.Header.Set("sandbox-auth-token", *token)
	}
	res, err := to.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection can be used again
	if res.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s answered %s", to.endpoint, res.Status)
	}
	return nil
}
