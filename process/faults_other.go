//go:build !amd64 && !arm64

package process

// filterFaults does nothing here: a fault that sigqueue sends is taken for one of this program's own.
func filterFaults() {}
