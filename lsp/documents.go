package lsp

import (
	"container/list"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

// Limits of the documents of one server. Beyond the last two, the one that was not used for longest is closed; it is
// opened again at its next use.
const (
	maxFile = 4 << 20  // bytes of a document
	maxDocs = 256      // open documents
	maxText = 64 << 20 // bytes of all their texts
)

// state is what tells one content of a file from another. The zero value is that of a file that is not there.
type state struct {
	size         int64
	modified     unix.Timespec
	changed      unix.Timespec
	device, node uint64
}

// stateAt looks at a path, whose links are followed.
func stateAt(path string) (state, error) {
	var st unix.Stat_t
	if err := ignoringEINTR(func() error { return unix.Stat(path, &st) }); err != nil {
		return state{}, pathError(path, err)
	}
	return stateOf(path, &st)
}

func stateOf(path string, st *unix.Stat_t) (state, error) {
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return state{}, fault.Newf(fault.Invalid, "%s is no regular file", path)
	case st.Size > maxFile:
		return state{}, fault.Newf(fault.TooLarge, "%s has %d bytes: a document may have %d", path, st.Size, maxFile)
	}
	return state{size: st.Size, modified: st.Mtim, changed: st.Ctim, device: st.Dev, node: st.Ino}, nil
}

func ignoringEINTR(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

func pathError(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return fmt.Errorf("%s: %w", path, ErrNoFile)
	case errors.Is(err, fs.ErrPermission):
		return fault.Newf(fault.Forbidden, "%s: %w", path, err)
	case errors.Is(err, unix.ENAMETOOLONG), errors.Is(err, unix.ELOOP):
		return fault.Newf(fault.Invalid, "%s: %w", path, err)
	}
	return fault.System("read "+path, err)
}

// recent is how long a file's time may be behind its last change: the kernel's clock for files has ticks of up to 10 ms.
const recent = 20 * time.Millisecond

// readFile returns a file's text, with U+FFFD for what is not UTF-8, and its state. A file that was changed just now
// has the zero state: the next change may leave the same one.
func readFile(path string) (text string, st state, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0) // a FIFO would block
	if err != nil {
		return "", state{}, pathError(path, err)
	}
	defer f.Close()
	var raw unix.Stat_t
	if err := ignoringEINTR(func() error { return unix.Fstat(int(f.Fd()), &raw) }); err != nil {
		return "", state{}, pathError(path, err)
	}
	if st, err = stateOf(path, &raw); err != nil {
		return "", state{}, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return "", state{}, pathError(path, err)
	}
	if len(data) > maxFile {
		return "", state{}, fault.Newf(fault.TooLarge, "%s has more than %d bytes, which is the most of a document", path, maxFile)
	}
	if time.Since(time.Unix(st.changed.Unix())) < recent {
		st = state{}
	}
	return strings.ToValidUTF8(string(data), "�"), st, nil
}

// document is an open document as it was at one time.
type document struct {
	path, uri string
	text      string
	version   int
	state     state // of the file that text was read from, or that it is newer than
	asked     bool  // a caller has opened it
	changed   bool  // text is a caller's, not the file's
	published uint64
	use       *list.Element
}

// documents are the documents that one server has open. It is safe for concurrent use.
type documents struct {
	sequence func() uint64 // of the last publication of diagnostics

	mu     sync.Mutex
	client *client // whose documents these are; nil before the first
	open   map[string]*document
	used   *list.List // of *document; the last used is at the front
	bytes  int        // of all texts
}

func newDocuments(sequence func() uint64) *documents {
	return &documents{sequence: sequence, open: map[string]*document{}, used: list.New()}
}

// attach makes c the server of the documents. Those that callers have opened or changed are opened again.
func (d *documents) attach(c *client, id func(path string) string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	was := d.open
	d.client, d.open, d.bytes = c, map[string]*document{}, 0
	d.used.Init()
	for _, doc := range was {
		if !doc.asked && !doc.changed {
			continue
		}
		var err error
		if doc.changed {
			err = d.sendLocked(id(doc.path), doc)
		} else {
			_, err = d.readLocked(doc.path, id, doc)
		}
		if errors.Is(err, ErrCrashed) {
			d.open = was // for the next one
			return err
		} // a file that has gone is closed
	}
	return nil
}

// sync makes the server know a document as it is now: what a caller has changed, until the file itself changes, else
// the file. The document is opened if it is not. Errors: ErrNoFile, fault.TooLarge, fault.Invalid for what is no regular
// file, fault.Forbidden, ErrCrashed.
func (d *documents) sync(c *client, path string, id func(path string) string) (document, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.client != c {
		return document{}, c.lost(ErrCrashed)
	}
	doc, err := d.refreshLocked(path, id)
	if err != nil {
		return document{}, err
	}
	d.used.MoveToFront(doc.use)
	return *doc, nil
}

// refreshLocked reads and sends a document if the server does not know it, or not as it is. One whose file cannot be
// read is closed, unless its text is a caller's.
func (d *documents) refreshLocked(path string, id func(path string) string) (*document, error) {
	doc := d.open[path]
	now, err := stateAt(path)
	if doc != nil && doc.changed && (err != nil || now == doc.state) {
		return doc, nil
	}
	if err == nil && (doc == nil || doc.state == state{} || now != doc.state) {
		doc, err = d.readLocked(path, id, doc)
	}
	if err == nil {
		return doc, nil
	}
	if doc = d.open[path]; doc != nil && !errors.Is(err, ErrCrashed) {
		d.closeLocked(doc)
	}
	return nil, err
}

