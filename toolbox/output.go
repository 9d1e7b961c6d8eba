package toolbox

import (
	"bufio"
	"context"
	"errors"
	"io"
	"sync"

	"github.com/gin-gonic/gin"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/process"
	"github.com/sandlot-dev/sandlot/process/journal"
)

const (
	jsonType = "application/json; charset=utf-8"
	textType = "text/plain; charset=utf-8"
)

// writers are the buffers of answers that are too long to be built in memory.
var writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, 32<<10) }}

// stream sends what write writes as an answer. Errors of the writer stay in it, and stream returns them.
func stream(c *gin.Context, status int, contentType string, write func(*bufio.Writer) error) error {
	w := writers.Get().(*bufio.Writer)
	defer writers.Put(w)
	w.Reset(c.Writer)
	c.Header("Content-Type", contentType)
	c.Status(status)
	return errors.Join(write(w), w.Flush())
}

// outputText is the output of a command as one text.
type outputText struct {
	stream journal.Stream // whose bytes it has; 0 means both, in order of arrival
	marked bool           // a marker stands wherever the stream changes
}

// writeTo passes the text of what r reads to write. Where bytes were dropped, a notice stands in their place.
func (o outputText) writeTo(r *journal.Reader, write func([]byte)) error {
	last := journal.Stream(0)
	return eachChunk(r, func(c journal.Chunk) error {
		if o.marked && c.Stream != last && c.Stream != 0 {
			last = c.Stream
			write([]byte(markers[last]))
		}
		if c.Skipped > 0 {
			write(journal.DroppedNotice(c.Skipped))
		}
		if o.stream == 0 && c.Stream != journal.Events || c.Stream == o.stream {
			write(c.Data)
		}
		return nil
	})
}

// writeMember writes the text of what r reads as a member of a JSON object.
func (o outputText) writeMember(w *bufio.Writer, name string, r *journal.Reader) error {
	_, _ = w.WriteString(`"` + name + `":"`)
	s := stringWriter{w: w}
	err := o.writeTo(r, s.write)
	s.end()
	_ = w.WriteByte('"')
	return err
}

// eachChunk passes each chunk of a snapshot to each and closes r.
func eachChunk(r *journal.Reader, each func(journal.Chunk) error) error {
	defer r.Close()
	for {
		chunk, err := r.Next(context.Background()) // a snapshot never waits
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := each(chunk); err != nil {
			return err
		}
	}
}

func wireOutOfMemory(o *process.OutOfMemory) *api.OutOfMemory {
	if o == nil {
		return nil
	}
	return &api.OutOfMemory{PeakBytes: o.Peak, LimitBytes: o.Limit, Message: o.String()}
}
