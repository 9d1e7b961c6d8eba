package process

import (
	"context"
	"encoding/binary"
	"io"
	"sort"
	"sync"

	"golang.org/x/sys/unix"
)

// Stream names an output stream. A process without Spec.Split writes everything as Stdout.
type Stream uint8

// The streams.
const (
	Stdout Stream = 1
	Stderr Stream = 2
)

// Limits bound what a Journal keeps. Beyond both, the oldest bytes go first.
type Limits struct {
	Memory int64 // bytes in memory; 0 means 1 MiB; at least 128 KiB is kept
	File   int64 // bytes in an unlinked file; 0 means 256 MiB, less than 0 no file
}

const (
	blockSize  = 64 << 10  // of a block in memory, and of a slot of the spool
	headerSize = 4         // stream in the top byte, length in the others
	minRead    = 4 << 10   // a block with less room than this is full
	tiny       = 2 << 10   // a settled block up to this size stays in memory
	maxRecord  = 1<<24 - 1 // never reached: a record stays within its block
)

var blocks = sync.Pool{New: func() any { return new([blockSize]byte) }}

func newBlock() []byte { return blocks.Get().(*[blockSize]byte)[:] }

func freeBlock(b []byte) {
	if cap(b) == blockSize {
		blocks.Put((*[blockSize]byte)(b[:blockSize]))
	}
}

// Journal is the output of one process: both streams, byte-exact, in the order of arrival.
//
// Offsets count the bytes of both streams together from 0 and never change; what was dropped keeps its offsets. There is any number of
// readers, each at its own pace: none slows the writer or another reader. It is safe for concurrent use.
type Journal struct {
	limits Limits
	spool  *spool
	own    bool // the spool is this journal's alone

	write sync.Mutex // held while appending; taken before mu

	mu      sync.Mutex
	blocks  []block // oldest first, the last one is being filled
	inMem   int     // blocks with buf set; these are the newest
	last    int     // where the newest record's header is in the newest block; less than 0 for none
	start   int64   // offset of the oldest byte kept
	end     int64   // offset behind the newest byte
	total   [3]int64
	closed  bool
	changed chan struct{}
}

// block is a run of records, in memory or in a slot of the spool. A record is a header and its bytes.
type block struct {
	first int64  // offset of its first byte
	bytes int64  // of output, without headers
	used  int    // bytes with headers
	buf   []byte // nil when in the spool
	slot  int
}

// NewJournal returns an empty Journal with a file of its own.
func NewJournal(l Limits) *Journal {
	j := newJournal(l, newSpool(0))
	j.own = true
	return j
}

func newJournal(l Limits, s *spool) *Journal {
	if l.Memory == 0 {
		l.Memory = 1 << 20
	}
	if l.File == 0 {
		l.File = 256 << 20
	}
	return &Journal{limits: l, spool: s}
}

// Append adds data to a stream. After Close it does nothing.
func (j *Journal) Append(s Stream, data []byte) {
	j.write.Lock()
	defer j.write.Unlock()
	for len(data) > 0 {
		room := j.room(s)
		if room == nil {
			return
		}
		n := copy(room, data)
		j.commit(s, n)
		data = data[n:]
	}
}

// Fill reads once from a descriptor, at most 64 KiB. n is 0 at the end of the stream, and -1 without an error when the journal is closed
// and nothing was read.
func (j *Journal) Fill(s Stream, fd int) (n int, err error) {
	j.write.Lock()
	defer j.write.Unlock()
	room := j.room(s)
	if room == nil {
		return -1, nil
	}
	n, err = ignoringEINTR(func() (int, error) { return unix.Read(fd, room) })
	if n > 0 {
		j.commit(s, n)
	}
	return n, err
}

// room returns where the next bytes of s go, nil after Close. The caller holds write, and commits before it calls again.
func (j *Journal) room(s Stream) []byte {
	if j.closed { // written under both locks, so reading under one is safe; the same holds for blocks
		return nil
	}
	if n := len(j.blocks); n == 0 || blockSize-j.blocks[n-1].used < minRead+headerSize {
		j.spill()
		b := block{first: j.end, buf: newBlock()}
		j.mu.Lock()
		j.blocks = append(j.blocks, b)
		j.inMem++
		j.last = -1
		j.mu.Unlock()
	}
	b := &j.blocks[len(j.blocks)-1]
	if j.grows(b, s) {
		return b.buf[b.used:]
	}
	return b.buf[b.used+headerSize:]
}

// grows reports whether bytes of s become a part of the newest record.
func (j *Journal) grows(b *block, s Stream) bool {
	return j.last >= 0 && Stream(b.buf[j.last+headerSize-1]) == s
}

