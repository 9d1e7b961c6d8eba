package toolbox

import (
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sandlot-dev/sandlot/workspace"
)

// listing streams a JSON list whose elements are written by hand: encoding by reflection costs more than finding
// them, and a long list is never whole in memory. The answer begins with the first full buffer, so an error before
// that still gets its own status.
type listing struct {
	c      *gin.Context
	buf    *[]byte
	tail   string
	filled bool // an element has been added
}

var listBufs = sync.Pool{New: func() any { b := make([]byte, 0, 64<<10); return &b }}

func newListing(c *gin.Context, head, tail string) *listing {
	l := &listing{c: c, buf: listBufs.Get().(*[]byte), tail: tail}
	*l.buf = append((*l.buf)[:0], head...)
	return l
}

// add appends one element.
func (l *listing) add(element func([]byte) []byte) error {
	b := *l.buf
	if l.filled {
		b = append(b, ',')
	}
	l.filled = true
	b = element(b)
	*l.buf = b
	if len(b) < 48<<10 {
		return nil
	}
	return l.flush()
}

func (l *listing) flush() error {
	if !l.c.Writer.Written() {
		l.c.Header("Content-Type", jsonType)
		l.c.Status(http.StatusOK)
	}
	_, err := l.c.Writer.Write(*l.buf)
	*l.buf = (*l.buf)[:0]
	return err
}

// end closes the list. With an err it leaves the list open and returns err, so that the answer is broken off.
func (l *listing) end(err error) error {
	if err == nil {
		*l.buf = append(*l.buf, l.tail...)
		err = l.flush()
	}
	if cap(*l.buf) <= 256<<10 {
		listBufs.Put(l.buf)
	}
	return err
}

// infoEncoder writes api.FileInfo objects and remembers what neighbours in a list have in common.
type infoEncoder struct {
	second      int64 // since 1970, of the times below
	goTime      []byte
	goZone      []byte
	rfcTime     []byte
	rfcZone     []byte
	mode        fs.FileMode
	modeText    []byte
	permissions [4]byte
}

func (e *infoEncoder) append(b []byte, i *workspace.Info) []byte {
	b = append(b, `{"name":`...)
	name := len(b) + 1
	b = appendString(b, i.Name)
	end := len(b)
	b = appendString(append(b, `,"path":`...), i.Dir)
	if b = b[:len(b)-1]; i.Dir != "" && !strings.HasSuffix(i.Dir, "/") {
		b = append(b, '/')
	}
	b = append(b, b[name:end]...)
	b = strconv.AppendInt(append(b, `,"size":`...), i.Size, 10)
	if e.modeText == nil || i.Mode != e.mode {
		e.mode, e.modeText = i.Mode, []byte(i.Mode.String())
		for n := range e.permissions {
			e.permissions[3-n] = byte('0' + i.Mode.Perm()>>(3*n)&7)
		}
	}
	b = append(append(b, `,"mode":"`...), e.modeText...)
	if s := i.ModTime.Unix(); e.goTime == nil || s != e.second {
		e.second = s
		whole := i.ModTime.Truncate(time.Second)
		e.goTime = whole.AppendFormat(e.goTime[:0], "2006-01-02 15:04:05")
		e.goZone = whole.AppendFormat(e.goZone[:0], " -0700 MST")
		e.rfcTime = whole.AppendFormat(e.rfcTime[:0], "2006-01-02T15:04:05")
		e.rfcZone = whole.AppendFormat(e.rfcZone[:0], "Z07:00")
	}
	nano := i.ModTime.Nanosecond()
	b = appendFraction(append(append(b, `","modTime":"`...), e.goTime...), nano)
	b = append(append(append(b, e.goZone...), `","modifiedAt":"`...), e.rfcTime...)
	b = append(appendFraction(b, nano), e.rfcZone...)
	b = strconv.AppendBool(append(b, `","isDir":`...), i.Mode.IsDir())
	b = strconv.AppendUint(append(b, `,"owner":"`...), uint64(i.UID), 10)
	b = strconv.AppendUint(append(b, `","group":"`...), uint64(i.GID), 10)
	b = append(append(b, `","permissions":"`...), e.permissions[:]...)
	return append(b, `"}`...)
}

// appendFraction appends nanoseconds as a fraction without zeros at its end, nothing for 0.
func appendFraction(b []byte, nano int) []byte {
	if nano == 0 {
		return b
	}
	var digits [10]byte
	digits[0] = '.'
	for n := 9; n > 0; n-- {
		digits[n] = byte('0' + nano%10)
		nano /= 10
	}
	end := len(digits)
	for digits[end-1] == '0' {
		end--
	}
	return append(b, digits[:end]...)
}
