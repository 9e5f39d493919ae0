package mask

import (
	"net/url"
	"strings"
)

// assignments are the values next to telling names within a text: KEY=VALUE,
// key: value, "key":"value", --flag value, parameters of URLs, lines of YAML, of
// properties and of configuration files.
func assignments(text string) []span {
	var spans []span
	s := scanner{text: text}
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '=', ':':
			if found, ok := s.assignment(i); ok {
				spans = append(spans, found)
				i = max(i, found.end-1)
			}
		case '>':
			if found, ok := s.element(i); ok {
				spans = append(spans, found)
				i = max(i, found.end-1)
			}
		case '-':
			if found, ok := s.flag(i); ok {
				spans = append(spans, found)
				i = max(i, found.end-1)
			}
		}
	}
	return spans
}

// scanner goes through a text once.
type scanner struct {
	text string
	// named is the value of the last "name" or "key", and where it ended: a
	// "value" that follows is its.
	named   string
	namedAt int
}

// near is how many bytes may lie between a name and its value.
const near = 256

// assignment is the secret behind the = or : at i.
func (s *scanner) assignment(i int) (span, bool) {
	name, start := s.nameBefore(i)
	if name == "" || s.text[i] == ':' && start > 0 && s.text[start-1] == ':' { // arn:aws:…:secret:name
		return span{}, false
	}
	tells := tellsNothing
	lower := strings.ToLower(name)
	switch lower {
	case "name", "key":
	case "value":
		if s.named == "" || i-s.namedAt > near {
			return span{}, false
		}
		tells, s.named = nameTells(s.named), ""
	default:
		tells = nameTells(name)
		if tells == tellsNothing {
			return span{}, false
		}
	}
	value := s.valueAfter(i, start)
	if value.start >= value.end {
		return span{}, false
	}
	text := s.text[value.start:value.end]
	if lower == "name" || lower == "key" {
		s.named, s.namedAt = text[max(0, len(text)-maxName):], value.end
		return span{}, false
	}
	if !tells.gives(text) {
		return span{}, false
	}
	value.start += schemeEnd(text)
	return value, true
}

// nameBefore is the name that ends before i, spaces and quotes aside.
func (s *scanner) nameBefore(i int) (name string, start int) {
	text := s.text
	end := i
	for end > 0 && i-end < 3 && strings.IndexByte(" \"'`\\]", text[end-1]) >= 0 {
		end--
	}
	start = end
	for start > 0 && end-start < maxName && nameByte(text[start-1]) {
		start--
	}
	name = strings.TrimLeft(text[start:end], "-")
	if start > 0 && text[start-1] == '%' { // a parameter's name may be encoded
		for start > 0 && end-start < maxName && (nameByte(text[start-1]) || text[start-1] == '%') {
			start--
		}
		if decoded, err := url.PathUnescape(text[start:end]); err == nil {
			name = decoded
		}
	}
	if name == "" || digit(name[0]) && !strings.ContainsFunc(name, func(r rune) bool { return r < 0x80 && letter(byte(r)) }) {
		return "", start
	}
	if text[i] == ':' && strings.EqualFold(name, "key") && start > 1 && text[start-1] == ' ' && letter(text[start-2]) { // "API key: x"
		for start--; start > 0 && end-start < maxName && letter(text[start-1]); start-- {
		}
		name = text[start:end]
	}
	return name, start
}

// element is the secret in an element of XML whose first tag ends at i.
func (s *scanner) element(i int) (span, bool) {
	name, start := s.nameBefore(i)
	if name == "" || start == 0 || s.text[start-1] != '<' {
		return span{}, false
	}
	length := strings.IndexByte(s.text[i:], '<')
	if length <= 1 {
		return span{}, false
	}
	found := span{i + 1, i + length}
	return found, nameTells(name).gives(s.text[found.start:found.end])
}

// valueAfter is the value behind the = or : at i, of a name that begins at start.
func (s *scanner) valueAfter(i, start int) span {
	text := s.text
	colon := text[i] == ':'
	at := i + 1
	if at < len(text) && (text[at] == '=' || text[at] == '>') { // := and =>
		at++
	}
	for at < len(text) && (text[at] == ' ' || text[at] == '\t') {
		at++
	}
	if at == len(text) || strings.HasPrefix(text[i:], "://") {
		return span{at, at}
	}
	if colon && blockScalar(text[at:]) {
		return s.block(at, start)
	}
	if quoted, ok := quotedAt(text, at); ok {
		return quoted
	}
	if colon && at > i+1 && s.startsLine(start) {
		return span{at, at + lineEnd(text[at:])}
	}
	return span{at, at + bareEnd(text[at:])}
}

