package image

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// stage is what stands between one FROM and the next.
type stage struct {
	base         string // of FROM, arguments expanded
	name         string // of AS; may be empty
	instructions []instruction
}

// instruction is one line of a Dockerfile, continuations joined and arguments
// expanded.
type instruction struct {
	keyword string            // in capitals
	flags   map[string]string // --from=build is from: build
	rest    string
}

// fields splits what is not a flag at white space.
func (i instruction) fields() []string { return strings.Fields(i.rest) }

// list reads the JSON form of, say, ENTRYPOINT.
func (i instruction) list() ([]string, error) {
	var words []string
	if err := json.Unmarshal([]byte(i.rest), &words); err != nil {
		return nil, fmt.Errorf("%s %s: want the JSON form: %w", i.keyword, i.rest, err)
	}
	return words, nil
}

// parse reads as much of the Dockerfile language as ours uses, with given
// values for its build arguments.
func parse(source string, arguments map[string]string) ([]stage, error) {
	var stages []stage
	global, local := map[string]string{}, map[string]string{}
	for _, line := range logicalLines(source) {
		keyword, rest, _ := strings.Cut(line, " ")
		keyword, rest = strings.ToUpper(keyword), strings.TrimSpace(rest)
		switch {
		case keyword == "ARG":
			name, value, _ := strings.Cut(rest, "=")
			if inherited, ok := global[name]; ok && !strings.Contains(rest, "=") {
				value = inherited
			}
			if given, ok := arguments[name]; ok {
				value = given
			}
			local[name] = value
			if len(stages) == 0 {
				global[name] = value
			} else {
				stages[len(stages)-1].add(keyword, name)
			}
		case keyword == "FROM":
			words := strings.Fields(expand(rest, global))
			next := stage{base: words[0]}
			if len(words) == 3 && strings.EqualFold(words[1], "AS") {
				next.name = words[2]
			}
			stages, local = append(stages, next), map[string]string{}
		case len(stages) == 0:
			return nil, fmt.Errorf("%s stands before the first FROM", keyword)
		default:
			stages[len(stages)-1].add(keyword, expand(rest, local))
		}
	}
	return stages, nil
}

func (s *stage) add(keyword, rest string) {
	i := instruction{keyword: keyword, flags: map[string]string{}}
	for strings.HasPrefix(rest, "--") {
		flag, remaining, _ := strings.Cut(rest, " ")
		name, value, _ := strings.Cut(strings.TrimPrefix(flag, "--"), "=")
		i.flags[name], rest = value, strings.TrimSpace(remaining)
	}
	i.rest = rest
	s.instructions = append(s.instructions, i)
}

// logicalLines joins continued lines and drops comments and empty lines.
func logicalLines(source string) []string {
	var lines []string
	var pending strings.Builder
	for line := range strings.Lines(source) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		continued := strings.HasSuffix(line, `\`)
		pending.WriteString(strings.TrimSuffix(line, `\`))
		if !continued {
			lines = append(lines, pending.String())
			pending.Reset()
		}
	}
	return lines
}

func expand(text string, values map[string]string) string {
	return os.Expand(text, func(name string) string { return values[name] })
}
