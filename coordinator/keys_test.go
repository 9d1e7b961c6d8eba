package coordinator_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// TestKeysAskForWhatTheyNeed has keys that would be less, or more, than was meant.
func TestKeysAskForWhatTheyNeed(t *testing.T) {
	c := newControl(t)
	for _, body := range []string{
		`{"name":"no permissions"}`, `{"name":"no list","permissions":null}`,
		`{"name":"year one","permissions":[],"expiresAt":"0001-01-01T00:00:00Z"}`,
		`{"name":"first key 12345678","permissions":[]}`, `{"name":"..","permissions":[]}`,
	} {
		if status, answer := c.call("POST", "/api-keys", body); status != http.StatusBadRequest {
			t.Errorf("%s: %d %s, want 400", body, status, answer)
		}
	}
}

// TestKeysAreListedByUse lists by last use, and what was never used by age.
func TestKeysAreListedByUse(t *testing.T) {
	c := newControl(t)
	var values []string
	for _, name := range []string{"a", "b", "c", "d"} {
		status, answer := c.call("POST", "/api-keys", `{"name":"`+name+`","permissions":["read:volumes","read:volumes"]}`)
		var made struct {
			Value       string
			Permissions []string
		}
		if err := json.Unmarshal([]byte(answer), &made); err != nil || status != http.StatusCreated ||
			len(made.Permissions) != 1 {
			t.Fatalf("%d %s", status, answer)
		}
		values = append(values, made.Value)
	}
	for _, i := range []int{2, 0} {
		if status, answer := c.as(values[i], "GET", "/users/me", ""); status != http.StatusOK {
			t.Fatalf("%d %s", status, answer)
		}
	}
	_, answer := c.call("GET", "/api-keys", "")
	var list []struct{ Name, Value string }
	if err := json.Unmarshal([]byte(answer), &list); err != nil {
		t.Fatalf("%s: %v", answer, err)
	}
	var names []string
	for _, k := range list {
		if !strings.HasPrefix(k.Name, "first key ") {
			names = append(names, k.Name)
		}
	}
	if got := strings.Join(names, " "); got != "a c d b" || len(list) != 5 {
		t.Errorf("listed %s of %d, want a c d b: the last used first, then the youngest", got, len(list))
	}
	for _, v := range values {
		if strings.Contains(answer, v) {
			t.Errorf("the list tells a key: %s", answer)
		}
	}
}
