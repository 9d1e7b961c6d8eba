package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/api"
)

// entrypointLogs prints the output of the image's own program from its beginning and follows it to its end, each
// stream to its own. It asks the toolboxd that serves at listen.
func entrypointLogs(ctx context.Context, listen, secret string, stdout, stderr io.Writer) error {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	header := http.Header{"X-Daytona-Split-Output": {"true"}}
	if secret != "" {
		header.Set(api.SecretHeader, secret)
	}
	dialer := websocket.Dialer{HandshakeTimeout: 10 * time.Second}
	url := "ws://" + net.JoinHostPort(host, port) + "/process/session/entrypoint/logs?follow=true"
	ws, res, err := dialer.DialContext(ctx, url, header)
	if res != nil {
		defer res.Body.Close()
	}
	switch {
	case res != nil && res.StatusCode == http.StatusNotFound:
		return errors.New("this sandbox was started without a program of its own")
	case res != nil && res.StatusCode == http.StatusUnauthorized:
		return errors.New("the sandbox's secret is needed, in " + api.EnvSecret)
	case err != nil:
		return fmt.Errorf("ask toolboxd at %s: %w", listen, err)
	}
	defer ws.Close()
	for {
		_, frame, err := ws.ReadMessage()
		if websocket.IsCloseError(err, websocket.CloseNormalClosure) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
		if len(frame) < 3 {
			continue
		}
		to := stdout
		if frame[0] == 2 { // each frame begins with its stream's marker, three times 01 or 02
			to = stderr
		}
		if _, err := to.Write(frame[3:]); err != nil {
			return err
		}
	}
}
