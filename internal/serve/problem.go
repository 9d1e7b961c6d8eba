package serve

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/logkey"
)

// Body is the error body of every answer with a status of 400 or more (docs/wire.md, "Errors and answers"). Clients
// choose their exception class by Source and Code, else by StatusCode, which always equals the HTTP status. Error is
// the status in words and a string, never an object: one client refuses anything else.
type Body struct {
	StatusCode int       `json:"statusCode"`
	Message    string    `json:"message"`
	Error      string    `json:"error"`
	Code       string    `json:"code"`
	Source     string    `json:"source"`
	Timestamp  time.Time `json:"timestamp"`
	Path       string    `json:"path"`
	Method     string    `json:"method"`
	Retryable  bool      `json:"retryable"`
}

type answer struct {
	status int
	code   string
}

var answers = map[fault.Kind]answer{
	fault.Unknown:         {http.StatusInternalServerError, "INTERNAL_SERVER_ERROR"},
	fault.Internal:        {http.StatusInternalServerError, "INTERNAL_SERVER_ERROR"},
	fault.Invalid:         {http.StatusBadRequest, "BAD_REQUEST"},
	fault.Unauthenticated: {http.StatusUnauthorized, "UNAUTHORIZED"},
	fault.Forbidden:       {http.StatusForbidden, "FORBIDDEN"},
	fault.NotFound:        {http.StatusNotFound, "NOT_FOUND"},
	fault.Conflict:        {http.StatusConflict, "CONFLICT"},
	fault.Gone:            {http.StatusGone, "GONE"},
	fault.Unprocessable:   {http.StatusUnprocessableEntity, "UNPROCESSABLE_ENTITY"},
	fault.Timeout:         {http.StatusRequestTimeout, "REQUEST_TIMEOUT"},
	fault.TooLarge:        {http.StatusRequestEntityTooLarge, "PAYLOAD_TOO_LARGE"},
	fault.Limited:         {http.StatusTooManyRequests, "TOO_MANY_REQUESTS"},
	fault.Unavailable:     {http.StatusServiceUnavailable, "SERVICE_UNAVAILABLE"},
	fault.Full:            {http.StatusInsufficientStorage, "INSUFFICIENT_STORAGE"},
	fault.Upstream:        {http.StatusBadGateway, "BAD_GATEWAY"},
	fault.NotBuilt:        {http.StatusNotImplemented, "NOT_BUILT"},
	fault.BadRange:        {http.StatusRequestedRangeNotSatisfiable, "RANGE_NOT_SATISFIABLE"},
	fault.Stale:           {http.StatusPreconditionFailed, "PRECONDITION_FAILED"},
}

// NewBody describes err, as the server called source would answer it to r.
func NewBody(source string, r *http.Request, err error) Body {
	kind := fault.KindOf(err)
	a := answers[kind]
	b := Body{
		StatusCode: a.status, Message: err.Error(), Error: http.StatusText(a.status), Code: a.code, Source: source,
		Timestamp: time.Now().UTC(), Path: r.URL.Path, Method: r.Method, Retryable: fault.Retryable(err),
	}
	if code := fault.CodeOf(err); code != "" {
		b.Code = code
	}
	if kind == fault.Unknown {
		b.Message = "something went wrong on our side; the server's log has the whole error under this path and time"
	}
	if len(b.Message) > maxMessage {
		b.Message = strings.ToValidUTF8(b.Message[:maxMessage], "") + "…"
	}
	return b
}

// Problem answers err: status and Body. An answer that has begun cannot be changed any more: then the connection is
// broken off, so that nobody takes a part for the whole.
func (f *Face) Problem(c *gin.Context, err error) {
	if left(c.Request, err) {
		panic(http.ErrAbortHandler) // the client has left, or the server is stopping: nobody is there to be told
	}
	b := NewBody(f.Source, c.Request, err)
	logged := f.Note(c.Request, err)
	if c.Writer.Written() {
		if !logged {
			f.Logger.Warn("answer broken off", logkey.Method, b.Method, logkey.Path, b.Path, logkey.Err, err)
		}
		panic(http.ErrAbortHandler)
	}
	c.JSON(b.StatusCode, b)
}

// left tells that err is the end of a request whose client has left, or whose server is stopping.
func left(r *http.Request, err error) bool {
	return errors.Is(err, context.Canceled) && r.Context().Err() != nil
}

// Note logs err if no caller is to blame for it, and reports whether it did: as an error what is answered with 500,
// as a warning what is down, wanting or full. Problem does so itself; Note is for errors that are told inside of
// another answer.
func (f *Face) Note(r *http.Request, err error) bool {
	level := slog.LevelWarn
	if left(r, err) {
		return false
	}
	switch answers[fault.KindOf(err)].status {
	case http.StatusInternalServerError:
		level = slog.LevelError
	case http.StatusServiceUnavailable, http.StatusInsufficientStorage:
	default:
		return false
	}
	f.Logger.Log(r.Context(), level, "request failed",
		logkey.Method, r.Method, logkey.Path, Cut(r.URL.Path, MaxWords), logkey.Err, err)
	return true
}

// maxMessage bounds the message of a Body, in bytes: it may quote what the caller has sent.
const maxMessage = 8 << 10

// Answer writes b where there is no gin. What is left of the request's body has 5 s to come.
func Answer(w http.ResponseWriter, b Body) {
	// An error means that there is no connection, and then nothing can stall.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(5 * time.Second))
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(b.StatusCode)
	_ = json.NewEncoder(w).Encode(b) // the caller is gone: nothing to tell it
}

// Face is what the routes of one server have in common.
type Face struct {
	Source string       // who says it in error bodies: DAYTONA_API, DAYTONA_DAEMON or DAYTONA_PROXY
	Logger *slog.Logger // required
	Bodies Bodies       // of JSON requests
}