// refresh makes the server know all open documents as they are now. Error: ErrCrashed.
func (d *documents) refresh(c *client, id func(path string) string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.client != c {
		return c.lost(ErrCrashed)
	}
	for _, path := range slices.Collect(maps.Keys(d.open)) {
		if d.open[path] == nil {
			continue // it was closed for another's sake
		}
		if _, err := d.refreshLocked(path, id); errors.Is(err, ErrCrashed) {
			return err
		}
	}
	return nil
}

// readLocked reads a document and sends it if it is new or has changed. was is what is known of it, or nil.
func (d *documents) readLocked(path string, id func(string) string, was *document) (*document, error) {
	text, st, err := readFile(path)
	if err != nil {
		return nil, err
	}
	doc := &document{path: path, uri: fileURI(path)}
	if was != nil {
		*doc = *was
	}
	doc.state, doc.changed = st, false
	if current := d.open[path]; current != nil && current.text == text {
		doc.use.Value, d.open[path] = doc, doc
		return doc, nil
	}
	doc.text = text
	return doc, d.sendLocked(id(path), doc)
}

// sendLocked sends a document's text: as a change where it is open, and opens it where it is not.
func (d *documents) sendLocked(id string, doc *document) error {
	current := d.open[doc.path]
	doc.version++
	doc.published = d.sequence()
	name := object{"uri": doc.uri, "version": doc.version}
	method, params := "textDocument/didChange", object{"textDocument": name, "contentChanges": []object{{"text": doc.text}}}
	if current == nil {
		name["languageId"], name["text"] = id, doc.text
		method, params = "textDocument/didOpen", object{"textDocument": name}
	}
	if err := d.client.notify(method, params); err != nil {
		return err
	}
	if current != nil {
		d.bytes -= len(current.text)
		doc.use.Value = doc
		d.used.MoveToFront(doc.use)
	} else {
		doc.use = d.used.PushFront(doc)
	}
	d.open[doc.path] = doc
	d.bytes += len(doc.text)
	d.evictLocked(doc)
	return nil
}

// evictLocked keeps the limits. What a caller has changed is nowhere else, and stays; change bounds it.
func (d *documents) evictLocked(keep *document) {
	for e := d.used.Back(); e != nil && (len(d.open) > maxDocs || d.bytes > maxText); {
		doc := e.Value.(*document)
		e = e.Prev()
		if doc != keep && !doc.changed {
			d.closeLocked(doc)
		}
	}
}

func (d *documents) closeLocked(doc *document) {
	d.used.Remove(doc.use)
	delete(d.open, doc.path)
	d.bytes -= len(doc.text)
	_ = d.client.notify("textDocument/didClose", object{"textDocument": object{"uri": doc.uri}}) // of one that has ended, none is open
}

// ask is sync for a caller that opens a document: what was changed is given up for the file.
func (d *documents) ask(c *client, path string, id func(string) string) error {
	d.mu.Lock()
	if doc := d.open[path]; doc != nil {
		doc.state, doc.changed = state{}, false // is read anew
	}
	d.mu.Unlock()
	if _, err := d.sync(c, path, id); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if doc := d.open[path]; doc != nil {
		doc.asked = true
	}
	return nil
}

// Limits of the documents whose text is a caller's.
const (
	maxChanged     = 64
	maxChangedText = 32 << 20 // bytes
)

// change makes text the document's, whatever its file holds, until that changes. The file need not exist. Errors:
// fault.TooLarge, fault.Limited, ErrCrashed.
func (d *documents) change(c *client, path, text string, id func(string) string) error {
	if len(text) > maxFile {
		return fault.Newf(fault.TooLarge, "the text has %d bytes: a document may have %d", len(text), maxFile)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.client != c {
		return c.lost(ErrCrashed)
	}
	count, bytes := 1, len(text)
	for _, doc := range d.open {
		if doc.changed && doc.path != path {
			count, bytes = count+1, bytes+len(doc.text)
		}
	}
	if count > maxChanged || bytes > maxChangedText {
		return fault.Newf(fault.Limited, "more than %d documents, or %d MiB of them, are changed and not written to their "+
			"files: close some", maxChanged, maxChangedText>>20)
	}
	doc := &document{path: path, uri: fileURI(path)}
	if was := d.open[path]; was != nil {
		*doc = *was
	}
	doc.state, _ = stateAt(path) // zero where there is no file
	doc.text, doc.changed = strings.ToValidUTF8(text, "�"), true
	return d.sendLocked(id(path), doc)
}

// close closes a document. It does nothing where it is not open.
func (d *documents) close(c *client, path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if doc := d.open[path]; doc != nil && d.client == c {
		d.closeLocked(doc)
	}
	return nil
}

// isOpen says whether a document is open.
func (d *documents) isOpen(path string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open[path] != nil
}

// text returns what the server knows of a document: its text if it is open, else what its file holds; "" if there is
// none.
func (d *documents) text(path string) string {
	d.mu.Lock()
	doc := d.open[path]
	d.mu.Unlock()
	if doc != nil {
		return doc.text
	}
	text, _, _ := readFile(path)
	return text
}
