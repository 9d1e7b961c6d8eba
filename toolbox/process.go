package toolbox

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/serve"
	"github.com/sandlot-dev/sandlot/interpreter"
	"github.com/sandlot-dev/sandlot/process"
	"github.com/sandlot-dev/sandlot/process/journal"
)

// commandAPI serves /process/execute and /process/code-run.
type commandAPI struct {
	processes    *process.Manager
	interpreters *interpreter.Manager
	runs         process.Once // those that were given a key
}

var commandRoutes = []serve.Route[*commandAPI]{
	{
		Method: "POST", Path: "/process/code-run",
		Summary: "Run a program given as text and wait for it",
		In:      api.CodeRunRequest{}, Out: api.ExecuteResponse{}, Do: (*commandAPI).codeRun,
	},
	{
		Method: "POST", Path: "/process/execute",
		Summary: "Run a command and wait for it",
		In:      api.ExecuteRequest{}, Out: api.ExecuteResponse{}, Do: (*commandAPI).execute,
	},
	{
		Method: "GET", Path: "/process/execute/connect", Status: 101,
		Summary: "Run a command with its streams on a websocket", Do: (*commandAPI).connectCommand,
	},
}

// execute handles POST /process/execute. A caller that goes away does not end the command: SDK deadlines end the wait
// alone. A request with the header Idempotency-Key is run once: a second one of the same key gets the first one's
// answer.
func (a *commandAPI) execute(c *gin.Context) error {
	var req api.ExecuteRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	return a.answerRun(c, req, req.Split, process.Spec{
		Script: req.Command, Dir: req.Cwd, Env: req.Envs, Timeout: req.Timeout.Duration(), User: req.User,
		Streams: process.Capture{Split: req.Split},
	})
}

// codeRun handles POST /process/code-run, as execute does its own.
func (a *commandAPI) codeRun(c *gin.Context) error {
	var req api.CodeRunRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	program, err := a.interpreters.Prepare(interpreter.Program{
		Language: req.Language, Source: req.Code, Argv: req.Argv, Env: req.Envs, Split: req.Split,
	})
	if err != nil {
		return err
	}
	defer program.Close()
	spec := program.Spec
	spec.Timeout, spec.User = req.Timeout.Duration(), req.User
	return a.answerRun(c, req, req.Split, spec)
}

// answerRun runs spec, which was made of a request's body, and streams its answer.
func (a *commandAPI) answerRun(c *gin.Context, body any, split bool, spec process.Spec) error {
	ctx := context.WithoutCancel(c.Request.Context())
	run := func() (process.Result, error) { return a.processes.Run(ctx, spec) }
	var res process.Result
	var err error
	if key := c.GetHeader("Idempotency-Key"); key != "" {
		res, err = a.runs.Run(ctx, key, body, run)
	} else {
		res, err = run()
	}
	if err != nil {
		return err
	}
	defer res.Discard()
	return writeRun(c, res, spec.Timeout, split)
}

// writeRun streams the answer of a run, an api.ExecuteResponse; after a timeout it is the error body with the same
// fields.
func writeRun(c *gin.Context, res process.Result, timeout time.Duration, split bool) error {
	head, status := []byte("{"), http.StatusOK
	if res.TimedOut {
		body := serve.NewBody(Source, c.Request, fault.Codef(fault.Timeout, "PROCESS_EXECUTION_TIMEOUT",
			"the command ran longer than its timeout of %d s; it was ended with all its processes, "+
				"and its output up to then is in result", timeout/time.Second))
		status = body.StatusCode
		data, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("execute: %w", err)
		}
		head = append(bytes.TrimSuffix(data, []byte("}")), ',')
	}
	facts, err := json.Marshal(runFacts(res))
	if err != nil {
		return fmt.Errorf("execute: %w", err)
	}
	return stream(c, status, jsonType, func(w *bufio.Writer) error {
		_, _ = w.Write(head)
		_, _ = fmt.Fprintf(w, `"exitCode":%d,`, res.ExitCode)
		err := outputText{}.writeMember(w, "result", res.Output.Snapshot(0))
		if split {
			_ = w.WriteByte(',')
			err = errors.Join(err, outputText{stream: journal.Stdout}.writeMember(w, "stdout", res.Output.Snapshot(0)))
			_ = w.WriteByte(',')
			err = errors.Join(err, outputText{stream: journal.Stderr}.writeMember(w, "stderr", res.Output.Snapshot(0)))
		}
		_ = w.WriteByte(',')
		err = errors.Join(err, writeArtifacts(w, res.Output.Snapshot(0)))
		_, _ = w.Write(facts[1:])
		return err
	})
}

// facts is api.ExecuteResponse without what answerRun streams.
type facts struct {
	Signal       string  `json:"signal,omitempty"`
	TimedOut     bool    `json:"timedOut,omitempty"`
	Background   bool    `json:"background,omitempty"`
	Truncated    bool    `json:"truncated,omitempty"`
	DroppedBytes int64   `json:"droppedBytes,omitempty"`
	WallMs       float64 `json:"wallMs"`
	CPUMs        float64 `json:"cpuMs"`
	PeakRSSBytes int64   `json:"peakRssBytes,omitempty"`

	OutOfMemory *api.OutOfMemory `json:"outOfMemory,omitempty"`
}

func runFacts(res process.Result) facts {
	dropped := res.Output.Dropped()
	return facts{
		Signal: res.Signal, TimedOut: res.TimedOut, Background: res.Lingering, Truncated: dropped > 0, DroppedBytes: dropped,
		WallMs: milliseconds(res.Wall), CPUMs: milliseconds(res.CPU), PeakRSSBytes: res.PeakRSS,
		OutOfMemory: wireOutOfMemory(res.OutOfMemory),
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
