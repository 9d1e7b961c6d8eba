package workspace

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/linux"
)

// Match is one line that holds the text looked for.
type Match struct {
	File    string
	Line    int    // from 1
	Content string // the line without its end, invalid UTF-8 replaced by U+FFFD; at most MaxContent bytes
	Cut     bool   // Content is only a part of the line, one that holds the text where it fits
}

// MaxContent is the longest Match.Content in bytes.
const MaxContent = 64 << 10

// Find hands the lines that hold text, taken literally, to yield: files under name in walking order, lines from the
// top, each once.
//
// Only regular files are read; links are not followed, and files that cannot be read or that have a NUL byte in their
// first 512 bytes are passed over. Files are searched by several goroutines, which end before Find does; yield is
// called by one at a time. Errors: FILE_NOT_FOUND and FILE_ACCESS_DENIED of name itself.
func (f *Files) Find(ctx context.Context, name, text string, yield func(Match) error) error {
	abs, err := f.resolve(name)
	if err != nil {
		return err
	}
	if text == "" {
		return fault.New(fault.Invalid, "find: the pattern is empty; give the text to look for")
	}
	if strings.Contains(text, "\n") { // no line holds a line end
		var st unix.Stat_t
		return f.missing(name, explain("look through", name, linux.Retry(func() error { return unix.Lstat(abs, &st) })))
	}
	root, err := openDir(unix.AT_FDCWD, abs, unix.O_PATH|unix.O_NOFOLLOW)
	if err == nil {
		defer unix.Close(root)
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	g := new(errgroup.Group)
	jobs := make(chan *findJob, 4*workers)  // to the searchers
	order := make(chan *findJob, 4*workers) // to yield, in walking order
	g.Go(func() (err error) {
		defer close(order)
		defer close(jobs)
		defer fault.Recovered(&err)
		return enqueue(ctx, root, abs, simplify(name), jobs, order)
	})
	for range workers {
		g.Go(func() error {
			s := newSearcher(text)
			defer s.close()
			for j := range jobs {
				if err := s.search(ctx, j); err != nil {
					stop(err)
				}
			}
			return nil
		})
	}
	for j := range order {
		for batch := range j.found {
			for i := range batch {
				if ctx.Err() != nil {
					break
				}
				if err := yield(batch[i]); err != nil {
					stop(err)
				}
			}
		}
	}
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return f.missing(name, err)
	}
	return context.Cause(ctx)
}

// findJob is some files in walking order and, when they have been searched, their matches.
type findJob struct {
	files []foundFile
	found chan []Match // closed at the end
}

// foundFile is a file by its path below the folder at, or unix.AT_FDCWD.
type foundFile struct {
	at          int
	path, shown string
}

