package lsp_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestMain plays the language server where the first argument says so.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "fake-server" {
		playServer(os.Args[2], os.Args[3:])
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// A fake is a language server that does what the text of a document says when it is asked for completions.
type fake struct {
	in    *bufio.Reader
	log   *os.File
	texts map[string]string
	ids   int
}

type message struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

func playServer(log string, modes []string) {
	file, err := os.OpenFile(log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	f := &fake{in: bufio.NewReader(os.Stdin), log: file, texts: map[string]string{}}
	mode := strings.Join(modes, " ")
	for {
		m, err := f.read()
		if err != nil {
			return
		}
		fmt.Fprintf(file, "%s %s\n", m.Method, m.Params)
		switch m.Method {
		case "initialize":
			f.initialize(m, mode)
		case "shutdown":
			if mode != "stubborn" {
				f.reply(m.ID, "null")
			}
		case "exit":
			if mode != "stubborn" {
				return
			}
		case "textDocument/didOpen", "textDocument/didChange":
			f.take(m.Params)
		case "textDocument/completion":
			f.complete(m)
		case "textDocument/documentSymbol":
			f.symbols(m)
		case "textDocument/definition":
			f.reply(m.ID, `{"targetUri":"file:///a%20b.x","targetSelectionRange":{"start":{"line":1,"character":2},"end":{"line":1,"character":3}}}`)
		case "textDocument/rename":
			f.reply(m.ID, `{"documentChanges":[{"kind":"rename","oldUri":"a","newUri":"b"}]}`)
		case "textDocument/hover":
			f.reply(m.ID, `{"contents":["plain",{"language":"go","value":"x"}]}`)
		case "textDocument/formatting":
			f.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"error":{"code":-32801,"message":"changed"}}`, m.ID))
		}
	}
}

func (f *fake) initialize(m message, mode string) {
	switch {
	case strings.HasPrefix(mode, "slow "):
		gate, err := os.Open(mode[len("slow "):]) // a FIFO
		if err != nil {
			panic(err)
		}
		_, _ = io.ReadAll(gate)
	case mode == "dies":
		fmt.Fprintln(os.Stderr, strings.Repeat("x", 10_000)+"\nno licence")
		os.Exit(5)
	case mode == "mute":
		return
	}
	encoding := "utf-16"
	if mode == "bytes" {
		encoding = "utf-8"
	}
	f.reply(m.ID, `{"capabilities":{"positionEncoding":"`+encoding+`","completionProvider":{},"documentSymbolProvider":true,
		"definitionProvider":true,"renameProvider":true,"hoverProvider":true,"documentFormattingProvider":true}}`)
	if mode == "deaf" {
		select {}
	}
}

func (f *fake) take(params json.RawMessage) {
	var p struct {
		TextDocument struct {
			URI, Text string
			Version   int
		}
		ContentChanges []struct{ Text string }
	}
	if err := json.Unmarshal(params, &p); err != nil {
		panic(err)
	}
	text := p.TextDocument.Text
	for _, c := range p.ContentChanges {
		text = c.Text
	}
	f.texts[p.TextDocument.URI] = text
	if what, ok := strings.CutPrefix(text, "publish "); ok {
		f.send(fmt.Sprintf(`{"jsonrpc":"2.0","method":"textDocument/publishDiagnostics","params":{"uri":%q,"version":%d,"diagnostics":[{"message":%q}]}}`,
			p.TextDocument.URI, p.TextDocument.Version, what))
	}
}

func (f *fake) complete(m message) {
	var p struct {
		TextDocument struct{ URI string }
		Position     struct{ Line, Character int }
	}
	if err := json.Unmarshal(m.Params, &p); err != nil {
		panic(err)
	}
	item := func(label string) string {
		text, _ := json.Marshal(label)
		return fmt.Sprintf(`{"isIncomplete":false,"items":[{"label":%s,"documentation":{"kind":"markdown","value":"d"}}]}`, text)
	}
	text := f.texts[p.TextDocument.URI]
	act, rest, _ := strings.Cut(strings.SplitN(text, "\n", 2)[0], " ")
	switch act {
	case "crash":
		fmt.Fprintln(os.Stderr, "boom")
		os.Exit(3)
	case "crash-once":
		if _, err := os.Stat(rest); err != nil {
			_ = os.WriteFile(rest, nil, 0o600)
			os.Exit(3)
		}
	case "hang":
		return
	case "garbage":
		fmt.Fprintln(os.Stdout, "Traceback, most recent call last")
		return
	case "half":
		fmt.Fprint(os.Stdout, "Content-Length: 100\r\n\r\n{")
		os.Exit(0)
	case "header":
		fmt.Fprint(os.Stdout, strings.Repeat("x", 100_000))
		return
	case "huge":
		fmt.Fprint(os.Stdout, "Content-Length: 99999999999\r\n\r\n")
		return
	case "neither":
		f.send(`{"jsonrpc":"2.0"}`)
		return
	case "array":
		f.reply(m.ID, `[{"label":"a","documentation":"d"}]`)
		return
	case "null":
		f.reply(m.ID, `null`)
		return
	case "string":
		f.reply(m.ID, `"what"`)
		return
	case "many":
		f.reply(m.ID, `[`+strings.Repeat(`{"label":"a"},`, 6000)+`{"label":"b"}]`)
		return
	case "ask":
		f.reply(m.ID, item(f.ask(rest)))
		return
	case "child":
		cmd := exec.Command("sleep", "1000")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			panic(err)
		}
		f.reply(m.ID, item(strconv.Itoa(cmd.Process.Pid)))
		return
	case "pid":
		f.reply(m.ID, item(strconv.Itoa(os.Getpid())))
		return
	case "at":
		f.reply(m.ID, item(fmt.Sprint(p.Position.Line, ":", p.Position.Character)))
		return
	}
	f.reply(m.ID, item(text))
}

// ask sends a request and returns its answer, or its error.
func (f *fake) ask(request string) string {
	method, params, _ := strings.Cut(request, " ")
	f.ids++
	f.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":"q%d","method":%q,"params":%s}`, f.ids, method, params))
	m, err := f.read()
	if err != nil {
		panic(err)
	}
	return string(m.ID) + string(m.Result) + string(m.Error)
}

func (f *fake) symbols(m message) {
	f.reply(m.ID, `[{"name":"Outer","kind":5,"range":{"start":{"line":0,"character":0},"end":{"line":2,"character":4}},
		"selectionRange":{},"children":[{"name":"Inner","kind":6,"range":{"start":{"line":1,"character":2},"end":{"line":1,"character":9}},"children":[]}]}]`)
}

func (f *fake) read() (m message, err error) {
	length := 0
	for {
		line, err := f.in.ReadString('\n')
		if err != nil {
			return m, err
		}
		if line = strings.TrimSpace(line); line == "" {
			break
		}
		if value, ok := strings.CutPrefix(line, "Content-Length: "); ok {
			length, _ = strconv.Atoi(value)
		}
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(f.in, body); err != nil {
		return m, err
	}
	return m, json.Unmarshal(body, &m)
}

func (f *fake) reply(id json.RawMessage, result string) {
	f.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%s}`, id, result))
}

func (f *fake) send(body string) {
	fmt.Fprintf(os.Stdout, "Content-Length: %d\r\nContent-Type: application/vscode-jsonrpc; charset=utf-8\r\n\r\n%s", len(body), body)
}
