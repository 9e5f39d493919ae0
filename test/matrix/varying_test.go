package matrix

import (
	"fmt"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

// varyingRows are injectors of whose answers some places are other ones each time: these
// hide no other difference, and make none.
func varyingRows() []row {
	secrets := []string{"db", "api", "tls", "queue", "mail", "cache", "search", "files", "users", "audit"}
	const (
		config  = "container/vault-agent env[VAULT_CONFIG].value"
		limit   = "container/vault-agent resources.limits.memory"
		image   = "container/vault-agent image"
		request = "container/vault-agent resources.requests.memory" // of which the limit is the default
	)
	replicas := func(r row) row {
		const selector = "  selector: {matchLabels: {matrix-row: \"ROW\"}}\n"
		r.manifest, r.pods = workloadOf("apps/v1", "Deployment", "  replicas: 3\n"+selector+"  template: "+template), 3
		return r
	}
	var rows []row
	for _, n := range []int{1, 2, 3, 10} {
		name := fmt.Sprintf("like Vault's: %d secrets in the order of a map, ", n)
		agent := func(image, memory, address string) injector.Answer {
			return injector.VaultAgent(image, memory, address, injector.Orders(secrets[:n]...))
		}
		same := agent("agent:1", "128Mi", "https://vault:8200")
		rows = append(rows,
			replicas(habit(name+"and nothing changes", same, same)),
			replicas(habit(name+"another image and limit", same, agent("agent:2", "256Mi", "https://vault:8200"), image, limit, request)))
		if n == 1 {
			continue // nothing varies, and the bytes decide until another workload's do
		}
		rows = append(rows,
			habit(name+"another address", same, agent("agent:1", "128Mi", "https://vault-2:8200"), config+" → vault.address"),
			habit(name+"all of these", same, agent("agent:2", "256Mi", "https://vault-2:8200"), config+" → vault.address", image, limit, request))
	}
	n := 0
	nonce := func(image, more string) injector.Answer {
		return func(injector.Request) []injector.Operation {
			n++
			return containers(fmt.Sprintf(`{"name":"agent","image":%q,"env":[{"name":"NONCE","value":"nonce-%d"},
				{"name":"CONFIG","value":"{\"address\":\"%s\",\"id\":%d}"}]}`, image, n, more, n))
		}
	}
	const (
		random = "container/agent env[NONCE].value"
		inside = "container/agent env[CONFIG].value"
	)
	beside := func(name string, then injector.Answer, changes ...string) row {
		r := habit("random values, in JSON, too, and "+name, nonce("agent:1", "a"), then, append(changes, inside, random)...)
		r.was = &expectation{verdict.Unstable, []string{inside, random}}
		r.left = r.was
		return r
	}
	return append(rows,
		beside("another image", nonce("agent:2", "a"), "container/agent image"),
		beside("another address beside one in JSON", nonce("agent:1", "b"), inside+" → address"),
		beside("nothing changes", nonce("agent:1", "a")).as(verdict.Unstable))
}
