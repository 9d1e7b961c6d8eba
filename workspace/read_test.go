package workspace_test

import (
	"bytes"
	"io"
	"os"
	"testing"
)

func TestKernelFilesAreReadWhole(t *testing.T) {
	f, dir := open(t)
	mustWrite(t, dir+"/empty", "")
	for _, name := range []string{
		"/proc/self/status", "/proc/version", "/sys/kernel/mm/transparent_hugepage/enabled",
		dir + "/empty",
	} {
		want, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		file, info, err := f.Open(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := io.ReadAll(file)
		file.Close()
		if err != nil || info.Size != int64(len(got)) || name != "/proc/self/status" && !bytes.Equal(got, want) ||
			len(got) == 0 != (len(want) == 0) {
			t.Errorf("%s: %d bytes, said to be %d, want %d; %v", name, len(got), info.Size, len(want), err)
		}
	}
}
