package client_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/serve"
)

func TestFiles(t *testing.T) {
	box, _ := newToolbox(t)
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	content := []byte("a needle & \x00\xff\n")
	must(box.MakeFolder(ctx, "a dir/sub", "0750"))
	must(box.Upload(ctx, "a dir/one?.bin", bytes.NewReader(content)))
	must(box.MoveFile(ctx, "a dir/one?.bin", "a dir/two&.txt"))
	info, err := box.FileInfo(ctx, "a dir/two&.txt")
	if err != nil || info.Size != int64(len(content)) || info.IsDir {
		t.Errorf("info: %+v, %v", info, err)
	}
	list, err := box.ListFiles(ctx, "a dir")
	if err != nil || len(list) != 2 {
		t.Errorf("list: %+v, %v", list, err)
	}
	body, err := box.Download(ctx, "a dir/two&.txt")
	must(err)
	got, err := io.ReadAll(body)
	if err != nil || !bytes.Equal(got, content) || body.Close() != nil {
		t.Errorf("download: %q, %v", got, err)
	}
	must(box.Upload(ctx, "a dir/text", strings.NewReader("one\na needle\n")))
	lines, err := box.FindText(ctx, "a dir", "needle")
	if err != nil || len(lines) == 0 || lines[0].Line != 2 {
		t.Errorf("find: %+v, %v", lines, err)
	}
	names, err := box.SearchFiles(ctx, "a dir", "*.txt")
	if err != nil || len(names.Files) != 1 {
		t.Errorf("search: %+v, %v", names, err)
	}
	must(box.DeleteFile(ctx, "a dir", true))
	if _, err := box.Download(ctx, "a dir/text"); fault.KindOf(serve.Received(err)) != fault.NotFound {
		t.Errorf("a file that is gone: %v", err)
	}
	if err := box.DeleteFile(ctx, "a dir", false); fault.KindOf(serve.Received(err)) != fault.NotFound {
		t.Errorf("a folder that is gone: %v", err)
	}
}
