package journal

import (
	"os"
	"sync"

	"github.com/sandlot-dev/sandlot/internal/linux"
)

// Spool is the disk side of journals: a file without a name, made when first needed, of slots of one block each. Many
// journals may share one. It is safe for concurrent use.
type Spool struct {
	mu    sync.Mutex
	file  *os.File
	most  int   // slots the file may have; lowered when the disk is full
	slots int   // slots it has
	idle  []int // slots that may be written again
}

// NewSpool returns a Spool of at most limit bytes; 0 means 2 GiB.
func NewSpool(limit int64) *Spool {
	if limit == 0 {
		limit = 2 << 30
	}
	return &Spool{most: int(limit / blockSize)}
}

// put keeps data in a slot, and returns -1 when there is no room.
func (s *Spool) put(data []byte) int {
	s.mu.Lock()
	f, slot := s.reserve()
	s.mu.Unlock()
	if slot < 0 {
		return -1
	}
	if _, err := f.WriteAt(data, int64(slot)*blockSize); err == nil {
		return slot
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = append(s.idle, slot)
	s.most = min(s.most, s.slots) // no room on the disk: stay within what the file has
	return -1
}

func (s *Spool) reserve() (*os.File, int) {
	if n := len(s.idle); n > 0 {
		slot := s.idle[n-1]
		s.idle = s.idle[:n-1]
		return s.file, slot
	}
	if s.slots >= s.most {
		return nil, -1
	}
	if s.file == nil {
		fd, err := linux.ScratchFile()
		if err != nil {
			s.most = 0
			return nil, -1
		}
		s.file = os.NewFile(uintptr(fd), "journal")
	}
	s.slots++
	return s.file, s.slots - 1
}

// get reads from a slot, from byte at on.
func (s *Spool) get(slot int, buf []byte, at int) (int, error) {
	s.mu.Lock()
	f := s.file
	s.mu.Unlock()
	if f == nil {
		return 0, os.ErrClosed
	}
	return f.ReadAt(buf, int64(slot)*blockSize+int64(at))
}

// free gives up a slot. The file goes back to nothing when no slot is in use.
func (s *Spool) free(slot int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = append(s.idle, slot)
	if len(s.idle) == s.slots && s.file != nil {
		_ = s.file.Truncate(0) // if it fails, the disk space is kept for the next blocks
		s.idle, s.slots = s.idle[:0], 0
	}
}

func (s *Spool) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file != nil {
		_ = s.file.Close()
		s.file = nil
	}
	s.most = 0
}
