package form_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sandlot-dev/sandlot/internal/form"
)

type part struct{ name, content string }

func scan(r io.Reader, boundary string, size int) ([]part, error) {
	s := form.NewScanner(r, boundary, make([]byte, size))
	var parts []part
	for {
		name, err := s.Part()
		if errors.Is(err, io.EOF) {
			return parts, nil
		}
		if err != nil {
			return parts, err
		}
		var b strings.Builder
		for last := false; !last; {
			var piece []byte
			if piece, last, err = s.Next(); err != nil {
				return parts, err
			}
			b.Write(piece)
		}
		parts = append(parts, part{name, b.String()})
	}
}

func TestScannerReadsWhatIsThere(t *testing.T) {
	for _, tc := range []struct {
		name, body string
		want       []part
		err        error
	}{
		{
			"one part", "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nhello\r\n--b--\r\n",
			[]part{{"a", "hello"}},
			nil,
		},
		{
			"preamble and epilogue", "pre\r\n--b\r\ncontent-disposition:form-data;name=a\r\n\r\nx\r\n--b--junk",
			[]part{{"a", "x"}},
			nil,
		},
		{"no parts", "--b--\r\n", nil, nil},
		{"no headers", "--b\r\n\r\nx\r\n--b--", []part{{"", "x"}}, nil},
		{"empty content", "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n--b--", []part{{"a", ""}}, nil},
		{"headers alone", "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n--b--", []part{{"a", ""}}, nil},
		{"blanks after the boundary", "--b \t\r\n\r\nx\r\n--b--", []part{{"", "x"}}, nil},
		{
			"boundary's beginning in content", "--b\r\n\r\nx\r\n--bc\r\n--b-\r\n--\r\n\r\n--b--",
			[]part{{"", "x\r\n--bc\r\n--b-\r\n--\r\n"}},
			nil,
		},
		{
			"filename before name",
			"--b\r\nContent-Disposition: form-data; filename=\"name=x; \\\"q\\\"\"; name=\"a\"\r\n\r\nx\r\n--b--",
			[]part{{"a", "x"}},
			nil,
		},
		{"cut in content", "--b\r\n\r\nhello", nil, form.ErrCut},
		{"cut in headers", "--b\r\nContent-", nil, form.ErrCut},
		{"cut before the closing dashes", "--b\r\n\r\nhello\r\n--b", nil, form.ErrCut},
		{"not a form", "hello", nil, form.ErrCut},
		{"empty", "", nil, form.ErrCut},
		{"headers without end", "--b\r\n" + strings.Repeat("a: b\r\n", 20_000), nil, form.ErrHeader},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, r := range []io.Reader{
				strings.NewReader(tc.body), iotest.OneByteReader(strings.NewReader(tc.body)),
				iotest.DataErrReader(strings.NewReader(tc.body)),
			} {
				got, err := scan(r, "b", form.MinBuffer)
				if !errors.Is(err, tc.err) {
					t.Fatalf("error %v, want %v", err, tc.err)
				}
				if fmt.Sprint(got) != fmt.Sprint(tc.want) {
					t.Errorf("got %q, want %q", got, tc.want)
				}
			}
		})
	}
}

// TestScannerKeepsLargeContent sends content full of near-delimiters in packets of odd sizes.
func TestScannerKeepsLargeContent(t *testing.T) {
	random := make([]byte, 3<<20)
	_, _ = rand.Read(random)
	contents := [][]byte{
		random, bytes.Repeat([]byte("\r\n--boundar"), 40_000), bytes.Repeat([]byte("\r"),
			1<<20), bytes.Repeat([]byte("\r\n--boundaryx"), 50_000),
		[]byte("\r\n"), nil, bytes.Repeat([]byte{0}, form.MinBuffer), bytes.Repeat([]byte("ab"), form.MinBuffer/2-20),
	}
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	_ = w.SetBoundary("boundary")
	for i, c := range contents {
		p, _ := w.CreateFormFile(fmt.Sprintf("files[%d].file", i), "x")
		_, _ = p.Write(c)
	}
	_ = w.Close()
	for _, packet := range []int{17, 4096, 70_001, 1 << 20} {
		got, err := scan(&packets{body.Bytes(), packet}, "boundary", form.MinBuffer)
		if err != nil || len(got) != len(contents) {
			t.Fatalf("packets of %d: %d parts, %v", packet, len(got), err)
		}
		for i, c := range contents {
			if got[i].content != string(c) || got[i].name != fmt.Sprintf("files[%d].file", i) {
				t.Errorf("packets of %d: part %d (%s) differs: %d bytes, want %d", packet, i, got[i].name, len(got[i].content),
					len(c))
			}
		}
	}
}

type packets struct {
	data []byte
	size int
}

func (p *packets) Read(b []byte) (int, error) {
	if len(p.data) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.data[:min(p.size, len(p.data))])
	p.data = p.data[n:]
	return n, nil
}

func TestBoundaryRefusesOtherTypes(t *testing.T) {
	for _, ct := range []string{
		"", "text/plain", "multipart/form-data", "multipart/mixed; boundary=b",
		"multipart/form-data; boundary=" + strings.Repeat("b", 300),
	} {
		if _, err := form.Boundary(ct); !errors.Is(err, form.ErrNotForm) {
			t.Errorf("Boundary(%q) = %v, want ErrNotForm", ct, err)
		}
	}
	if b, err := form.Boundary(`multipart/form-data; boundary="a b"`); b != "a b" || err != nil {
		t.Errorf("quoted boundary: %q, %v", b, err)
	}
}

// FuzzScanner holds that the packets a body comes in change nothing, and that no content is made up.
func FuzzScanner(f *testing.F) {
	f.Add([]byte("--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nhello\r\n--b--\r\n"), 3)
	f.Add([]byte("x\r\n--b\r\n\r\n\r\n--b\r\n\r\ny\r\n--bz\r\n--b--"), 1)
	f.Fuzz(func(t *testing.T, body []byte, size int) {
		got, err := scan(&packets{body, max(1, size%1000)}, "b", form.MinBuffer)
		again, err2 := scan(bytes.NewReader(body), "b", form.MinBuffer)
		if fmt.Sprint(got, err) != fmt.Sprint(again, err2) {
			t.Fatalf("packets change the result: %q %v, %q %v", got, err, again, err2)
		}
		total := 0
		for _, p := range got {
			total += len(p.content)
		}
		if total > len(body) {
			t.Fatalf("%d bytes of content from %d", total, len(body))
		}
	})
}

func BenchmarkScanner(b *testing.B) {
	data := make([]byte, 64<<20)
	_, _ = rand.Read(data)
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	p, _ := w.CreateFormFile("file", "x")
	_, _ = p.Write(data)
	_ = w.Close()
	b.SetBytes(int64(len(data)))
	buf := make([]byte, 256<<10)
	for b.Loop() {
		s := form.NewScanner(bytes.NewReader(body.Bytes()), w.Boundary(), buf)
		_, _ = s.Part()
		for last := false; !last; {
			var err error
			if _, last, err = s.Next(); err != nil {
				b.Fatal(err)
			}
		}
	}
}