// commit takes the n bytes that were put into room(s).
func (j *Journal) commit(s Stream, n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	b := &j.blocks[len(j.blocks)-1]
	if j.grows(b, s) {
		h := b.buf[j.last:]
		binary.LittleEndian.PutUint32(h, binary.LittleEndian.Uint32(h)+uint32(n))
	} else {
		j.last = b.used
		binary.LittleEndian.PutUint32(b.buf[b.used:], uint32(s)<<24|uint32(n))
		b.used += headerSize
	}
	b.used += n
	b.bytes += int64(n)
	j.end += int64(n)
	j.total[s] += int64(n)
	j.wakeLocked()
}

func (j *Journal) wakeLocked() {
	if j.changed != nil {
		close(j.changed)
		j.changed = nil
	}
}

// spill moves the oldest blocks in memory to the spool until there is room for one more. The caller holds write.
func (j *Journal) spill() {
	for most := max(int(j.limits.Memory/blockSize), 2); j.inMem >= most; {
		j.spillOldest()
	}
}

func (j *Journal) spillOldest() {
	b := j.blocks[len(j.blocks)-j.inMem]
	slot := j.save(b.buf[:b.used])
	j.mu.Lock()
	i := len(j.blocks) - j.inMem // saving may have dropped older ones
	j.blocks[i].buf, j.blocks[i].slot = nil, slot
	j.inMem--
	if slot < 0 { // nothing could be kept: all up to here is lost, since a journal has no holes
		j.dropLocked(i + 1)
	}
	j.mu.Unlock()
	freeBlock(b.buf)
}

// save writes a block to the spool, at the cost of this journal's oldest ones there when the journal or the spool is full. It returns
// -1 when that did not help either.
func (j *Journal) save(data []byte) int {
	for {
		inFile := len(j.blocks) - j.inMem
		if int64(inFile+1)*blockSize <= j.limits.File {
			if slot := j.spool.put(data); slot >= 0 {
				return slot
			}
		}
		if inFile == 0 {
			return -1
		}
		j.mu.Lock()
		j.dropLocked(1)
		j.mu.Unlock()
	}
}

// dropLocked forgets the n oldest blocks, none of which is in memory.
func (j *Journal) dropLocked(n int) {
	for _, b := range j.blocks[:n] {
		j.start = max(j.start, b.first+b.bytes)
		if b.slot >= 0 {
			j.spool.free(b.slot)
		}
	}
	j.blocks = j.blocks[n:]
}

// Settle closes the journal and keeps what is there in as little memory as it can.
func (j *Journal) Settle() {
	j.Close()
	j.write.Lock()
	defer j.write.Unlock()
	for j.inMem > 0 && j.blocks[len(j.blocks)-j.inMem].used > tiny && j.limits.File >= blockSize {
		j.spillOldest()
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := len(j.blocks) - j.inMem; i < len(j.blocks); i++ {
		b := &j.blocks[i]
		was := b.buf
		b.buf = append([]byte(nil), was[:b.used]...)
		freeBlock(was)
	}
}

// Close says that no more will come: readers end with io.EOF behind the last byte. What is kept stays readable until Discard.
func (j *Journal) Close() {
	j.write.Lock()
	defer j.write.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
	j.wakeLocked()
}

// Discard closes the journal and gives up what it keeps. Readers behind it see the rest as skipped.
func (j *Journal) Discard() {
	j.write.Lock()
	defer j.write.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := len(j.blocks) - j.inMem; i < len(j.blocks); i++ {
		freeBlock(j.blocks[i].buf)
		j.blocks[i].slot = -1
	}
	j.dropLocked(len(j.blocks))
	j.closed, j.inMem, j.start = true, 0, j.end
	if j.own {
		j.spool.close()
	}
	j.wakeLocked()
}

// Size tells what was written so far, in bytes: to one stream, or to both together for stream 0.
func (j *Journal) Size(s Stream) int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	if s == 0 {
		return j.end
	}
	return j.total[s]
}

// Dropped tells how many of the oldest bytes are no longer there.
func (j *Journal) Dropped() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.start
}

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

// Next returns the next run of bytes, at most 64 KiB. It returns io.EOF behind the last byte, and ctx's cause when ctx ends first.
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

// fetch copies the part of the journal that r.off is in. It returns the bytes that were dropped before it, or a channel to wait on.
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

// load copies a block from the spool, without keeping the writer waiting. It reports whether the block is still the same.
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

func ignoringEINTR(f func() (int, error)) (int, error) {
	for {
		if n, err := f(); err != unix.EINTR { // a bare errno
			return n, err
		}
	}
}
