package coordinator

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
	"github.com/sandlot-dev/sandlot/internal/version"
)

const (
	defaultLimit = 100
	maxLimit     = 200
	maxPage      = 1 << 40 // more than any list has; the product with a page size must not overflow
	maxFilter    = 1000    // bytes of a filter, and number of values of one

	maxLabelFilters = 64 // as many as a sandbox has
)

// knownStates are the states of the wire, which filters may name. Those that this release does not use match nothing.
var knownStates = []string{
	"archived", "archiving", "build_failed", "building_snapshot", "creating", "destroying", "error", "forking", "paused",
	"pausing", "pending_build", "pulling_snapshot", "resizing", "restoring", "resuming", "snapshotting", "started",
	"starting", "stopped", "stopping", "unknown",
}

// sorts has the wire's names of orders, also those of the older list.
var sorts = map[string]fleet.Sort{
	"": fleet.SortActivity, "name": fleet.SortName, "cpu": fleet.SortCPU, "memoryGib": fleet.SortMemory,
	"diskGib": fleet.SortDisk, "lastActivityAt": fleet.SortActivity, "createdAt": fleet.SortCreated,
	"updatedAt": fleet.SortUpdated, "state": fleet.SortState, "snapshot": fleet.SortSnapshot, "region": fleet.SortRegion,
	"id": fleet.SortID,
}

// sdkVersion is the header with the release of a published client.
const sdkVersion = "X-Daytona-SDK-Version"

// listSandboxes handles GET /sandbox. The published clients before 0.104 take a list of all whole sandboxes in place
// of a page.
func (s *Server) listSandboxes(c *gin.Context) error {
	if v := c.GetHeader(sdkVersion); v != "" && !version.AtLeast(v, 0, 104) {
		return s.listWhole(c)
	}
	p := params{c: c}
	q := p.common()
	q.IDPrefix, q.NamePrefix, q.Regions = p.word("id"), p.word("name"), p.list("regionIds")
	q.CreatedFrom, q.CreatedTo = p.time("createdAtAfter"), p.time("createdAtBefore")
	q.DestroyFrom, q.DestroyTo = p.time("autoDestroyAtAfter"), p.time("autoDestroyAtBefore")
	q.After = p.cursor()
	nothing := len(p.list("sandboxClasses")) > 0 && !slices.Contains(p.list("sandboxClasses"), "container") ||
		c.Query("isRecoverable") == "true" || p.number("minGpu", 0) > 0
	if p.err != nil {
		return p.err
	}
	out := api.ListSandboxes{Items: []api.SandboxListItem{}}
	if nothing {
		c.JSON(http.StatusOK, out)
		return nil
	}
	page, err := s.cfg.Fleet.List(c.Request.Context(), q)
	if err != nil {
		return err
	}
	for _, sb := range page.Sandboxes {
		out.Items = append(out.Items, s.wireItem(sb))
	}
	if page.Next != nil {
		cursor := writeCursor(*page.Next)
		out.NextCursor = &cursor
	}
	c.JSON(http.StatusOK, out)
	return nil
}

// listWhole answers a plain JSON list of all matching sandboxes. It writes each page as it is read.
func (s *Server) listWhole(c *gin.Context) error {
	p := params{c: c}
	q := p.common()
	if p.err != nil {
		return p.err
	}
	q.Limit = maxLimit
	before := []byte("[")
	for {
		page, err := s.cfg.Fleet.List(c.Request.Context(), q)
		if err != nil {
			return err
		}
		c.Header("Content-Type", "application/json; charset=utf-8")
		for _, sb := range page.Sandboxes {
			raw, err := json.Marshal(s.wireSandbox(sb))
			if err != nil {
				return err
			}
			if _, err := c.Writer.Write(append(before, raw...)); err != nil {
				return err
			}
			before = []byte(",")
		}
		if q.After = page.Next; q.After != nil {
			continue
		}
		end := []byte("]")
		if before[0] == '[' {
			end = []byte("[]")
		}
		_, err = c.Writer.Write(end)
		return err
	}
}

// paginateSandboxes handles GET /sandbox/paginated.
func (s *Server) paginateSandboxes(c *gin.Context) error {
	p := params{c: c}
	q := p.common()
	q.NamePart, q.IDPrefix, q.Regions = p.word("name"), p.word("id"), p.list("regions")
	if c.Query("sort") == "" {
		q.Sort = fleet.SortCreated
	}
	number := min(max(p.number("page", 1), 1), maxPage)
	q.Offset = (number - 1) * q.Limit
	if p.err != nil {
		return p.err
	}
	page, err := s.cfg.Fleet.List(c.Request.Context(), q)
	if err != nil {
		return err
	}
	out := api.PaginatedSandboxes{
		Items: []api.Sandbox{}, Total: page.Total, Page: number, TotalPages: (page.Total + q.Limit - 1) / q.Limit,
	}
	for _, sb := range page.Sandboxes {
		out.Items = append(out.Items, s.wireSandbox(sb))
	}
	c.JSON(http.StatusOK, out)
	return nil
}

