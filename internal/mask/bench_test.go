package mask

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/internal/mask/masktest"
)

// BenchmarkCorpus masks all that Pods hold, each value new to the masker.
func BenchmarkCorpus(b *testing.B) {
	cases := append(masktest.Secrets(1), masktest.Harmless()...)
	size := 0
	for _, c := range cases {
		size += len(c.Value)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		m := New([]byte("salt"))
		for _, c := range cases {
			m.At(c.Path, c.Value)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(size)*1024, "ns/KB")
}

// BenchmarkHostile masks the largest texts that are looked at, of which each part
// invites a closer look.
func BenchmarkHostile(b *testing.B) {
	for _, part := range []string{
		"token=http://", "password=$x;", "ghp_ sk_live_ xoxb- ", "a=", `"`, `{"`, "[", "user:pw@", "://a:b@c", "-----BEGIN ", "name: token\n", "YWJjZGVm",
		"--password --", "Bearer ", "aa.bb-cc_dd/", "mysql -p ", "hooks.slack.com/", "<token>", `\"password\":\"`, "pass ", "=", ":", "adafruit_datadog_", "sk", "s.",
	} {
		text := strings.Repeat(part, maxText/len(part))
		b.Run(fmt.Sprintf("%.8q", part), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				m := New([]byte("salt"))
				m.Value("x", text)
				m.Prose(text)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(text))*1024, "ns/KB")
		})
	}
}
