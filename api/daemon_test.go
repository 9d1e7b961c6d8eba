package api_test

import (
	"testing"

	"github.com/sandlot-dev/sandlot/api"
)

func TestPortOneIsThePreviewOfTheToolbox(t *testing.T) {
	for port, want := range map[int]int{1: api.ToolboxPort, api.ToolboxPort: api.ToolboxPort, 3000: 3000} {
		if got := api.PreviewPort(port); got != want {
			t.Errorf("PreviewPort(%d) = %d, want %d", port, got, want)
		}
	}
}
