package cluster_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// endVariable makes this test binary the owner of a cluster; its value says how
// the owner ends.
const endVariable = "CLUSTER_TEST_OWNER_ENDS_BY"

// owner starts a cluster, prints its directory and ends without stopping it.
func owner(end string) {
	c, err := cluster.Start(context.Background(), cluster.Options{Nodes: 1})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// A name in its arguments makes the process one of the cluster's for
	// processesOf, also where the control plane is another cluster's.
	if _, err := c.Run("own", "tail", []string{"-f", filepath.Join(c.LogDir(), "own.log")}, nil); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(c.Dir())
	// Whoever reads that line closes stdin when it has seen the processes.
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	switch end {
	case "os.Exit":
		os.Exit(3)
	case "panic":
		panic("the owner panics")
	default:
		select {}
	}
}
