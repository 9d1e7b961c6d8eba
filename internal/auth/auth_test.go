package auth_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/sandlot-dev/sandlot/internal/auth"
)

func TestKeysAndTokensHaveTheWireForm(t *testing.T) {
	key, token := regexp.MustCompile(`^dtn_[0-9a-f]{64}$`), regexp.MustCompile(`^[a-z0-9_-]{32}$`)
	seen := map[string]bool{}
	for range 1000 {
		k, tok := auth.NewKey(), auth.NewToken()
		if !key.MatchString(k) || !token.MatchString(tok) {
			t.Fatalf("NewKey, NewToken = %q, %q", k, tok)
		}
		if seen[k] || seen[tok] {
			t.Fatalf("made twice: %q or %q", k, tok)
		}
		seen[k], seen[tok] = true, true
	}
}

func TestSandboxSecretsDiffer(t *testing.T) {
	a, b := auth.SandboxSecret([]byte("k"), "a"), auth.SandboxSecret([]byte("k"), "b")
	if a == b || a != auth.SandboxSecret([]byte("k"), "a") || a == auth.SandboxSecret([]byte("l"), "a") {
		t.Errorf("secrets do not depend on key and sandbox alone: %q, %q", a, b)
	}
	if !auth.Equal(a, a) || auth.Equal(a, b) {
		t.Error("Equal does not compare")
	}
}

func TestPortTokensOpenTheirPortAlone(t *testing.T) {
	form := regexp.MustCompile(`^[a-z0-9]{32}$`)
	root, other := auth.NewToken(), auth.NewToken()
	seen := map[string]int{}
	for port := 2; port <= 65535; port++ {
		derived := auth.PortToken(root, port)
		if twin, ok := seen[derived]; ok || !form.MatchString(derived) {
			t.Fatalf("port %d has %q, port %d too", port, derived, twin)
		}
		seen[derived] = port
		if got, ok := auth.PortOf(root, derived); !ok || got != port {
			t.Fatalf("the token of port %d is of port %d, %v", port, got, ok)
		}
	}
	derived := auth.PortToken(root, 3000)
	for _, wrong := range []string{
		"", root, derived[:31], derived + "a", auth.PortToken(other, 3000),
		auth.PortToken(root, 3001)[:4] + derived[4:], "ü" + derived, strings.ToUpper(derived),
	} {
		if port, ok := auth.PortOf(root, wrong); ok {
			t.Errorf("%q opens port %d", wrong, port)
		}
	}
	if _, ok := auth.PortOf("", auth.PortToken("", 3000)); ok {
		t.Error("a sandbox without a token has one for a port")
	}
	if l := auth.NewLink(); !auth.IsLink(l) || auth.IsLink(derived) || auth.IsLink(strings.ToUpper(l)) {
		t.Errorf("link %q", l)
	}
}