// params reads query parameters and keeps the first error.
type params struct {
	c   *gin.Context
	err error
}

// common reads the parameters that all lists have.
func (p *params) common() fleet.Query {
	q := fleet.Query{
		Organization: caller(p.c).Organization, Labels: p.labels(), Snapshots: p.list("snapshots"),
		MinCPU: p.number("minCpu", 0), MaxCPU: p.number("maxCpu", 0), MinMemory: p.number("minMemoryGiB", 0),
		MaxMemory: p.number("maxMemoryGiB", 0), MinDisk: p.number("minDiskGiB", 0), MaxDisk: p.number("maxDiskGiB", 0),
		ActivityFrom: p.time("lastEventAfter"), ActivityTo: p.time("lastEventBefore"), Limit: p.number("limit", defaultLimit),
		Descending: p.c.Query("order") != "asc",
	}
	if q.Limit < 1 || q.Limit > maxLimit {
		p.fail("limit must be from 1 to %d, not %d", maxLimit, q.Limit)
	}
	by, ok := sorts[p.c.Query("sort")]
	if q.Sort = by; !ok {
		p.fail("sort: %q is not one of name, cpu, memoryGib, diskGib, lastActivityAt, createdAt", shorten(p.c.Query("sort")))
	}
	for _, state := range p.list("states") {
		if !slices.Contains(knownStates, state) {
			p.fail("states: %q is not one of %s", shorten(state), strings.Join(knownStates, ", "))
		}
		q.States = append(q.States, lifecycle.State(state))
	}
	if public := p.c.Query("isPublic"); public != "" {
		is := public == "true"
		q.Public = &is
	}
	return q
}

func (p *params) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fault.Newf(fault.Invalid, format, args...)
	}
}

// word reads a text filter.
func (p *params) word(key string) string {
	text := p.c.Query(key)
	p.checkWord(key, text)
	return text
}

func (p *params) checkWord(key, text string) {
	switch {
	case len(text) > maxFilter:
		p.fail("%s must be at most %d bytes, not %d", key, maxFilter, len(text))
	case strings.ContainsRune(text, 0) || !utf8.ValidString(text):
		p.fail("%s must be UTF-8 without NUL bytes", key)
	}
}

// list reads a repeated parameter, also in the form key[]=.
func (p *params) list(key string) []string {
	all := append(p.c.QueryArray(key), p.c.QueryArray(key+"[]")...)
	if len(all) > maxFilter {
		p.fail("%s may be given %d times at most, not %d", key, maxFilter, len(all))
	}
	for _, text := range all {
		p.checkWord(key, text)
	}
	return all
}

func (p *params) number(key string, otherwise int) int {
	text := p.c.Query(key)
	if text == "" {
		return otherwise
	}
	n, err := wholeNumber(key, text)
	if err != nil && p.err == nil {
		p.err = err
	}
	return n
}

func (p *params) time(key string) time.Time {
	text := p.c.Query(key)
	if text == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if t = t.UTC(); err != nil || t.Year() < 1970 || t.Year() > 9999 {
		p.fail("%s must be a time such as 2026-08-20T10:11:12Z, from 1970 to 9999, not %q", key, shorten(text))
	}
	return t
}

func (p *params) labels() map[string]string {
	text := p.c.Query("labels")
	if text == "" {
		return nil
	}
	var labels map[string]string
	if err := json.Unmarshal([]byte(text), &labels); err != nil {
		p.fail("labels must be a JSON object of strings, not %q", shorten(text))
	}
	if len(labels) > maxLabelFilters {
		p.fail("labels: at most %d can be asked for, not %d", maxLabelFilters, len(labels))
	}
	for name, value := range labels {
		p.checkWord("labels", name)
		p.checkWord("labels", value)
	}
	return labels
}

func (p *params) cursor() *fleet.Cursor {
	text := p.c.Query("cursor")
	if text == "" {
		return nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	var parts []string
	if err == nil {
		err = json.Unmarshal(raw, &parts)
	}
	if err != nil || len(parts) != 2 || strings.ContainsRune(parts[0]+parts[1], 0) {
		p.fail("cursor does not belong to this list; begin again without one")
		return nil
	}
	return &fleet.Cursor{Value: parts[0], ID: parts[1]}
}

// shorten cuts a caller's text for an error message.
func shorten(text string) string {
	if len(text) > 100 {
		return strings.ToValidUTF8(text[:100], "") + "…"
	}
	return text
}

func writeCursor(c fleet.Cursor) string {
	raw, _ := json.Marshal([]string{c.Value, c.ID}) // strings always encode
	return base64.RawURLEncoding.EncodeToString(raw)
}
