package proxy_test

import (
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

// BenchmarkRequest compares a small POST through the proxy with the same straight to the sandbox.
func BenchmarkRequest(b *testing.B) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)         // a broken benchmark shows in its figures
		_, _ = io.WriteString(w, `{"exitCode":0}`) // likewise
	})
	f, _, srv := world(b, answer)
	for name, url := range map[string]string{
		"direct":  "http://" + netip.AddrPortFrom(f.target.Addr, 2280).String() + "/process/execute",
		"proxied": srv.URL + "/toolbox/" + id + "/process/execute",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, strings.NewReader(`{"command":"true"}`))
				if err != nil {
					b.Fatal(err)
				}
				req.Header.Set("Authorization", "Bearer dtn_good")
				res, err := http.DefaultClient.Do(req)
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, res.Body) // so that the connection is used again
				_ = res.Body.Close()                 // likewise
			}
		})
	}
}
