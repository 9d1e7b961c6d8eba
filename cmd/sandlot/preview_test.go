package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/proxy"
)

// nowhere is a Locator that knows of every sandbox while gone is not set.
type nowhere struct{ gone bool }

func (n *nowhere) Locate(_ context.Context, id string) (proxy.Target, error) {
	if n.gone {
		return proxy.Target{}, fleet.ErrNotFound
	}
	return proxy.Target{ID: id, State: "stopped"}, nil
}

func (*nowhere) Admit(context.Context, string, string) (time.Time, error) {
	return time.Time{}, fleet.ErrNotFound
}

func (*nowhere) Link(context.Context, string) (proxy.Link, error) {
	return proxy.Link{}, fleet.ErrNoLink
}
func (*nowhere) Touch(string, int) {}

// doorStore counts what is written, and fails with err.
type doorStore struct {
	writes int
	err    error
}

func (s *doorStore) PutDoor(context.Context, fleet.Door) error {
	s.writes++
	return s.err
}

// An address is written down once, and is given also where that fails, but not of a sandbox that is gone.
func TestAddressesAreGivenOnAFullDisk(t *testing.T) {
	for _, tc := range []struct {
		name  string
		err   error
		given bool
	}{
		{"written", nil, true},
		{"full disk", errors.New("database or disk is full"), true},
		{"deleted meanwhile", fleet.ErrNotFound, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := proxy.New(proxy.Config{
				Locator: &nowhere{gone: !tc.given}, Domain: "localhost",
				Logger: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
			var running sync.WaitGroup
			running.Go(func() { _ = p.Run(ctx) })
			defer running.Wait()
			defer stop()
			store := &doorStore{err: tc.err}
			seen := &previews{mode: previewLoopback, proxy: p, store: store, logger: slog.New(slog.DiscardHandler)}
			id := uuid.NewString()
			for range 3 {
				address, err := seen.Address(t.Context(), id, 38702, "")
				if (err == nil) != tc.given {
					t.Fatalf("%q, %v", address, err)
				}
				if !tc.given {
					return
				}
				conn, err := net.Dial("tcp", strings.TrimPrefix(address, "http://"))
				if err != nil {
					t.Fatal(err)
				}
				_ = conn.Close()
			}
			if store.writes != 1 {
				t.Errorf("three questions wrote %d times", store.writes)
			}
		})
	}
}
