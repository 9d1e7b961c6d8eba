package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/sandlot-dev/sandlot/internal/doctor"
)

// reachable turns a listening address into one that can be called.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

func dashboardURL(cfg config) string { return "http://" + reachable(cfg.APIListen) + "/dashboard" }

// checkPort checks that a running server answers at addr, or that a server can listen there.
func checkPort(ctx context.Context, name, addr string, running bool) doctor.Finding {
	if running {
		d := net.Dialer{Timeout: time.Second}
		conn, err := d.DialContext(ctx, "tcp", reachable(addr))
		if err != nil {
			return doctor.Finding{
				Check: name, Result: doctor.Broken, Detail: "Sandlot runs but " + addr + " does not answer: " + err.Error(),
				Fix: "sandlot down, then sandlot up",
			}
		}
		_ = conn.Close() // nothing was sent
		return doctor.Finding{Check: name, Result: doctor.OK, Detail: addr + " answers"}
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		setting := strings.ReplaceAll(name, " port", "_listen")
		return doctor.Finding{
			Check: name, Result: doctor.Broken, Detail: err.Error(),
			Fix: "end what listens there, or choose another address (" + setting + ")",
		}
	}
	_ = ln.Close() // nothing came in
	return doctor.Finding{Check: name, Result: doctor.OK, Detail: addr + " is free"}
}

// checkClock compares this machine's clock with the date of this release and with the clock of a running server.
func checkClock(ctx context.Context, cfg config, running bool) doctor.Finding {
	now := time.Now().UTC()
	if now.Year() < 2026 {
		return doctor.Finding{
			Check: "clock", Result: doctor.Broken,
			Detail: now.Format(time.RFC3339) + " is in the past; certificates will be refused",
			Fix:    "set the clock, for example with systemd-timesyncd",
		}
	}
	if running {
		if skew := serverSkew(ctx, cfg); skew > 10*time.Second {
			return doctor.Finding{
				Check: "clock", Result: doctor.Broken, Detail: fmt.Sprintf("the server's clock differs by %v", skew),
				Fix: "synchronise the clocks",
			}
		}
	}
	return doctor.Finding{Check: "clock", Result: doctor.OK, Detail: now.Format(time.RFC3339)}
}

// serverSkew returns by how much the server's clock differs from ours, 0 if the server does not tell.
func serverSkew(ctx context.Context, cfg config) time.Duration {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+reachable(cfg.APIListen)+"/api/health", nil)
	if err != nil {
		return 0
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	_ = res.Body.Close() // only its header counts
	at, err := http.ParseTime(res.Header.Get("Date"))
	if err != nil {
		return 0
	}
	return time.Since(at).Abs()
}
