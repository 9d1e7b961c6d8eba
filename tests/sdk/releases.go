package sdk

// Release is one of the published clients' releases that have to do the small program (python/releases.py,
// typescript/releases.mjs).
type Release struct {
	Version string
	Always  bool // in every run of the tests; the others run by `make clients`
}

// PythonReleases and NodeReleases are the matrix, by age; the last of Python is the one of the table of methods.
var (
	PythonReleases = []Release{
		{"0.21.8", true},
		{"0.27.1", false},
		{"0.103.0", false},
		{"0.111.1", true},
		{"0.112.0", false},
		{"0.113.2", false},
		{"0.125.0", false},
		{"0.138.0", false},
		{"0.155.0", false},
		{"0.171.0", false},
		{"0.187.0", false},
		{"0.190.1", true},
		{"0.200.2", false},
		{"0.205.1", false},
		{"0.211.2", false},
		{"0.223.1", false},
		{"0.226.1", true},
	}
	NodeReleases = []Release{
		{"0.21.5", true},
		{"0.27.1", false},
		{"0.108.1", true},
		{"0.111.1", false},
		{"0.115.2", false},
		{"0.123.0", false},
		{"0.134.0", false},
		{"0.154.0", false},
		{"0.175.0", false},
		{"0.190.1", false},
		{"0.205.1", false},
		{"0.218.0", true},
	}
)
