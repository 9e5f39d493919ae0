package cli

import (
	"crypto/rand"

	"github.com/spf13/pflag"

	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

// secrets says whether outputs show them.
type secrets struct{ show bool }

func (s *secrets) addFlag(flags *pflag.FlagSet) {
	flags.BoolVar(&s.show, "show-secrets", false, "Show what looks like a secret, which is masked otherwise.")
}

// masker returns what masks one report, or, if that was asked for, masks nothing. Its
// key is another one each time, so that a mask says nothing about its secret.
func (s secrets) masker() *mask.Masker {
	if s.show {
		return mask.Off()
	}
	return mask.New([]byte(rand.Text()))
}
