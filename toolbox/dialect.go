package toolbox

import (
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/sandlot-dev/sandlot/internal/version"
)

// dialect is how a client wants the output of session commands; it depends on its version (docs/wire.md, "The
// toolbox: sessions and terminals").
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
	sdk := sdkVersion(c)
	split := c.GetHeader("X-Daytona-Split-Output") == "true"
	switch {
	case sdk == "" && !split:
		return plainText, false
	case sdk != "" && version.AtLeast(sdk, 0, 167):
		return splitJSON, true
	case split, version.AtLeast(sdk, 0, 27):
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

// chooseSubprotocol returns the token to confirm: exactly one of those offered, "" when there were none. Some clients
// fail without one; that of the environment holds secrets and is taken only when it is alone.
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
