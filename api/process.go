package api

import (
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// Seconds is a whole number of seconds, 0 or more; 10.0 is taken for 10, as one client sends it.
type Seconds int64

// UnmarshalJSON refuses fractions, negative numbers and more than 30 years.
func (s *Seconds) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	var f float64
	if err := json.Unmarshal(data, &f); err != nil || f != math.Trunc(f) || f < 0 || f > 1e9 {
		return fmt.Errorf("timeout must be a whole number of seconds from 0 (no limit) to 1000000000, not %s", data)
	}
	*s = Seconds(f)
	return nil
}

// Duration converts s.
func (s Seconds) Duration() time.Duration { return time.Duration(s) * time.Second }

// ExecuteRequest is the body of POST /process/execute.
type ExecuteRequest struct {
	Command string            `json:"command" binding:"required"` // a shell script of any number of lines
	Cwd     string            `json:"cwd,omitempty"`              // default: the work dir; a relative one starts there
	Envs    map[string]string `json:"envs,omitempty"`
	Timeout Seconds           `json:"timeout,omitempty"` // 0 means no limit
	Split   bool              `json:"split,omitempty"`   // Sandlot: answer stdout and stderr apart, too
	// Sandlot: User is who runs the command. Default: the toolbox's user. Only root may give another.
	User string `json:"user,omitempty"`
}

// CodeRunRequest is the body of POST /process/code-run.
type CodeRunRequest struct {
	Code     string            `json:"code" binding:"required"`
	Language string            `json:"language" binding:"required,oneof=python javascript typescript"`
	Argv     []string          `json:"argv,omitempty"` // passed verbatim
	Envs     map[string]string `json:"envs,omitempty"`
	Timeout  Seconds           `json:"timeout,omitempty"` // 0 means no limit
	Split    bool              `json:"split,omitempty"`   // Sandlot: answer stdout and stderr apart, too
	User     string            `json:"user,omitempty"`    // Sandlot: as in ExecuteRequest
}

// ExecuteResponse answers both. Bytes that are not UTF-8 come as U+FFFD. Fields after Result are Sandlot's own; they
// are also part of the error body of a timeout (408), with the output up to then.
type ExecuteResponse struct {
	ExitCode int    `json:"exitCode"` // 128+n after signal n; -1 when nothing could be started
	Result   string `json:"result"`   // stdout and stderr in the order they were written; in that of arrival with split

	Stdout   *string `json:"stdout,omitempty"` // with split alone
	Stderr   *string `json:"stderr,omitempty"` // with split alone
	Signal   string  `json:"signal,omitempty"` // SIGKILL and so on, when a signal ended the command
	TimedOut bool    `json:"timedOut,omitempty"`
	// Background: a background child still had the output open when the answer was sent.
	Background   bool    `json:"background,omitempty"`
	Truncated    bool    `json:"truncated,omitempty"`    // the oldest output is missing
	DroppedBytes int64   `json:"droppedBytes,omitempty"` // how much of it
	WallMs       float64 `json:"wallMs"`
	CPUMs        float64 `json:"cpuMs"` // user and system
	// PeakRSSBytes is that of the largest process; absent if it is too small to be told from the daemon's own.
	PeakRSSBytes int64 `json:"peakRssBytes,omitempty"`

	Artifacts *Artifacts `json:"artifacts,omitempty"` // of code-run: what it showed, if anything

	OutOfMemory *OutOfMemory `json:"outOfMemory,omitempty"` // it, or the last command of its script, was killed for memory
}

// OutOfMemory says that the kernel killed a command, whose exit code is 137, because the sandbox's memory was full.
type OutOfMemory struct {
	// PeakBytes is the most that the whole sandbox has used since its start; absent where the kernel does not tell.
	PeakBytes  int64  `json:"peakBytes,omitempty"`
	LimitBytes int64  `json:"limitBytes"` // what it may use
	Message    string `json:"message"`    // the same for people
}
