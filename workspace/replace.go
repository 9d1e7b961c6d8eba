package workspace

import (
	"context"
	"io"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

// Replaced is what became of one file of a Replace.
type Replaced struct {
	File string
	Err  error // nil also when there was nothing to replace
}

// Replace puts with in place of every text, taken literally as bytes, in each of names. Files without it are not
// touched; the others are written as Write does, mode and owner kept. Results are in the order of names; one file's
// error stops no other. When ctx ends, files that are not done stay as they are.
func (f *Files) Replace(ctx context.Context, names []string, text, with string) ([]Replaced, error) {
	if text == "" {
		return nil, fault.New(fault.Invalid, "replace: the pattern is empty; give the text to replace")
	}
	results := make([]Replaced, len(names))
	var next atomic.Int64
	var busy sync.Map
	work := func() {
		r := newReplacer(ctx, text, with, &busy)
		defer r.give()
		for i := int(next.Add(1)) - 1; i < len(names); i = int(next.Add(1)) - 1 {
			results[i].File = names[i]
			if err := context.Cause(ctx); err != nil {
				results[i].Err = err
				continue
			}
			results[i].Err = f.replaceIn(names[i], r)
		}
	}
	if len(names) < 8 || repeats(names) {
		work() // a file named twice is changed twice, one after the other
		return results, nil
	}
	var wg sync.WaitGroup
	for range workers {
		wg.Go(work)
	}
	wg.Wait()
	return results, nil
}

func repeats(names []string) bool {
	seen := make(map[string]bool, len(names))
	for _, n := range names {
		if seen[n] {
			return true
		}
		seen[n] = true
	}
	return false
}

func (f *Files) replaceIn(name string, r *replacer) (err error) {
	defer fault.Recovered(&err)
	abs, err := f.resolve(name)
	if err != nil {
		return err
	}
	t, err := newTarget("replace", abs, name, false)
	if err != nil {
		return f.missing(name, err)
	}
	defer t.close()
	t.reread = true
	if err := t.open(); err != nil {
		return err
	}
	// another worker may meet the file under another name, while it is written in place
	lock, _ := r.busy.LoadOrStore(inode{uint64(t.st.Dev), t.st.Ino}, new(sync.Mutex))
	lock.(*sync.Mutex).Lock()
	defer lock.(*sync.Mutex).Unlock()
	r.name = name
	r.reset(t.old)
	found, err := r.find()
	if err != nil || !found {
		return explain("replace", name, err)
	}
	piece, last, err := r.Next()
	if err == nil {
		_, err = t.store(piece, last, r)
	}
	return explain("replace", name, err)
}

// replacer is the Source of a file's content with text replaced. It reads in windows, so a file may be of any size.
type replacer struct {
	ctx     context.Context //nolint:containedctx // it is that of the one Replace
	text    needle
	with    []byte
	name    string // of the file, as the caller said it
	fd      int
	in, out []byte
	lo, hi  int // unread part of in
	end     bool
	give    func()
	busy    *sync.Map // of all workers: inode to *sync.Mutex
}

func newReplacer(ctx context.Context, text, with string, busy *sync.Map) *replacer {
	in, give := Buffer(-1)
	if len(in) < 4*len(text) {
		in = make([]byte, 4*len(text))
	}
	return &replacer{ctx: ctx, text: newNeedle(text), with: []byte(with), in: in, give: give, busy: busy}
}

func (r *replacer) reset(fd int) { r.fd, r.lo, r.hi, r.end = fd, 0, 0, false }

// fill reads on, unless the caller has left.
func (r *replacer) fill() error {
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	r.hi = copy(r.in, r.in[r.lo:r.hi])
	r.lo = 0
	n, err := readFull(r.fd, r.in[r.hi:])
	if err != nil {
		return explain("replace in", r.name, err)
	}
	r.hi += n
	r.end = r.hi < len(r.in)
	return nil
}

// find tells whether text is in the file; Next begins with the file's beginning then.
func (r *replacer) find() (bool, error) {
	for first := true; ; first = false {
		if err := r.fill(); err != nil {
			return false, err
		}
		if r.text.index(r.in[:r.hi]) >= 0 {
			if first { // all that was read is here still
				return true, nil
			}
			_, err := unix.Seek(r.fd, 0, io.SeekStart)
			r.reset(r.fd)
			return true, err
		}
		if r.end {
			return false, nil
		}
		r.lo = max(0, r.hi-len(r.text.text)+1)
	}
}

// Next implements Source.
func (r *replacer) Next() (piece []byte, last bool, err error) {
	if !r.end {
		if err := r.fill(); err != nil {
			return nil, false, err
		}
	}
	r.out = r.out[:0]
	for {
		i := r.text.index(r.in[r.lo:r.hi])
		if i < 0 {
			break
		}
		r.out = append(append(r.out, r.in[r.lo:r.lo+i]...), r.with...)
		r.lo += i + len(r.text.text)
		if len(r.out) >= LargeBuffer { // a long replacement of a short text must not pile up
			return r.out, false, nil
		}
	}
	upTo := r.hi
	if !r.end {
		upTo = max(r.lo, r.hi-len(r.text.text)+1)
	}
	r.out = append(r.out, r.in[r.lo:upTo]...)
	r.lo = upTo
	return r.out, r.end, nil
}
