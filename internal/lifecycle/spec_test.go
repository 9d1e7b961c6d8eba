package lifecycle_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/sandlot-dev/sandlot/internal/lifecycle"
)

// TestSpecIsReadFromLabelsOfEarlierReleases holds the JSON of a Spec, which containers carry for as long as they live.
func TestSpecIsReadFromLabelsOfEarlierReleases(t *testing.T) {
	const label = `{"ID":"id","Name":"n","Organization":"o","Region":"us","Snapshot":"default","Image":"i","User":"u",` +
		`"Env":{"A":"1"},"Labels":{"team":"core"},"CPU":2,"Memory":3,"Disk":4}`
	want := lifecycle.Spec{
		Identity: lifecycle.Identity{
			ID: "id", Name: "n", Organization: "o", Region: "us", Snapshot: "default", Labels: map[string]string{"team": "core"},
		},
		Resources: lifecycle.Resources{CPU: 2, Memory: 3, Disk: 4},
		Image:     "i", User: "u", Env: map[string]string{"A": "1"},
	}
	var got lifecycle.Spec
	if err := json.Unmarshal([]byte(label), &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, %v; want %+v", got, err, want)
	}
	var keys, wantKeys map[string]any // an older release reads what this one writes
	written, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(written, &keys); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(label), &wantKeys); err != nil || !reflect.DeepEqual(keys, wantKeys) {
		t.Errorf("written %s, %v; want %s", written, err, label)
	}
}
