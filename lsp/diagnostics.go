package lsp

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
)

// Limits of what is kept of a server's diagnostics.
const (
	maxPublished = 1024     // documents
	maxDiagBytes = 16 << 20 // bytes of all of them, as the server sent them
)

// Published are the diagnostics of one document, as its server last published them.
type Published struct {
	URI         string
	Version     int          // of the document; 0 where the server does not say
	Diagnostics []Diagnostic // never nil
	Lost        bool         // before this, some of other documents were lost: the reader was too slow, or they are too many
}

// publication is a Published as it is kept.
type publication struct {
	sequence uint64
	version  *int
	data     json.RawMessage // a list
}

// publications keeps the last diagnostics of each document. It is safe for concurrent use.
type publications struct {
	mu       sync.Mutex
	sequence uint64 // of the last one
	dropped  uint64 // of the last that was dropped for a limit
	bytes    int
	byURI    map[string]publication
	news     chan struct{} // closed at the next one, and then replaced
	ended    bool
}

func newPublications() *publications {
	return &publications{byURI: map[string]publication{}, news: make(chan struct{})}
}

// publish takes in what a server sends.
func (p *publications) publish(params json.RawMessage) {
	var sent struct {
		URI         string          `json:"uri"`
		Version     *int            `json:"version"`
		Diagnostics json.RawMessage `json:"diagnostics"`
	}
	if json.Unmarshal(params, &sent) != nil || len(sent.Diagnostics) > maxDiagBytes || len(sent.URI) > 3*maxPath {
		return
	}
	uri := ourURI(sent.URI)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sequence++
	p.bytes += len(sent.Diagnostics) - len(p.byURI[uri].data)
	p.byURI[uri] = publication{sequence: p.sequence, version: sent.Version, data: sent.Diagnostics}
	for len(p.byURI) > maxPublished || p.bytes > maxDiagBytes {
		oldest, _ := p.nextLocked(0)
		p.dropped = max(p.dropped, p.byURI[oldest].sequence)
		p.bytes -= len(p.byURI[oldest].data)
		delete(p.byURI, oldest)
	}
	p.wakeLocked()
}

func (p *publications) wakeLocked() {
	close(p.news)
	p.news = make(chan struct{})
}

// nextLocked returns the document of the first publication after the one of that sequence, "" for none.
func (p *publications) nextLocked(sequence uint64) (uri string, found publication) {
	for u, one := range p.byURI {
		if one.sequence > sequence && (uri == "" || one.sequence < found.sequence) {
			uri, found = u, one
		}
	}
	return uri, found
}

// last returns the sequence of the last publication.
func (p *publications) last() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sequence
}

// of returns what was last published for a document, and a channel that is closed with the next publication.
func (p *publications) of(uri string) (found publication, ok bool, news <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	found, ok = p.byURI[uri]
	return found, ok, p.news
}

// reset forgets what a server published that has gone.
func (p *publications) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.byURI, p.bytes = map[string]publication{}, 0
}

// end ends all subscriptions.
func (p *publications) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.wakeLocked()
}

// Subscription reads the diagnostics that a server publishes. Of a document that is published again before it is read,
// the last ones are read, so a slow reader holds up nobody. It owns nothing that must be closed. It is for one reader.
type Subscription struct {
	server *Server
	last   uint64
}

// Next returns what was published next, at first what is known already, document by document. Errors: io.EOF when the
// server was stopped, ctx's own.
func (s *Subscription) Next(ctx context.Context) (Published, error) {
	p := s.server.published
	for {
		p.mu.Lock()
		uri, found := p.nextLocked(s.last)
		lost := p.dropped > s.last
		news, ended := p.news, p.ended
		p.mu.Unlock()
		if uri != "" {
			s.last = found.sequence
			return s.server.decodePublished(uri, found, lost)
		}
		if ended {
			return Published{}, io.EOF
		}
		select {
		case <-news:
		case <-ctx.Done():
			return Published{}, fmt.Errorf("read diagnostics: %w", context.Cause(ctx))
		}
	}
}

// Subscribe returns a reader of all diagnostics. They are published for documents that are open, and go on over a
// restart of the server.
func (s *Server) Subscribe() *Subscription { return &Subscription{server: s} }

func (s *Server) decodePublished(uri string, found publication, lost bool) (Published, error) {
	one := Published{URI: uri, Lost: lost, Diagnostics: []Diagnostic{}}
	if found.version != nil {
		one.Version = *found.version
	}
	if err := decode(found.data, &one.Diagnostics); err != nil {
		one.Diagnostics = []Diagnostic{} // what is none of the protocol says nothing
	}
	s.fixDiagnostics(uri, one.Diagnostics)
	return one, nil
}

// fixDiagnostics makes positions those of UTF-16.
func (s *Server) fixDiagnostics(uri string, list []Diagnostic) {
	cols := s.columns(s.current())
	for i := range list {
		cols.fix(uri, &list[i].Range)
	}
}

// Diagnostics returns what is wrong in a document as it is now. A server that cannot be asked is waited for until it
// publishes. Errors: those of Server, ErrTimeout also where the server publishes nothing.
func (s *Server) Diagnostics(ctx context.Context, uri string) (list []Diagnostic, err error) {
	err = s.about(ctx, uri, func(ctx context.Context, c *client, doc document) (err error) {
		switch {
		case c.program.diagnose != nil:
			list, err = c.program.diagnose(ctx, c, doc)
		case has(c.caps.Diagnostic):
			var report struct {
				Items []Diagnostic `json:"items"`
			}
			err = c.call(ctx, "textDocument/diagnostic", object{"textDocument": object{"uri": doc.uri}}, &report)
			list = report.Items
		default:
			list, err = s.awaitPublished(ctx, c, doc)
			return err // its positions are right
		}
		cols := s.columns(c)
		for i := range list {
			cols.fix(doc.uri, &list[i].Range)
		}
		return err
	})
	if list == nil {
		list = []Diagnostic{}
	}
	return list, err
}

// quiet is how long nothing more may come for a document from a server that does not number what it publishes, until
// that is taken to be all.
const quiet = 500 * time.Millisecond

// awaitPublished waits for the diagnostics of this version of a document.
func (s *Server) awaitPublished(ctx context.Context, c *client, doc document) ([]Diagnostic, error) {
	seen, settled := uint64(0), (<-chan time.Time)(nil)
	for {
		found, ok, news := s.published.of(doc.uri)
		numbered := ok && found.version != nil
		switch {
		case numbered && *found.version >= doc.version:
			one, err := s.decodePublished(doc.uri, found, false)
			return one.Diagnostics, err
		case ok && !numbered && found.sequence > doc.published && found.sequence > seen:
			timer := time.NewTimer(quiet)
			defer timer.Stop() // as many as are published while this waits
			seen, settled = found.sequence, timer.C
		}
		select {
		case <-news:
		case <-settled:
			one, err := s.decodePublished(doc.uri, found, false)
			return one.Diagnostics, err
		case <-c.done:
			return nil, c.err
		case <-ctx.Done():
			return nil, fmt.Errorf("diagnostics: the server has published none for %s: %w", doc.path, ErrTimeout)
		}
	}
}
