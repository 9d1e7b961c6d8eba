package auth_test

import (
	"regexp"
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
