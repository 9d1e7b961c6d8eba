package proxy_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/proxy"
)

func TestOwnAddresses(t *testing.T) {
	f, p, ways := doors(t, echo)
	w := ways[len(ways)-1]
	if res, _ := w.ask(t, http.MethodGet, "/", nil); res.StatusCode != http.StatusOK {
		t.Errorf("status %d", res.StatusCode)
	}
	if at, opened, err := p.Open(t.Context(), id, 8702); err != nil || opened || at.String() != w.host {
		t.Errorf("asked for again it is %v, %v", at, err)
	}
	named := w
	named.host = "evil.test:8702" // a name that leads to this address
	if res, _ := named.ask(t, http.MethodGet, "/", nil); res.StatusCode != http.StatusNotFound {
		t.Errorf("by a name: %d", res.StatusCode)
	}
	if _, _, err := p.Open(t.Context(), "other", 8702); err != nil {
		t.Errorf("another sandbox: %v", err)
	}
	f.set(func(f *fleet) { f.target.ID = "gone" })
	p.Forget(id)
	for deadline := time.Now().Add(10 * time.Second); ; {
		if _, err := http.Get("http://" + w.host); err != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the address of a sandbox that is gone is still open")
		}
	}
}

// TestAddressesEndWithTheProxy opens addresses while Run ends: none stays open.
func TestAddressesEndWithTheProxy(t *testing.T) {
	for range 50 {
		p, err := proxy.New(proxy.Config{Locator: &fleet{}, Domain: domain, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = p.Run(ctx) })
		var opened netip.AddrPort
		running.Go(func() {
			if at, _, err := p.Open(t.Context(), rand.Text(), 8702); err == nil {
				opened = at
			}
		})
		running.Go(stop)
		running.Wait()
		if opened.IsValid() {
			if conn, err := net.Dial("tcp", opened.String()); err == nil {
				_ = conn.Close()
				t.Fatal("an address is open after the proxy's end")
			}
		}
	}
}
