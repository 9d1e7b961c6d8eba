package toolbox_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/api"
)

// TestListIsWhatTheEncoderOfTheLibraryWrites holds the hand-written JSON to the type's own.
func TestListIsWhatTheEncoderOfTheLibraryWrites(t *testing.T) {
	base, dir := filesServer(t)
	put(t, dir+"/plain", "12345")
	put(t, dir+"/quote\"back\\slash\n\t\x01\x7f", "")
	put(t, dir+"/日本 <&>\u2028", "")
	_ = os.Mkdir(dir+"/sub", 0o755)
	_ = os.Chmod(dir+"/sub", 0o755|os.ModeSticky)
	_ = os.Chmod(dir+"/plain", 0o751|os.ModeSetuid)
	_ = os.Chtimes(dir+"/sub", time.Unix(1_600_000_000, 0), time.Unix(1_600_000_000, 0))
	_ = os.Chtimes(dir+"/plain", time.Unix(1_600_000_000, 120_000), time.Unix(1_600_000_000, 120_000))
	for _, target := range []string{"/files", "/files/", "/files?path=.&depth=3"} {
		res, body := call(t, "GET", base+target, nil)
		var got []api.FileInfo
		if err := json.Unmarshal([]byte(body), &got); err != nil || res.StatusCode != 200 || len(got) != 4 {
			t.Fatalf("%s: %d %s %v", target, res.StatusCode, body, err)
		}
		for _, g := range got {
			st, err := os.Stat(g.Path)
			if err != nil {
				t.Fatal(err)
			}
			sys := st.Sys().(*syscall.Stat_t)
			want := api.FileInfo{
				Name: st.Name(), Path: dir + "/" +
					st.Name(), Size: st.Size(), Mode: st.Mode().String(), ModTime: st.ModTime().String(),
				ModifiedAt: st.ModTime().Format(time.RFC3339Nano), IsDir: st.IsDir(), Owner: strconv.Itoa(int(sys.Uid)),
				Group: strconv.Itoa(int(sys.Gid)), Permissions: fmt.Sprintf("%04o", st.Mode().Perm()),
			}
			if g != want {
				t.Errorf("got  %+v\nwant %+v", g, want)
			}
		}
	}
	if _, body := call(t, "GET", base+"/files?path=sub", nil); body != "[]" {
		t.Errorf("empty folder: %s", body)
	}
	if _, body := call(t, "GET", base+"/files/info?path=sub", nil); !strings.Contains(body, `"mode":"dtrwxr-xr-x"`) {
		t.Errorf("info: %s", body)
	}
}
