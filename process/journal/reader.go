package journal

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"sort"
)

// Chunk is a run of bytes of one stream.
type Chunk struct {
	Stream  Stream
	Offset  int64  // of the first byte of Data
	Data    []byte // valid until the reader's next call
	Skipped int64  // bytes before Offset that the reader asked for and that were dropped
}

// Reader reads a Journal from an offset on. It is for one goroutine.
type Reader struct {
	j     *Journal
	off   int64 // next byte to give
	until int64 // end of a snapshot; less than 0 follows

	first int64 // first offset of the block that pos and skip refer to; less than 0 for none
	pos   int   // of the next record's header in that block
	skip  int   // bytes of that record that were given
	buf   []byte
	have  []byte // part of buf: copy of the block from pos on
}

// Snapshot returns a Reader over what is there now, from an offset on.
func (j *Journal) Snapshot(from int64) *Reader { return j.Until(from, j.Size(0)) }

// Until returns a Reader over what is between two offsets, all of it written already.
func (j *Journal) Until(from, to int64) *Reader {
	return &Reader{j: j, off: max(from, 0), until: max(to, 0), first: -1}
}

// Follow returns a Reader from an offset on that waits for more until the journal is closed.
func (j *Journal) Follow(from int64) *Reader {
	return &Reader{j: j, off: max(from, 0), until: -1, first: -1}
}

// Close gives up the reader's buffer.
func (r *Reader) Close() {
	if r.buf != nil {
		freeBlock(r.buf)
		r.buf, r.have, r.first = nil, nil, -1
	}
}

// Next returns the next run of bytes, at most 64 KiB. Errors: io.EOF behind the last byte, ctx's cause when ctx ends
// first.
func (r *Reader) Next(ctx context.Context) (Chunk, error) {
	var skipped int64
	for {
		if c, ok := r.parse(); ok {
			c.Skipped = skipped
			return c, nil
		}
		if r.until >= 0 && r.off >= r.until {
			if skipped > 0 {
				return Chunk{Offset: r.off, Skipped: skipped}, nil
			}
			return Chunk{}, io.EOF
		}
		lost, wait, err := r.fetch()
		skipped += lost
		if err != nil && skipped > 0 {
			return Chunk{Offset: r.off, Skipped: skipped}, nil
		}
		if err != nil {
			return Chunk{}, err
		}
		if wait != nil {
			select {
			case <-wait:
			case <-ctx.Done():
				return Chunk{}, context.Cause(ctx)
			}
		}
	}
}

// parse takes the next record, or what is left of it, from the copy.
func (r *Reader) parse() (Chunk, bool) {
	for len(r.have) >= headerSize {
		h := binary.LittleEndian.Uint32(r.have)
		size := int(h & maxRecord)
		data := r.have[headerSize : headerSize+size]
		if r.skip < size {
			data = data[r.skip:]
			if r.until >= 0 {
				data = data[:min(int64(len(data)), r.until-r.off)]
			}
			c := Chunk{Stream: Stream(h >> 24), Offset: r.off, Data: data}
			r.skip += len(data)
			r.off += int64(len(data))
			return c, len(data) > 0
		}
		if len(r.have) == headerSize+size {
			break // the newest record may still grow: stay on it
		}
		r.pos += headerSize + size
		r.have = r.have[headerSize+size:]
		r.skip = 0
	}
	r.have = nil
	return Chunk{}, false
}

// fetch copies the part of the journal that r.off is in. It returns how many bytes were dropped before it, or a channel
// to wait on.
func (r *Reader) fetch() (lost int64, wait <-chan struct{}, err error) {
	j := r.j
	j.mu.Lock()
	defer j.mu.Unlock()
	if r.off < j.start {
		lost = j.start - r.off
		r.off, r.first = j.start, -1
	}
	if r.off >= j.end {
		if j.closed {
			return lost, nil, io.EOF
		}
		if j.changed == nil {
			j.changed = make(chan struct{})
		}
		return lost, j.changed, nil
	}
	i := sort.Search(len(j.blocks), func(i int) bool { return j.blocks[i].first > r.off }) - 1
	b := j.blocks[i]
	if r.first != b.first {
		r.first, r.pos, r.skip = b.first, 0, 0
	}
	if r.buf == nil {
		r.buf = newBlock()
	}
	if b.buf != nil {
		r.have = r.buf[:copy(r.buf, b.buf[r.pos:b.used])]
	} else if !r.load(b) {
		return lost, nil, nil // dropped meanwhile: try again
	}
	r.seek(b)
	return lost, nil, nil
}

// load copies a block from the spool. It gives up the lock for that time, so that the writer need not wait, and reports
// whether the block is still the same.
func (r *Reader) load(b block) bool {
	j := r.j
	j.mu.Unlock()
	n, err := j.spool.get(b.slot, r.buf[:b.used-r.pos], r.pos)
	j.mu.Lock()
	if j.start > b.first {
		return false
	}
	if err != nil { // the disk cannot be read: what the block held is lost
		j.start = b.first + b.bytes
		return false
	}
	r.have = r.buf[:n]
	return true
}

// seek moves from the start of a block to r.off.
func (r *Reader) seek(b block) {
	if r.pos != 0 || r.skip != 0 {
		return
	}
	for at := b.first; ; {
		size := int(binary.LittleEndian.Uint32(r.have) & maxRecord)
		if at+int64(size) > r.off {
			r.skip = int(r.off - at)
			return
		}
		at += int64(size)
		r.pos += headerSize + size
		r.have = r.have[headerSize+size:]
	}
}

// DroppedNotice is the line that stands in a text where n bytes of output are missing.
func DroppedNotice(n int64) []byte {
	return fmt.Appendf(nil, "[sandlot: %d bytes of output were dropped here; the limit of what is kept was reached]\n", n)
}
