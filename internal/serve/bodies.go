package serve

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

// Bodies bounds the JSON bodies that a server has in memory: each of them, all at once, and how long one may take to
// come. The zero value has the defaults.
type Bodies struct {
	Each   int64         // bytes of one; 0 means 1 MiB
	All    int64         // bytes of all that are being read and worked on; 0 means 32 MiB
	Within time.Duration // from the first look at a body to its end; 0 means 30 s

	held atomic.Int64
}

// uncounted bytes of each body are not held against All, so that what is common goes on while large ones have used it
// up.
const uncounted = 16 << 10

const defaultWithin = 30 * time.Second

const bodiesKey = "bodies" // of the face's Bodies in a request

var defaultBodies = &Bodies{}

// read takes a whole body. Its memory counts as held until release is called, also after an error. Errors:
// fault.TooLarge over Each, fault.Unavailable when All is used up, fault.Timeout when it does not come Within,
// fault.Invalid when it breaks off.
func (b *Bodies) read(c *gin.Context) (body []byte, release func(), err error) {
	each, all, within := orDefault(b.Each, 1<<20), orDefault(b.All, 32<<20), orDefault(b.Within, defaultWithin)
	var held int64
	release = func() { b.held.Add(-held) }
	// A server that cannot set deadlines, as in tests of handlers, waits as long as the body takes.
	control := http.NewResponseController(c.Writer)
	if control.SetReadDeadline(time.Now().Add(within)) == nil {
		defer func() {
			if err == nil {
				_ = control.SetReadDeadline(time.Time{}) // it was set a moment ago
			}
		}()
	}
	source := http.MaxBytesReader(nil, c.Request.Body, each)
	first := 4 << 10
	if told := c.Request.ContentLength; told >= 0 && told < int64(first) {
		first = int(told) + 1 // the last read finds the end
	}
	for {
		if len(body) == cap(body) {
			grown := make([]byte, len(body), max(first, 2*cap(body)))
			if grow := int64(cap(grown) - max(cap(body), uncounted)); grow > 0 {
				held += grow
				if b.held.Add(grow) > all {
					return nil, release, fault.New(fault.Unavailable,
						"too many large request bodies are on their way at once; try again in a moment")
				}
			}
			copy(grown, body)
			body = grown
		}
		n, err := source.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		tooBig := (*http.MaxBytesError)(nil)
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return body, release, nil
		case errors.As(err, &tooBig):
			return nil, release, fault.Newf(fault.TooLarge,
				"the JSON body is over %d MiB; stream large content through the file endpoints", each>>20)
		case errors.Is(err, os.ErrDeadlineExceeded):
			c.Header("Connection", "close") // the rest of the body may still come
			return nil, release, fault.Newf(fault.Timeout, "the body did not come within %v", within)
		default:
			return nil, release, badBody("the body could not be read to its end: %v", err)
		}
	}
}

// Hurry gives the body of every request Bodies.Within to come, whether its route reads it or not: net/http answers
// only when it has read what is left of a small body. It is middleware for servers of which no route takes a stream.
func (f *Face) Hurry(c *gin.Context) {
	if c.Request.ContentLength != 0 {
		within := orDefault(f.Bodies.Within, defaultWithin)
		// An error means that there is no connection, and then nothing can stall.
		_ = http.NewResponseController(c.Writer).SetReadDeadline(time.Now().Add(within))
	}
}

func orDefault[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
