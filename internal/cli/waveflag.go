package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/config"
)

// parseWave reads NAME; KEY=VALUE; … of a flag.
func parseWave(text string) (config.Wave, error) {
	name, rest, _ := strings.Cut(text, ";")
	w := config.Wave{Name: strings.TrimSpace(name)}
	set := map[string]func(string) error{
		"namespaceSelector":     func(value string) error { w.NamespaceSelector = value; return nil },
		"selector":              func(value string) error { w.Selector = value; return nil },
		"soak":                  func(value string) (err error) { w.Soak.Duration, err = time.ParseDuration(value); return err },
		"maxDriftPercent":       func(value string) (err error) { w.MaxDriftPercent, err = percentOf(value); return err },
		"maxUnavailablePercent": func(value string) (err error) { w.MaxUnavailablePercent, err = percentOf(value); return err },
		"maxRisk":               func(value string) error { w.MaxRisk = change.Risk(value); return nil },
	}
	for item := range strings.SplitSeq(rest, ";") {
		if strings.TrimSpace(item) == "" {
			continue
		}
		key, value, ok := strings.Cut(strings.TrimSpace(item), "=")
		if !ok || set[key] == nil {
			return w, errors.New(`give NAME; KEY=VALUE; …, as in "staging; namespaceSelector=env=staging; soak=24h", with the keys namespaceSelector, selector, soak, maxDriftPercent, maxUnavailablePercent and maxRisk`)
		}
		if err := set[key](value); err != nil {
			return w, fmt.Errorf("%s is %q: %w", key, value, err)
		}
	}
	return w, nil
}

func percentOf(text string) (int, error) { return strconv.Atoi(strings.TrimSuffix(text, "%")) }
