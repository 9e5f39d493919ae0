// Command gitleaks makes internal/mask/gitleaks.json of gitleaks' rules
// (github.com/zricethezav/gitleaks, MIT). From the repository's root:
//
//	dir=$(go mod download -json github.com/zricethezav/gitleaks/v8@v8.30.1 | jq -r .Dir)
//	go run -C tools ./gitleaks $dir v8.30.1 ../internal/mask
//
// It leaves out rules of files' paths, of names alone and of several words,
// identifiers that are no secret, and which files and values gitleaks lets pass.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/BurntSushi/toml"
)

// leftOut are what the masker finds by itself, and public identifiers.
var leftOut = regexp.MustCompile(`^(generic-api-key|curl-.*|kubernetes-secret-yaml|private-key|sidekiq-sensitive-url|.*-client-id|.*-pub-key|.*-public-key|.*-pub-api-key|sumologic-access-id)$`)

type rule struct {
	ID       string   `toml:"id" json:"id"`
	Regex    string   `toml:"regex" json:"regex"`
	Keywords []string `toml:"keywords" json:"keywords"`
	Entropy  float64  `toml:"entropy" json:"entropy,omitempty"`
	Group    int      `toml:"secretGroup" json:"group,omitempty"`
	Path     string   `toml:"path" json:"-"`
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: gitleaks DIRECTORY-OF-GITLEAKS VERSION DIRECTORY-TO-WRITE-TO")
		os.Exit(2)
	}
	if err := convert(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func convert(from, version, to string) error {
	var config struct {
		Rules []rule `toml:"rules"`
	}
	if _, err := toml.DecodeFile(filepath.Join(from, "config", "gitleaks.toml"), &config); err != nil {
		return err
	}
	kept := []rule{}
	for _, r := range config.Rules {
		if r.Regex == "" || r.Path != "" || len(r.Keywords) == 0 || leftOut.MatchString(r.ID) {
			continue
		}
		if _, err := regexp.Compile(r.Regex); err != nil {
			return fmt.Errorf("rule %s: %w", r.ID, err)
		}
		kept = append(kept, r)
	}
	licence, err := os.ReadFile(filepath.Join(from, "LICENSE"))
	if err != nil {
		return err
	}
	file := struct {
		Origin  string   `json:"origin"`
		Licence []string `json:"licence"`
		Rules   []rule   `json:"rules"`
	}{"github.com/zricethezav/gitleaks " + version + ", config/gitleaks.toml", strings.Split(strings.TrimSpace(string(licence)), "\n"), kept}
	out, err := os.Create(filepath.Join(to, "gitleaks.json"))
	if err != nil {
		return err
	}
	defer out.Close()
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	return encoder.Encode(file)
}
