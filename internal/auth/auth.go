// Package auth makes, hashes and compares credentials.
//
// Keys and tokens come from the system's random source. What is stored is their SHA-256 in hex; comparison is in
// constant time.
package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strconv"
	"strings"
)

// NewKey returns an API key: "dtn_" and 64 hex digits (docs/wire.md, "Names, keys and tokens").
func NewKey() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return "dtn_" + hex.EncodeToString(b[:])
}

// previewAlphabet has 32 letters, so that five random bits choose one without bias. Letters that are easily misread
// are not in it.
const previewAlphabet = "abcdefghijkmnpqrstuvwxyz23456789"

// NewToken returns a preview token: 32 lower-case letters and digits, 160 random bits.
func NewToken() string {
	var b [32]byte
	_, _ = rand.Read(b[:])
	for i := range b {
		b[i] = previewAlphabet[b[i]&31]
	}
	return string(b[:])
}

// Hash returns the SHA-256 of a credential in hex.
func Hash(credential string) string {
	sum := sha256.Sum256([]byte(credential))
	return hex.EncodeToString(sum[:])
}

// Equal compares two credentials in a time that does not depend on where, or whether, they differ.
func Equal(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// Mask returns a key's first and last characters with stars between (docs/wire.md, "Names, keys and tokens").
func Mask(prefix, suffix string) string { return prefix + strings.Repeat("*", 20) + suffix }

// SandboxSecret derives the secret that a runner presents to the toolbox of one sandbox. The sandbox is given only
// its hash.
func SandboxSecret(runnerKey []byte, sandbox string) string {
	mac := hmac.New(sha256.New, runnerKey)
	_, _ = mac.Write([]byte("toolbox:" + sandbox)) // a hash never fails to write
	return hex.EncodeToString(mac.Sum(nil))
}

// PortToken derives the token of one port from a sandbox's preview token: 32 letters of the same alphabet, of which
// the first four encode the port. It becomes void together with the preview token.
func PortToken(token string, port int) string {
	mac := hmac.New(sha256.New, []byte(token))
	_, _ = mac.Write([]byte("port:" + strconv.Itoa(port))) // a hash never fails to write
	letters := mac.Sum(nil)
	for i := range portLetters {
		letters[i] = byte(port >> (5 * (portLetters - 1 - i)))
	}
	for i := range letters {
		letters[i] = previewAlphabet[letters[i]&31]
	}
	return string(letters)
}

const portLetters = 4

// PortOf returns the port that a token derived from a preview token is for; ok is false for any other text.
func PortOf(token, derived string) (port int, ok bool) {
	if token == "" || len(derived) <= portLetters {
		return 0, false
	}
	for _, letter := range derived[:portLetters] {
		digit := strings.IndexRune(previewAlphabet, letter)
		if digit < 0 {
			return 0, false
		}
		port = port<<5 | digit
	}
	return port, Equal(derived, PortToken(token, port))
}

// NewLink returns the token of a signed preview link: 16 lower-case letters and digits, 80 random bits, fit for a
// label of a host name.
func NewLink() string { return NewToken()[:16] }

// IsLink reports whether a text looks like the token of a link.
func IsLink(text string) bool {
	foreign := func(r rune) bool { return !strings.ContainsRune(previewAlphabet, r) }
	return len(text) == 16 && !strings.ContainsFunc(text, foreign)
}
