package journal

import (
	"encoding/binary"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/linux"
)

// Stream names an output stream. Output of both streams through one pipe is Stdout.
type Stream uint8

// The streams.
const (
	Stdout Stream = 1
	Stderr Stream = 2
	Events Stream = 3 // what is beside the output, in its place among it: messages, attachments
)

// Limits bound what a Journal keeps. Beyond both, the oldest bytes go first.
type Limits struct {
	Memory int64 // bytes in memory; 0 means 1 MiB; at least 128 KiB is kept
	File   int64 // bytes in the spool; 0 means 256 MiB, less than 0 none
}

const (
	blockSize  = 64 << 10  // of a block in memory, and of a slot of the spool
	headerSize = 4         // stream in the top byte, length in the others
	minRead    = 4 << 10   // a block with less room than this is full
	tiny       = 2 << 10   // a settled block up to this size stays in memory
	maxRecord  = 1<<24 - 1 // never reached: a record stays within its block
)

// Journal keeps the output of one process: both streams, byte-exact, in the order of arrival.
//
// Offsets count the bytes of both streams together from 0 and never change; dropped bytes keep their offsets. It is
// safe for concurrent use.
type Journal struct {
	limits Limits
	spool  *Spool
	own    bool // the spool is this journal's alone

	write sync.Mutex // held while appending; taken before mu

	mu      sync.Mutex
	blocks  []block // oldest first, the last one is being filled
	inMem   int     // blocks with buf set; these are the newest
	last    int     // where the newest record's header is in the newest block; less than 0 for none
	start   int64   // offset of the oldest byte kept
	end     int64   // offset behind the newest byte
	total   [4]int64
	closed  bool
	changed chan struct{} // closed at the next change; nil while nobody waits
}

// block is a run of records, in memory or in a slot of the spool. A record is a header and its bytes.
type block struct {
	first int64  // offset of its first byte
	bytes int64  // of output, without headers
	used  int    // bytes with headers
	buf   []byte // nil when in the spool
	slot  int
}

// New returns an empty Journal that keeps in s what its memory cannot hold; nil gives it a file of its own.
func New(l Limits, s *Spool) *Journal {
	if l.Memory == 0 {
		l.Memory = 1 << 20
	}
	if l.File == 0 {
		l.File = 256 << 20
	}
	j := &Journal{limits: l, spool: s, own: s == nil}
	if j.own {
		j.spool = NewSpool(0)
	}
	return j
}

// Append adds data to a stream. After Close it does nothing.
func (j *Journal) Append(s Stream, data []byte) {
	j.write.Lock()
	defer j.write.Unlock()
	for len(data) > 0 {
		space := j.space(s)
		if space == nil {
			return
		}
		n := copy(space, data)
		j.commit(s, n)
		data = data[n:]
	}
}

// Fill reads once from a descriptor, at most 64 KiB. n is 0 at the end of the stream, and -1 without an error when the
// journal is closed and nothing was read.
func (j *Journal) Fill(s Stream, fd int) (n int, err error) {
	j.write.Lock()
	defer j.write.Unlock()
	space := j.space(s)
	if space == nil {
		return -1, nil
	}
	n, err = read(fd, space)
	if n > 0 {
		j.commit(s, n)
	}
	return n, err
}

// Drop reads once from a descriptor and forgets what it read, at most 64 KiB. n is 0 at the end of the stream.
func Drop(fd int) (n int, err error) {
	buf := newBlock()
	defer freeBlock(buf)
	return read(fd, buf)
}

func read(fd int, buf []byte) (n int, err error) {
	return linux.RetryValue(func() (int, error) { return unix.Read(fd, buf) })
}

// space returns where the next bytes of s go, nil after Close. The caller holds write, and commits before it calls
// again.
func (j *Journal) space(s Stream) []byte {
	if j.closed { // closed and blocks are written under both locks, so reading them under one is safe
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

// commit appends the n bytes that were put into space(s).
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
	if slot < 0 { // not kept: a journal has no holes, so all up to here is lost
		j.dropLocked(i + 1)
	}
	j.mu.Unlock()
	freeBlock(b.buf)
}

// save writes a block to the spool and returns its slot. When the journal or the spool is full it drops this journal's
// oldest blocks there; it returns -1 when that did not help either.
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

// Settle closes the journal and moves what is there out of memory where it can.
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

// Close ends the journal: readers get io.EOF behind the last byte. What is kept stays readable until Discard.
func (j *Journal) Close() {
	j.write.Lock()
	defer j.write.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
	j.wakeLocked()
}

// Discard closes the journal and gives up what it keeps. Readers that had not come to the end see the rest as skipped.
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