// enqueue cuts the walk of abs, which is open as root if it is a folder, into jobs. Each goes to jobs, where the
// searchers are, and to order, where Find reads the matches in walking order.
func enqueue(ctx context.Context, root int, abs, shown string, jobs, order chan<- *findJob) error {
	const some = 64
	j := &findJob{}
	send := func() error {
		if len(j.files) == 0 {
			return nil
		}
		j.found = make(chan []Match, 1)
		for _, queue := range []chan<- *findJob{jobs, order} {
			select {
			case queue <- j:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		j = &findJob{files: make([]foundFile, 0, some)}
		return nil
	}
	err := walk(ctx, abs, shown, func(p string, e entry) error {
		if e.kind != unix.DT_REG {
			return nil
		}
		file := foundFile{unix.AT_FDCWD, abs, p}
		if p != shown {
			file.at, file.path = root, p[len(below(shown)):]
		}
		if j.files = append(j.files, file); len(j.files) < some {
			return nil
		}
		return send()
	})
	if err != nil {
		return err
	}
	return send()
}

// window is how much of a file is looked at in one piece, in bytes; a line longer than that is searched in parts.
const window = 512 << 10

// searcher looks through files with one buffer.
type searcher struct {
	text  needle
	buf   []byte
	batch []Match
	size  int // bytes of content in batch
	give  func()
}

func newSearcher(text string) *searcher {
	buf, give := Buffer(-1)
	return &searcher{text: newNeedle(text), buf: buf[:window], give: give}
}

func (s *searcher) close() { s.give() }

func (s *searcher) search(ctx context.Context, j *findJob) (err error) {
	defer close(j.found)
	defer fault.Recovered(&err)
	for _, file := range j.files {
		if ctx.Err() != nil {
			break
		}
		if err := s.searchFile(ctx, j, file); err != nil {
			return err
		}
	}
	s.flush(ctx, j)
	return nil
}

func (s *searcher) flush(ctx context.Context, j *findJob) {
	if len(s.batch) == 0 {
		return
	}
	select {
	case j.found <- s.batch:
	case <-ctx.Done():
	}
	s.batch, s.size = nil, 0
}

func (s *searcher) searchFile(ctx context.Context, j *findJob, file foundFile) error {
	// The folder's listing said that this is a regular file, so there is no look before the open; O_NONBLOCK holds if
	// it has changed since.
	fd, err := linux.RetryValue(func() (int, error) {
		return unix.Openat(file.at, file.path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return unlessSkipped("find in", file.shown, err)
	}
	defer unix.Close(fd)
	line := 1     // of buf[0]
	have := 0     // bytes in buf
	first := true // nothing of the file has been looked at
	inLong := 0   // bytes of the current line that have left the buffer
	told := false // the current, long line has been found already
	for ctx.Err() == nil {
		n, err := readFull(fd, s.buf[have:])
		if err != nil {
			return unlessSkipped("find in", file.shown, err)
		}
		end := have+n < len(s.buf)
		data := s.buf[:have+n]
		if first && bytes.IndexByte(data[:min(len(data), 512)], 0) >= 0 {
			return nil
		}
		first = false
		cut := len(data)
		if !end {
			cut = bytes.LastIndexByte(data, '\n') + 1
		}
		if cut == 0 && !end { // one line fills the window: keep what may hold the beginning of a hit
			if !told && s.add(file.shown, line, data, s.text.index(data), true) {
				told = true
			}
			keep := min(len(s.text.text)-1, len(data)-1)
			inLong += len(data) - keep
			have = copy(s.buf, data[len(data)-keep:])
			continue
		}
		rest := data[:cut]
		if inLong > 0 { // the long line's end
			stop := bytes.IndexByte(rest, '\n')
			last := rest
			if stop >= 0 {
				last, rest = rest[:stop], rest[stop+1:]
			} else {
				rest = nil
			}
			if !told {
				s.add(file.shown, line, last, s.hit(last), true)
			}
			line, inLong, told = line+1, 0, false
		}
		line = s.lines(file.shown, rest, line, end)
		if s.size > 64<<10 || len(s.batch) > 512 {
			s.flush(ctx, j)
		}
		if end {
			return nil
		}
		have = copy(s.buf, data[cut:])
	}
	return nil
}

// readFull reads until buf is full or the file has ended.
func readFull(fd int, buf []byte) (int, error) {
	got := 0
	for got < len(buf) {
		n, err := linux.RetryValue(func() (int, error) { return unix.Read(fd, buf[got:]) })
		if err != nil {
			return got, err
		}
		if n == 0 {
			break
		}
		got += n
	}
	return got, nil
}

// lines adds the matches of whole lines, the first of which has number line, and returns the number after the last. At
// the file's last lines that number is not counted, since nobody needs it.
func (s *searcher) lines(shown string, data []byte, line int, last bool) int {
	counted := 0
	for at := 0; ; {
		i := s.text.index(data[at:])
		if i < 0 && last {
			return line
		} else if i < 0 {
			return line + bytes.Count(data[counted:], []byte{'\n'})
		}
		i += at
		from := bytes.LastIndexByte(data[:i], '\n') + 1
		to := bytes.IndexByte(data[i:], '\n')
		if to < 0 {
			to = len(data)
		} else {
			to += i
		}
		line += bytes.Count(data[counted:from], []byte{'\n'})
		counted = from
		s.add(shown, line, data[from:to], s.hit(data[from:to]), false)
		if to == len(data) {
			return line + 1
		}
		at = to + 1
	}
}

// hit is the place of the text in a line, whose "\r\n" counts as its end; -1 when it is not there.
func (s *searcher) hit(line []byte) int {
	return s.text.index(bytes.TrimSuffix(line, []byte{'\r'}))
}

// add records the match at byte i of a line, if there is one. part says that line is only a part of it.
func (s *searcher) add(shown string, line int, content []byte, i int, part bool) bool {
	if i < 0 {
		return false
	}
	content = bytes.TrimSuffix(content, []byte{'\r'})
	cut := part
	if len(content) > MaxContent {
		cut = true
		from := 0
		if i+len(s.text.text) > MaxContent {
			from = max(0, i-1024)
		}
		content = content[from:min(len(content), from+MaxContent)]
	}
	text := string(content)
	if !utf8.ValidString(text) {
		text = validUTF8(text)
	}
	s.batch = append(s.batch, Match{File: shown, Line: line, Content: text, Cut: cut})
	s.size += len(text)
	return true
}

// validUTF8 puts one U+FFFD for each byte that is not UTF-8, as Go's own decoding does.
func validUTF8(s string) string { return string([]rune(s)) }
