package toolbox_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/api/client"
	"github.com/sandlot-dev/sandlot/process"
)

// connecting returns our client's Connect to a new server.
func connecting(t *testing.T) func(ctx context.Context, command string, streams client.Streams) (int, error) {
	t.Helper()
	box := client.NewToolbox(newServer(t, process.Config{}), nil, nil)
	return func(ctx context.Context, command string, streams client.Streams) (int, error) {
		return box.Connect(ctx, api.ConnectRequest{Command: command}, streams)
	}
}

func TestConnectedStreamsAreExact(t *testing.T) {
	connect := connecting(t)
	want := make([]byte, 3<<20)
	for i := range want {
		want[i] = byte(rand.Uint32())
	}
	var out, errs bytes.Buffer
	code, err := connect(t.Context(), "tee /proc/self/fd/2; exit 5",
		client.Streams{Stdin: iotest.HalfReader(bytes.NewReader(want)), Stdout: &out, Stderr: &errs})
	if code != 5 || err != nil {
		t.Errorf("%d, %v", code, err)
	}
	if !bytes.Equal(out.Bytes(), want) || !bytes.Equal(errs.Bytes(), want) {
		t.Errorf("%d and %d bytes came of %d, or others", out.Len(), errs.Len(), len(want))
	}
	if code, err := connect(t.Context(), "cat", client.Streams{Stdout: io.Discard, Stderr: io.Discard}); code != 0 ||
		err != nil {
		t.Errorf("without input: %d, %v", code, err)
	}
}

// writerFunc makes an io.Writer of a function.
type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestConnectedOutputThatNobodyTakesHoldsBackItselfAlone blocks stdout until all of stderr has come.
func TestConnectedOutputThatNobodyTakesHoldsBackItselfAlone(t *testing.T) {
	connect := connecting(t)
	all := make(chan struct{})
	var errs, out int
	_, err := connect(t.Context(), "head -c 2000000 /dev/zero & head -c 3000000 /dev/zero >&2; wait", client.Streams{
		Stdout: writerFunc(func(p []byte) (int, error) {
			<-all
			out += len(p)
			return len(p), nil
		}),
		Stderr: writerFunc(func(p []byte) (int, error) {
			if errs += len(p); errs == 3000000 {
				close(all)
			}
			return len(p), nil
		}),
	})
	if err != nil || out != 2000000 || errs != 3000000 {
		t.Errorf("%d and %d bytes, %v", out, errs, err)
	}
}

func TestConnectedCommandEndsWithItsClient(t *testing.T) {
	connect := connecting(t)
	closed := errors.New("closed")
	_, err := connect(t.Context(), "yes",
		client.Streams{Stdout: writerFunc(func([]byte) (int, error) { return 0, closed }), Stderr: io.Discard})
	if !errors.Is(err, client.ErrOutput) || !errors.Is(err, closed) {
		t.Errorf("a closed output: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	_, err = connect(ctx, "echo a; sleep 300", client.Streams{
		Stderr: io.Discard,
		Stdout: writerFunc(func(p []byte) (int, error) {
			cancel(closed)
			return len(p), nil
		}),
	})
	if !errors.Is(err, closed) {
		t.Errorf("called off: %v", err)
	}
	signals := make(chan string, 1)
	code, err := connect(t.Context(), "echo a; exec sleep 300",
		client.Streams{Signals: signals, Stderr: io.Discard, Stdout: writerFunc(func(p []byte) (int, error) {
			signals <- "SIGTERM"
			return len(p), nil
		})})
	if code != 143 || err != nil {
		t.Errorf("SIGTERM: %d, %v", code, err)
	}
	if _, err := connect(t.Context(), "a\x00b", client.Streams{Stdout: io.Discard, Stderr: io.Discard}); err == nil ||
		!strings.Contains(err.Error(), "NUL") {
		t.Errorf("a command that cannot be: %v", err)
	}
}
