package toolbox

import (
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"
)

// dialect is how a client wants the output of session commands; it depends on its version (toolbox.md 4.5).
type dialect uint8

const (
	plainText  dialect = iota // one text
	markedText                // one text with markers where the stream changes
	splitJSON                 // text with markers, and both streams apart
)

// The tokens by which clients that cannot set headers say things in the subprotocols of a websocket.
const (
	tokenVersion     = "X-Daytona-SDK-Version~"
	tokenExitControl = "X-Daytona-Pty-Exit-Control"
	tokenEnvs        = "X-Daytona-Pty-Envs~"
)

// dialectOf tells the dialect, and whether the client said anything about it.
func dialectOf(c *gin.Context) (d dialect, told bool) {
	version := sdkVersion(c)
	split := c.GetHeader("X-Daytona-Split-Output") == "true"
	switch {
	case version == "" && !split:
		return plainText, false
	case version != "" && atLeast(version, 0, 167):
		return splitJSON, true
	case split, atLeast(version, 0, 27):
		return markedText, true
	default:
		return plainText, true
	}
}

// sdkVersion returns the version of the client's SDK as it was sent, "" when it was not.
func sdkVersion(c *gin.Context) string {
	if v := strings.TrimSpace(c.GetHeader("X-Daytona-SDK-Version")); v != "" {
		return v
	}
	for _, token := range subprotocols(c) {
		if v, ok := strings.CutPrefix(token, tokenVersion); ok {
			return v
		}
	}
	return ""
}

// atLeast compares a version. One with "dev" in it is the newest; one that cannot be read has markers but no JSON, so it is between
// 0.27 and 0.167.
func atLeast(version string, major, minor int) bool {
	if strings.Contains(version, "dev") {
		return true
	}
	core, _, _ := strings.Cut(strings.TrimPrefix(version, "v"), "-")
	parts := strings.Split(core, ".")
	if len(parts) >= 2 {
		x, errX := strconv.Atoi(parts[0])
		y, errY := strconv.Atoi(parts[1])
		if errX == nil && errY == nil {
			return x > major || x == major && y >= minor
		}
	}
	return major == 0 && minor < 167
}

// subprotocols returns the tokens that a websocket client offers.
func subprotocols(c *gin.Context) (tokens []string) {
	for _, line := range c.Request.Header.Values("Sec-WebSocket-Protocol") {
		for token := range strings.SplitSeq(line, ",") {
			if token = strings.TrimSpace(token); token != "" {
				tokens = append(tokens, token)
			}
		}
	}
	return tokens
}

// chooseSubprotocol returns the token to confirm: exactly one of those offered, "" when there were none. Some clients fail without one;
// that of the environment holds secrets and is taken only when it is alone.
func chooseSubprotocol(offered []string) string {
	best, rank := "", 0
	for _, token := range offered {
		r := 2
		switch {
		case strings.HasPrefix(token, tokenVersion):
			r = 4
		case token == tokenExitControl:
			r = 3
		case strings.HasPrefix(token, tokenEnvs):
			r = 1
		}
		if r > rank {
			best, rank = token, r
		}
	}
	return best
}
