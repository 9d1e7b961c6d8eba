package process_test

import (
	"syscall"
	"testing"

	"github.com/sandlot-dev/sandlot/process"
)

func TestSignalReachesTheLeader(t *testing.T) {
	m := newManager(t, process.Config{})
	p, err := m.Start(process.Spec{Script: "trap 'echo got; exit 4' USR1; echo ready; while :; do sleep 0.01; done"})
	if err != nil {
		t.Fatal(err)
	}
	speaks(t, p)
	p.Signal(syscall.SIGUSR1, false)
	<-p.Drained()
	if res := p.Result(); res.ExitCode != 4 || text(t, res.Output, 0) != "ready\ngot\n" {
		t.Errorf("result = %+v", res)
	}
}