// startsLine reports whether nothing but indentation is before a name.
func (s *scanner) startsLine(start int) bool {
	for start > 0 && strings.IndexByte(" \t-", s.text[start-1]) >= 0 {
		start--
	}
	return start == 0 || s.text[start-1] == '\n'
}

// quotedAt is what is between the quotes that begin at at, escaped ones included.
func quotedAt(text string, at int) (span, bool) {
	var opening string
	switch {
	case strings.IndexByte("\"'`", text[at]) >= 0:
		opening = text[at : at+1]
	case text[at] == '\\' && at+1 < len(text) && text[at+1] == '"':
		opening = `\"`
	default:
		return span{}, false
	}
	start := at + len(opening)
	for end := start; end < len(text); end++ {
		if strings.HasPrefix(text[end:], opening) {
			return span{start, end}, true
		}
		if text[end] == '\\' && opening == `"` {
			end++
		}
	}
	return span{start, len(text)}, true
}

// bareEnd is where a value without quotes ends: at a space or a quote, at what
// separates it from another assignment, or at a bracket that closes around it.
func bareEnd(text string) int {
	if strings.HasPrefix(text, "$(") { // a shell's
		if i := strings.IndexByte(text[:min(len(text), near)], ')'); i >= 0 {
			return i + 1
		}
	}
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case ' ', '\t', '\r', '\n', '"', '\'', '`':
			return i
		case ';', '&', ',', '|':
			if i+1 == len(text) || assignmentAt(text[i+1:]) || strings.IndexByte(" \t\n", text[i+1]) >= 0 {
				return i
			}
		case ')', '}', ']', '\\':
			if i+1 == len(text) || strings.IndexByte(" \t\r\n,;\"')}]", text[i+1]) >= 0 {
				return i
			}
		}
	}
	return len(text)
}

func lineEnd(text string) int {
	if i := strings.IndexAny(text, "\r\n"); i >= 0 {
		return len(strings.TrimRight(text[:i], " \t"))
	}
	return len(strings.TrimRight(text, " \t"))
}

// blockScalar reports whether a YAML text over several lines follows.
func blockScalar(text string) bool {
	line, _, more := strings.Cut(text, "\n")
	line = strings.TrimRight(line, " \r")
	return more && line != "" && len(line) <= 3 && (line[0] == '|' || line[0] == '>') && strings.Trim(line[1:], "+-0123456789") == ""
}

// block is a YAML text that is indented further than the name that begins at start.
func (s *scanner) block(at, start int) span {
	indent := start - 1 - strings.LastIndexByte(s.text[:start], '\n')
	first := at + strings.IndexByte(s.text[at:], '\n') + 1
	end := first
	for end < len(s.text) {
		line, _, _ := strings.Cut(s.text[end:], "\n")
		blank := strings.TrimSpace(line) == ""
		if !blank && len(line)-len(strings.TrimLeft(line, " ")) <= indent {
			break
		}
		end = min(end+len(line)+1, len(s.text))
	}
	for first < end && s.text[first] == ' ' {
		first++
	}
	for end > first && strings.IndexByte(" \r\n", s.text[end-1]) >= 0 {
		end--
	}
	return span{first, end}
}

// flag is the secret behind the flag that begins at i, after a space: in
// "--password hunter2".
func (s *scanner) flag(i int) (span, bool) {
	text := s.text
	if i > 0 && strings.IndexByte(" \t\n\"'", text[i-1]) < 0 {
		return span{}, false
	}
	end := i
	for end < len(text) && end-i < maxName && nameByte(text[end]) {
		end++
	}
	if end == len(text) || text[end] != ' ' && text[end] != '\t' {
		return span{}, false
	}
	at := end
	for at < len(text) && (text[at] == ' ' || text[at] == '\t') {
		at++
	}
	if at == len(text) || text[at] == '-' {
		return span{}, false
	}
	value, quoted := quotedAt(text, at)
	if !quoted {
		value = span{at, at + bareEnd(text[at:])}
	}
	found := text[value.start:value.end]
	if userFlag(text[i:end]) {
		_, password, ok := strings.Cut(found, ":")
		return span{value.end - len(password), value.end}, ok && password != "" && !refers(password)
	}
	return value, strings.HasPrefix(text[i:], "-") && nameTells(strings.TrimLeft(text[i:end], "-")).gives(found)
}
