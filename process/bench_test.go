package process_test

import (
	"os/exec"
	"testing"

	"github.com/sandlot-dev/sandlot/process"
)

func BenchmarkRun(b *testing.B) {
	m := newManager(b, process.Config{})
	for b.Loop() {
		res, err := m.Run(b.Context(), process.Spec{Script: "true"})
		if err != nil {
			b.Fatal(err)
		}
		res.Discard()
	}
}

func BenchmarkRunParallel(b *testing.B) {
	m := newManager(b, process.Config{Reap: true})
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			res, err := m.Run(b.Context(), process.Spec{Script: "true"})
			if err != nil {
				b.Error(err)
				return
			}
			res.Discard()
		}
	})
}

func BenchmarkExecParallel(b *testing.B) {
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := exec.Command("bash", "-c", "true").Run(); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
